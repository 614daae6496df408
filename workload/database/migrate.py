"""Applies the migrations to a PostgreSQL database: in order, each in a transaction of its own, one program at a time.

Alembic keeps the version and the transactions; the files are plain SQL. What it does not keep is what a file said when
it was applied: that is in ``schema_migrations``, written in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import psycopg
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import Script as Revision
from alembic.script.revision import RevisionMap
from psycopg import pq
from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from database.files import Migration, MigrationFailed, Script, check

log = logging.getLogger("app.database")

CERTIFICATES = Path(__file__).parent / "rds-ca.pem"
"""Amazon RDS's own authorities, by which a cluster proves who it is."""

CONNECT_SECONDS = 60
"""A cluster that sleeps at 0 capacity units wakes in some fifteen seconds (Aurora User Guide, "Scaling to zero")."""

LOCK = 7_261_736_850
"""The advisory lock of whoever migrates. Any number, as long as nothing else in the database takes the same."""

WAIT_SECONDS = 150
"""How long another one's migration is waited for."""

CHECK_SECONDS = 10
"""How often the server looks whether the program is still there (PostgreSQL, ``client_connection_check_interval``)."""

COPIES = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)
CURRENT_TRANSACTION = text("SELECT txid_current()")

TABLE_WAIT_SECONDS = 30
"""How long a statement waits for a table. Whoever asks for the same table meanwhile waits behind it."""

RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version text PRIMARY KEY,
    file text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class Target:
    """A database, and as whom to change it.

    Attributes
    ----------
    host, port, name
        Of the server and of its database.
    user, password
        Whoever owns the schema.
    tls
        libpq's ``sslmode``: ``verify-full``, and ``disable`` for a server on one's own machine.
    """

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    tls: str = "verify-full"


def migrate(target: Target, scripts: Sequence[Script], *, wait_seconds: int = WAIT_SECONDS) -> list[str]:
    """Apply what the database has not had yet. A database that is ahead is left alone.

    Parameters
    ----------
    target
        The database.
    scripts
        The release's migrations, from ``files.load``.
    wait_seconds
        How long to wait while somebody else migrates.

    Returns
    -------
    list
        The files that were applied.

    Raises
    ------
    MigrationFailed
        Nothing of the migration that failed is left; those before it stay applied.
    """
    with _connect(target) as connection, _one_line_each():
        _lock(connection, wait_seconds)
        connection.execute(text(RECORD))
        applied = [Migration(*row) for row in connection.execute(text(SELECT))]
        connection.commit()
        check(scripts, applied)
        if len(applied) > len(scripts):
            log.info("the database is ahead, at %s: it is left as it is", applied[-1].file)
        pending = scripts[len(applied) :]
        _upgrade(connection, scripts, pending)
        return [script.file for script in pending]


SELECT = "SELECT version, file, sha256 FROM schema_migrations ORDER BY version"
INSERT = "INSERT INTO schema_migrations (version, file, sha256) VALUES (:version, :file, :sha256)"


@contextmanager
def _connect(target: Target) -> Iterator[Connection]:
    """Connect for as long as the block lasts; closing it gives the lock back, and so does the program's death."""
    url = URL.create(
        "postgresql+psycopg",
        username=target.user,
        password=target.password,
        host=target.host,
        port=target.port,
        database=target.name,
        query={
            "sslmode": target.tls,
            "sslrootcert": str(CERTIFICATES),
            "connect_timeout": str(CONNECT_SECONDS),
            "application_name": "migrate",
        },
    )
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise MigrationFailed(f"cannot connect to {target.host}:{target.port}: {_one_line(error.orig)}") from None
    with connection:
        yield connection


@contextmanager
def _one_line_each() -> Iterator[None]:
    """Say what the server says to a statement of ours, a missing right most likely, in one line."""
    try:
        yield
    except DBAPIError as error:
        raise MigrationFailed(_one_line(error.orig)) from None


def _lock(connection: Connection, wait_seconds: int) -> None:
    """Take the lock of the session, and from then on wait for tables more briefly."""
    connection.execute(text(f"SET lock_timeout = '{wait_seconds}s'"))
    try:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    except DBAPIError:
        raise MigrationFailed(f"somebody else has been migrating for {wait_seconds} s; try again later") from None
    connection.execute(text(f"SET lock_timeout = '{TABLE_WAIT_SECONDS}s'"))
    # Else the server would finish the statement of a program that has died, and hold lock and tables until then.
    connection.execute(text(f"SET client_connection_check_interval = '{CHECK_SECONDS}s'"))
    connection.commit()


def _upgrade(connection: Connection, scripts: Sequence[Script], pending: Sequence[Script]) -> None:
    """Let Alembic run the pending scripts; it knows them as revisions of which each follows the one before."""
    by_version = {script.version: script for script in scripts}
    revisions = [_revision(connection, script) for script in scripts]
    known = RevisionMap(lambda: revisions)
    wanted = {script.version for script in pending}

    def steps(_heads: Any, _context: MigrationContext) -> Iterable[RevisionStep]:
        # The newest comes first.
        in_order = reversed(list(known.iterate_revisions("head", "base")))
        return [
            MigrationStep.upgrade_from_script(known, cast("Revision", each))
            for each in in_order
            if each.revision in wanted
        ]

    def record(*, step: Any, **_: Any) -> None:
        script = by_version[step.up_revision_id]
        connection.execute(text(INSERT), {"version": script.version, "file": script.file, "sha256": script.sha256})
        log.info("applied %s", script.file)

    context = MigrationContext.configure(
        connection, opts={"fn": steps, "transaction_per_migration": True, "on_version_apply": (record,)}
    )
    with context.begin_transaction():
        context.run_migrations()


def _revision(connection: Connection, script: Script) -> Revision:
    module = ModuleType(script.file)
    number = int(script.version)
    vars(module).update(
        revision=script.version,
        down_revision=f"{number - 1:04}" if number > 1 else None,
        upgrade=lambda: _run(connection, script),
    )
    return Revision(module, script.version, script.file)


def _run(connection: Connection, script: Script) -> None:
    """Run a file as the server reads it, and count its answers: splitting SQL into statements is the server's trade.

    Raises
    ------
    MigrationFailed
        Names file, statement, SQLSTATE, and the line where the server knows it. Details that PostgreSQL adds are left
        out: they may hold data.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 (the URL names the driver)
    transaction = connection.execute(CURRENT_TRANSACTION).scalar_one()  # begins it
    driver.pgconn.send_query(script.sql.encode())
    failure, statement = None, 0
    while result := driver.pgconn.get_result():
        if failure is None:
            statement += 1
            failure = result if result.status == pq.ExecStatus.FATAL_ERROR else None
        if result.status in COPIES:
            # The server waits for data, or sends them, and there is nobody here for either.
            driver.pgconn.finish()
            connection.invalidate()
            raise MigrationFailed(f"{script.file}: statement {statement} copies from or to the program: use INSERT")
    if driver.pgconn.status == pq.ConnStatus.BAD:
        # Else the way out fails for want of a connection, and hides why there is none.
        connection.invalidate()
    if failure is not None:
        raise MigrationFailed(_explain(script, statement, failure))
    if connection.execute(CURRENT_TRANSACTION).scalar_one() != transaction:
        raise MigrationFailed(
            f"{script.file}: ends its transaction (COMMIT, ROLLBACK, END or ABORT), but each file is one transaction "
            "by itself; it is not on record, and what it committed is there: look before you repair it"
        )


def _explain(script: Script, statement: int, failure: pq.abc.PGresult) -> str:
    def said(what: pq.DiagnosticField) -> str:
        return (failure.error_field(what) or b"").decode(errors="replace")

    position = said(pq.DiagnosticField.STATEMENT_POSITION)
    line = f" (line {script.sql[: int(position)].count(chr(10)) + 1})" if position else ""
    state = said(pq.DiagnosticField.SQLSTATE) or "none: the connection was lost"
    message = said(pq.DiagnosticField.MESSAGE_PRIMARY) or failure.error_message.decode(errors="replace")
    return f"{script.file}: statement {statement}{line} failed, SQLSTATE {state}: {_one_line(message)}"


def _one_line(message: object) -> str:
    return " ".join(str(message).split())

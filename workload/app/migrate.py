"""The role ``migrate``: brings database and table to what this release expects, and ends.

Where a database is configured it comes first, by the SQL files of ``database/``.

The table knows the version of its data. Whoever migrates first claims the table for a short time, so of two at once
one works and the other waits; a claim whose owner died runs out. Migrations may be repeated, so it is harmless that
an unfinished one is begun again.
"""

from __future__ import annotations

import logging
import pkgutil
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from app import migrations as package
from app.aws import client_of
from app.settings import Settings
from app.stop import Stop
from app.table import PoolsTable

log = logging.getLogger("app.migrate")

STATE = ("migrations", "state")
CLAIM_SECONDS = 60
"""How long a claim lasts unless it is renewed, which every migration does as it goes."""

WAIT_SECONDS = 150
"""How long another one's claim is waited for: long enough to see one run out."""

ASK_SECONDS = 2


class MigrationFailed(Exception):
    """The data are not what this release expects; the message says why."""


Apply = Callable[[PoolsTable, Callable[[], None]], int]
"""What each migration is: it changes what has to be changed and returns how many items that were; a repeat must be
harmless. It calls its second argument once for each item: that renews the claim, and ends the migration on SIGTERM."""


@dataclass(frozen=True)
class Migration:
    """One numbered migration, from ``app/migrations/m<number>_<name>.py``."""

    version: int
    name: str
    apply: Apply

    def __str__(self) -> str:
        return f"{self.version:04} {self.name}"


def load() -> list[Migration]:
    """Find the migrations in order.

    Raises
    ------
    MigrationFailed
        A number is missing or there twice: some environment would skip one.
    """
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        name = re.fullmatch(r"m([0-9]{4})_([a-z0-9_]+)", module.name)
        if name:
            apply = import_module(f"{package.__name__}.{module.name}").apply
            found.append(Migration(int(name[1]), name[2].replace("_", " "), apply))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationFailed(f"the migrations are not numbered 1, 2, 3, …: {', '.join(map(str, found))}")
    return found


class Migrator:
    """Applies migrations to a table.

    Parameters
    ----------
    table
        The table.
    clock
        Returns Unix seconds.
    stop
        Set when the migration is to end.
    me
        Differs from every other migrator's.
    """

    def __init__(self, table: PoolsTable, clock: Callable[[], float], stop: Stop, me: str) -> None:
        self._table, self._clock, self._stop, self._me = table, clock, stop, me
        self._renew_at = 0.0

    def migrate(self, migrations: Sequence[Migration]) -> list[Migration]:
        """Apply the migrations that the table has not had yet, in order.

        A table that is ahead of ``migrations`` is left alone: a release was rolled back, and the older one has to
        live with the newer data.

        Returns
        -------
        list
            What was applied.

        Raises
        ------
        MigrationFailed
            The claim was not to be had or was lost, or somebody wants us to stop.
        AwsFailed
            The table could not be read or written. Both leave the version at the last migration that was finished.
        """
        latest = migrations[-1].version if migrations else 0
        if self._version() >= latest:
            return []
        self._claim()
        applied = []
        try:
            for migration in migrations[self._version() :]:
                items = migration.apply(self._table, self._keep_going)
                self._record(migration)
                applied.append(migration)
                log.info("applied %s: %s items changed", migration, items)
        finally:
            self._table.update(STATE, "REMOVE #holder, #claimedUntil", "#holder = :me", {":me": self._me})
        return applied

    def _version(self) -> int:
        return int(self._table.get(*STATE).get("version", 0))

    def _claim(self) -> None:
        """Claim the table, or wait until somebody else's claim is gone."""
        give_up_at = self._clock() + WAIT_SECONDS
        while not self._table.update(
            STATE,
            "SET #holder = :me, #claimedUntil = :until",
            "attribute_not_exists(#holder) OR #claimedUntil < :now",
            {":me": self._me, ":until": int(self._clock()) + CLAIM_SECONDS, ":now": int(self._clock())},
        ):
            if self._clock() >= give_up_at:
                raise MigrationFailed(f"another migration has held the table for {WAIT_SECONDS} s; try again later")
            log.info("waiting for another migration to end")
            if self._stop.wait(ASK_SECONDS):
                raise MigrationFailed("stopped while another migration was running")
        self._renew_at = self._clock() + CLAIM_SECONDS / 3

    def _keep_going(self) -> None:
        if self._stop.is_set():
            raise MigrationFailed("stopped before the end; what was done is kept, and the next run goes on from there")
        if self._clock() < self._renew_at:
            return
        until = int(self._clock()) + CLAIM_SECONDS
        if not self._table.update(
            STATE, "SET #claimedUntil = :until", "#holder = :me", {":until": until, ":me": self._me}
        ):
            raise MigrationFailed("this run was so slow that another migration has taken over")
        self._renew_at = self._clock() + CLAIM_SECONDS / 3

    def _record(self, migration: Migration) -> None:
        if not self._table.update(
            STATE,
            "SET #version = :new",
            "#holder = :me AND (attribute_not_exists(#version) OR #version = :old)",
            {":new": migration.version, ":old": migration.version - 1, ":me": self._me},
        ):
            raise MigrationFailed(f"{migration}: another migration has taken over")


def run(settings: Settings) -> int:
    """Migrate; return the exit code."""
    stop = Stop()
    stop.on_signals()
    if settings.database_host:
        log.info("database: applied %s", ", ".join(_migrate_database(settings)) or "nothing, it is up to date")
    table = PoolsTable(client_of("dynamodb", settings.region), settings.pools_table, time.time)
    applied = Migrator(table, time.time, stop, uuid.uuid4().hex).migrate(load())
    log.info("done: applied %s", ", ".join(map(str, applied)) or "nothing, the data are up to date")
    return 0


def _migrate_database(settings: Settings) -> list[str]:
    # Only where there is a database: the rest does without SQLAlchemy.
    from database import files, migrate  # noqa: PLC0415 (the comment above)

    target = migrate.Target(
        host=settings.database_host,
        port=settings.database_port,
        name=settings.database_name,
        user=settings.database_user,
        password=settings.database_password.get_secret_value() if settings.database_password else "",
        tls=settings.database_tls,
    )
    try:
        return migrate.migrate(target, files.load())
    except files.MigrationFailed as error:
        raise MigrationFailed(f"database: {error}") from error

"""The migrations against a real PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from database.files import MigrationFailed, Script, load
from database.migrate import LOCK, Target, migrate
from tests.workload.app.fakes import REGION
from tests.workload.database.postgres import PASSWORD, connect, free_port

ROOT = Path(__file__).parents[3] / "workload"
NEWEST = [script.file for script in load()]

Write = Callable[..., tuple[Script, ...]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write migrations, file name without its ending to SQL, and load them."""

    def make(**scripts: str) -> tuple[Script, ...]:
        for path in tmp_path.iterdir():
            path.unlink()
        for name, sql in scripts.items():
            (tmp_path / f"{name.removeprefix('m')}.sql").write_text(sql)
        return load(tmp_path)

    return make


def tables(target: Target) -> set[str]:
    return {name for (name,) in ask(target, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def ask(target: Target, sql: str) -> list[tuple[Any, ...]]:
    with connect(target) as connection:
        return connection.execute(sql.encode()).fetchall()


def history(target: Target) -> list[str]:
    return [file for (file,) in ask(target, "SELECT file FROM schema_migrations ORDER BY version")]


def failure(target: Target, scripts: tuple[Script, ...], **options: int) -> str:
    with pytest.raises(MigrationFailed) as raised:
        migrate(target, scripts, **options)
    message = str(raised.value)
    assert "\n" not in message
    assert PASSWORD not in message
    return message


def test_an_empty_database_gets_everything(target: Target) -> None:
    assert migrate(target, load()) == NEWEST
    assert history(target) == NEWEST
    assert {"restaurants", "dishes"} <= tables(target)
    assert ask(target, "SELECT version_num FROM alembic_version") == [(NEWEST[-1][:4],)]


def test_the_schema_keeps_what_it_says(target: Target) -> None:
    migrate(target, load())
    with connect(target) as connection:
        connection.execute("INSERT INTO restaurants (slug, name, city) VALUES ('noodle-bar', 'Noodle Bar', 'Berlin')")
        connection.execute("INSERT INTO dishes (restaurant_id, name) SELECT id, 'Ramen' FROM restaurants")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO restaurants (slug, name, city) VALUES ('No Slug', 'x', 'y')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO dishes (restaurant_id, name) SELECT id, 'Ramen' FROM restaurants")
        connection.execute("UPDATE restaurants SET city = 'Bern'")
        assert connection.execute("SELECT updated_at > created_at FROM restaurants").fetchall() == [(True,)]
        connection.execute("DELETE FROM restaurants")
        assert connection.execute("SELECT count(*) FROM dishes").fetchall() == [(0,)]


def test_a_second_run_changes_nothing(target: Target) -> None:
    migrate(target, load())
    before = ask(target, "SELECT * FROM schema_migrations")
    assert migrate(target, load()) == []
    assert ask(target, "SELECT * FROM schema_migrations") == before


def test_of_two_at_once_one_applies_and_the_other_finds_it_done(target: Target, write: Write) -> None:
    scripts = write(m0001_slow="SELECT pg_sleep(0.3); CREATE TABLE slow ();", m0002_more="CREATE TABLE more ();")
    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(migrate, target, scripts) for _ in range(2)]
    assert sorted(run.result() for run in runs) == [[], ["0001_slow.sql", "0002_more.sql"]]


def test_it_gives_up_when_somebody_else_migrates_for_too_long(target: Target) -> None:
    with connect(target) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        assert failure(target, load(), wait_seconds=1).startswith("somebody else has been migrating for 1 s")
    assert migrate(target, load()) == NEWEST


def test_a_failing_migration_leaves_the_earlier_ones_and_nothing_of_itself(target: Target, write: Write) -> None:
    good = {"m0001_good": "CREATE TABLE good (id int PRIMARY KEY);"}
    bad = "CREATE TABLE half (id int);\nINSERT INTO good VALUES (1), (2);\nINSERT INTO good VALUES (1);\nSELECT 1;\n"
    scripts = write(**good, m0002_bad=bad, m0003_never="CREATE TABLE never ();")
    message = failure(target, scripts)
    assert message == (
        '0002_bad.sql: statement 3 failed, SQLSTATE 23505: duplicate key value violates unique constraint "good_pkey"'
    )
    assert tables(target) == {"good", "schema_migrations", "alembic_version"}
    assert history(target) == ["0001_good.sql"]
    assert ask(target, "SELECT * FROM good") == []
    repaired = write(**good, m0002_bad="CREATE TABLE half (id int);", m0003_never="CREATE TABLE never ();")
    assert migrate(target, repaired) == ["0002_bad.sql", "0003_never.sql"]


def test_a_failure_names_the_line_where_the_server_knows_it(target: Target, write: Write) -> None:
    scripts = write(m0001_typo="CREATE TABLE a ();\n\nCREATE TABEL b ();\n")
    # A file that cannot be parsed is refused as a whole.
    assert failure(target, scripts) == (
        '0001_typo.sql: statement 1 (line 3) failed, SQLSTATE 42601: syntax error at or near "TABEL"'
    )
    scripts = write(m0001_typo="CREATE TABLE a ();\n\nSELECT nothing\nFROM a;\n")
    assert failure(target, scripts) == (
        '0001_typo.sql: statement 2 (line 3) failed, SQLSTATE 42703: column "nothing" does not exist'
    )


def test_sql_is_the_servers_and_nobody_elses(target: Target, write: Write) -> None:
    # Per cent, colon, and semicolons within quotes mean something to drivers and to splitters of SQL.
    sql = "CREATE TABLE a AS SELECT '100%s :x ; %(y)s' AS t;\nDO $$ BEGIN PERFORM 1; END; $$;\n-- the end ;\n"
    migrate(target, write(m0001_odd=sql))
    assert ask(target, "SELECT t FROM a") == [("100%s :x ; %(y)s",)]


def test_a_database_that_went_away_is_said_so(target: Target, write: Write) -> None:
    scripts = write(m0001_dies="CREATE TABLE a ();\nSELECT pg_terminate_backend(pg_backend_pid());\n")
    assert re.fullmatch(r"0001_dies\.sql: statement 2 failed, SQLSTATE 57P01: .+", failure(target, scripts))
    assert "a" not in tables(target)


def test_a_statement_does_not_wait_for_a_table_for_ever(target: Target, write: Write) -> None:
    migrate(target, write(m0001_a="CREATE TABLE a ();"))
    scripts = write(
        m0001_a="CREATE TABLE a ();", m0002_b="SHOW lock_timeout; SET lock_timeout = '1ms'; ALTER TABLE a ADD x int;"
    )
    with connect(target) as other, other.transaction():
        other.execute("LOCK TABLE a")
        assert "statement 3 failed, SQLSTATE 55P03" in failure(target, scripts)


def test_a_changed_file_is_refused(target: Target, write: Write) -> None:
    migrate(target, write(m0001_a="CREATE TABLE a ();", m0002_b="CREATE TABLE b ();"))
    changed = write(m0001_a="CREATE TABLE a ();", m0002_b="CREATE TABLE b (id int);", m0003_c="CREATE TABLE c ();")
    assert failure(target, changed).startswith("0002_b.sql: changed since it was applied")
    assert "c" not in tables(target)


def test_a_renamed_file_is_refused(target: Target, write: Write) -> None:
    migrate(target, write(m0001_a="CREATE TABLE a ();"))
    renamed = write(m0001_other="CREATE TABLE a ();", m0002_b="CREATE TABLE b ();")
    assert "this database had 0001_a.sql as its 0001" in failure(target, renamed)
    assert "b" not in tables(target)


def test_a_database_ahead_of_the_release_is_left_alone(target: Target, write: Write) -> None:
    migrate(target, write(m0001_a="CREATE TABLE a ();", m0002_b="CREATE TABLE b ();"))
    assert migrate(target, write(m0001_a="CREATE TABLE a ();")) == []
    assert history(target) == ["0001_a.sql", "0002_b.sql"]
    assert migrate(target, write(m0001_a="CREATE TABLE a ();", m0002_b="CREATE TABLE b ();")) == []


def test_a_user_without_the_right_is_told_so(target: Target) -> None:
    with connect(target) as connection:
        connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    assert "permission denied for schema public" in failure(replace(target, user="reader"), load())


def test_a_wrong_password_is_not_shown(target: Target) -> None:
    secret = "another-canary-9xQ"
    with pytest.raises(MigrationFailed, match="cannot connect to 127") as raised:
        migrate(replace(target, password=secret), load())
    assert "password authentication failed" in str(raised.value)
    assert secret not in str(raised.value)
    assert secret not in repr(replace(target, password=secret))


def test_nothing_is_said_to_a_server_without_tls(target: Target) -> None:
    # It would otherwise have got the password's proof. The wheel's server has no TLS.
    assert "SSL" in failure(replace(target, tls="verify-full"), load())
    assert tables(target) == set()


def test_nobody_there_is_said_so(target: Target) -> None:
    port = free_port()
    assert failure(replace(target, port=port), load()).startswith(f"cannot connect to 127.0.0.1:{port}: ")


def test_the_role_migrates_the_database_first_and_logs_no_password(target: Target) -> None:
    """The program as the container runs it; its table does not answer, so it fails after the database."""
    environ = {
        "PATH": os.environ["PATH"],
        "APP_ENVIRONMENT": "dev",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_MAX_ATTEMPTS": "1",
        "POOLS_TABLE": "pools",
        "DATABASE_HOST": target.host,
        "DATABASE_PORT": str(target.port),
        "DATABASE_NAME": target.name,
        "DATABASE_USER": target.user,
        "DATABASE_PASSWORD": target.password,
        "DATABASE_TLS": "disable",
    }

    def run(**variables: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "app", "migrate"],
            cwd=ROOT,
            env={**environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert target.password not in done.stdout
        return done.returncode, done.stdout

    _, said = run()
    assert f"database: applied {', '.join(NEWEST)}" in said
    assert history(target) == NEWEST
    _, said = run()
    assert "database: applied nothing, it is up to date" in said
    code, said = run(DATABASE_PASSWORD="wrong-canary")
    assert (code, said.count("\n")) == (1, 1)
    assert "MigrationFailed: database: cannot connect to 127.0.0.1" in said
    assert "wrong-canary" not in said


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE gone (); /* back */ ROLLBACK;",
        "CREATE TABLE gone (); /* back */ ABORT;",
        "CREATE TABLE kept (); END; SELECT 1;",
        "CREATE TABLE kept (); COMMIT AND CHAIN; SELECT 1;",
    ],
)
def test_a_file_that_ends_its_transaction_is_never_on_record(target: Target, write: Write, sql: str) -> None:
    message = failure(target, write(m0001_ends=sql))
    assert message.startswith("0001_ends.sql: ends its transaction")
    assert history(target) == []


@pytest.mark.parametrize("sql", ["COPY (SELECT 1) TO STDOUT;", "CREATE TABLE a (); COPY a FROM STDIN;"])
def test_a_copy_from_or_to_the_program_is_refused(target: Target, write: Write, sql: str) -> None:
    assert "copies from or to the program: use INSERT" in failure(target, write(m0001_copies=sql))
    assert tables(target) <= {"schema_migrations", "alembic_version"}
    assert migrate(target, write(m0001_copies="CREATE TABLE a ();")) == ["0001_copies.sql"]


def test_the_server_looks_whether_the_program_is_still_there(target: Target, write: Write) -> None:
    sql = "CREATE TABLE seen AS SELECT current_setting('client_connection_check_interval') AS every;"
    migrate(target, write(m0001_seen=sql))
    assert ask(target, "SELECT every FROM seen") == [("10s",)]

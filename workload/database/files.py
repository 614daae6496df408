"""The migrations as files, and whether they are those that a database has had."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "migrations"
NAME = re.compile(r"(?P<version>[0-9]{4})_[a-z0-9]+(_[a-z0-9]+)*\.sql")
ENDS_TRANSACTION = re.compile(
    r"(?im)(?:^|;)\s*(commit|rollback|abort|start\s+transaction|begin)\b(?:\s+(?:work|transaction))?\s*;"
)
"""What takes a migration out of its transaction, told before it runs; ``BEGIN`` of a PL/pgSQL block has no semicolon.
What this does not see (``END`` closes such a block too) the program finds when the file has run."""


class MigrationFailed(Exception):
    """The database is not what this release expects; the message says why, in one line and without secrets."""


@dataclass(frozen=True)
class Migration:
    """One migration: the file ``<version>_<name>.sql``, or what a database has on record of it.

    Attributes
    ----------
    version
        ``0001``, ``0002`` and so on.
    file
        The name of the file.
    sha256
        Of its bytes.
    """

    version: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Script(Migration):
    """A migration with its SQL."""

    sql: str


def load(folder: Path = FOLDER) -> tuple[Script, ...]:
    """Read the migrations in order.

    Raises
    ------
    MigrationFailed
        A file has another kind of name, a number is missing or there twice, or a file ends its transaction.
    """
    scripts = []
    for path in sorted(folder.iterdir()):
        named = NAME.fullmatch(path.name)
        if not named:
            raise MigrationFailed(f"{path.name}: a migration is called like 0001_what_it_does.sql")
        data = path.read_bytes()
        sql = data.decode()
        if found := ENDS_TRANSACTION.search(sql):
            raise MigrationFailed(f"{path.name}: holds {found[1].upper()}, but each file is one transaction by itself")
        scripts.append(Script(named["version"], path.name, hashlib.sha256(data).hexdigest(), sql))
    versions = [script.version for script in scripts]
    if versions != [f"{number:04}" for number in range(1, len(scripts) + 1)]:
        raise MigrationFailed(f"the migrations are not numbered 0001, 0002, 0003, …: {', '.join(versions)}")
    return tuple(scripts)


def check(scripts: Sequence[Migration], applied: Sequence[Migration]) -> None:
    """Check that a database has had these migrations as they are; it may lack the newest, or be ahead of them.

    It is ahead after a release was rolled back: the older one has to live with the newer schema.

    Parameters
    ----------
    scripts, applied
        The release's, and what the database has on record; both in order.

    Raises
    ------
    MigrationFailed
        A file was changed or renamed after it was applied: two databases would differ for good.
    """
    for script, had in zip(scripts, applied, strict=False):
        if script.file != had.file:
            raise MigrationFailed(
                f"{script.file}: this database had {had.file} as its {had.version}; give the file its name back"
            )
        if script.sha256 != had.sha256:
            raise MigrationFailed(
                f"{script.file}: changed since it was applied; put it back as it was, and write a further migration"
            )

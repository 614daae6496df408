"""A stand-in for the base image, made of Debian's packages: nothing is pulled from a registry.

It has the same Debian and the same minor version of Python as the real one. It is kept between runs, read-only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.image.buildah import Buildah, CheckFailed, last_words, say

PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-pip", "python3-venv")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
)
FROM_BASE = re.compile(r"^FROM (\S*/python:(\d+\.\d+)\.\d+-slim-([a-z]+)) AS base$", re.MULTILINE)


def cache() -> Path:
    """Return the folder that outlives a run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stepship" / "image-check"


def prepare_base(dockerfile: Path) -> tuple[str, Path]:
    """Make the base image that a Dockerfile asks for, unless an earlier run has.

    Returns
    -------
    tuple
        The image's name, and the store that it is in.

    Raises
    ------
    CheckFailed
        The Dockerfile asks for another kind of image, or Debian has another Python.
    """
    found = FROM_BASE.search(dockerfile.read_text())
    if not found:
        raise CheckFailed(f"{dockerfile}: there is no line FROM …/python:<version>-slim-<Debian> AS base")
    name, python, suite = found.groups()
    version = hashlib.sha256(repr((name, PACKAGES, LEFT_OUT, PATH)).encode()).hexdigest()[:12]
    store = cache() / version
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (store / "ready").exists():
            shutil.rmtree(store, ignore_errors=True)
            say(f"making a stand-in for {name} of Debian {suite}'s packages; it is kept in {cache()}")
            _make(name, python, suite, store)
            (store / "ready").touch()
    return name, store


def _make(name: str, python: str, suite: str, store: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        root = Path(folder) / "root"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(root)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CheckFailed(f"debootstrap {suite} failed: {last_words(done)}")
        has = subprocess.run(
            ["chroot", str(root), "python", "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        if not has.startswith(f"{python}."):
            raise CheckFailed(f"the Dockerfile wants Python {python}, Debian {suite} has {has}")
        for path in LEFT_OUT:
            shutil.rmtree(root / path, ignore_errors=True)
        buildah = Buildah(store)
        container = buildah.run("from", "scratch")
        buildah.run("add", "--quiet", container, root, "/")
        buildah.run("config", "--env", f"PATH={PATH}", container)
        buildah.run("commit", "--quiet", "--rm", container, name)

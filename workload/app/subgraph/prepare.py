"""Generate the clients on a workstation, if anything that they are made from has changed: ``python -m …prepare``.

The generator wants older versions of some libraries than the project's own environment has, so it gets one of its
own in ``build/``. In the image there is a stage for that.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from app.subgraph.generate import HERE, OUTPUT

ROOT = HERE.parents[1]
LOCK = ROOT / "app" / "requirements-build.lock"
ENVIRONMENT = ROOT.parent / "build" / "generator"
STAMP = OUTPUT / ".made-from"


def fingerprint() -> str:
    """Return a hash of everything that the clients are made from."""
    sources = [LOCK, ROOT / "app" / "chains.py", *HERE.glob("*.py"), *HERE.rglob("*.graphql")]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(sources))).hexdigest()


def prepare() -> bool:
    """Make the clients new if they are not; several processes may call this at once.

    Returns
    -------
    bool
        Whether anything had to be done.

    Raises
    ------
    subprocess.CalledProcessError
        What went wrong is on stderr.
    """
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "generator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if STAMP.is_file() and STAMP.read_text() == fingerprint():
            return False
        python = ENVIRONMENT / "bin" / "python"
        uv = Path(sys.executable).parent / "uv"
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT],
            [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, LOCK],
            [python, "-m", "app.subgraph.generate", "--schema", "repository"],
        ):
            subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        (OUTPUT / ".gitignore").write_text("*\n")
        STAMP.write_text(fingerprint())
        return True


if __name__ == "__main__":
    sys.stdout.write("generated the clients\n" if prepare() else "the clients are new\n")

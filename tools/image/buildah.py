"""buildah, with a store of its own that disappears afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}
"""Command to Debian package."""

BUILD_TIMEOUT_SECONDS = 600


class CheckFailed(Exception):
    """The image, or the machine, is not as it must be; the message says what to do."""


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def install_tools(user: int) -> None:
    """Install what is missing, if this machine has apt and we may.

    Parameters
    ----------
    user
        The id of the user that we are.

    Raises
    ------
    CheckFailed
        Names what is missing.
    """
    if user != 0:
        raise CheckFailed("buildah's chroot isolation and debootstrap need root: run this as root")
    missing = [package for command, package in TOOLS.items() if not shutil.which(command)]
    if not missing:
        return
    apt = shutil.which("apt-get")
    if not apt:
        raise CheckFailed(f"there is no {' and no '.join(missing)}, and no apt-get to install it: install it yourself")
    install = [apt, "install", "--yes", "--no-install-recommends", "debian-archive-keyring", *missing]
    for command in ([apt, "update"], install):
        say(f"$ {' '.join(command)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CheckFailed(f"{' '.join(command)} failed: {last_words(done)}")


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines that a command has written."""
    return "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that steps of a build see, and no layer holds."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Buildah:
    """Runs buildah.

    Attributes
    ----------
    root
        Folder of its images and containers.
    base_store
        A further store that is only read: the one with the base image; None while that is made.
    """

    root: Path
    base_store: Path | None = None
    _storage: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        # The place of the sockets and mounts may be no deeper than a path of a socket can be long.
        self._storage[:] = ["--root", str(self.root / "images"), "--runroot", str(self.root / "run")]
        self._storage.extend(["--storage-driver", "overlay"])
        if self.base_store:
            self._storage.extend(["--storage-opt", f"overlay.imagestore={self.base_store / 'images'}"])

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of a buildah command."""
        return ["buildah", *self._storage, *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        """Run a command; return what it prints.

        Raises
        ------
        CheckFailed
            It failed.
        """
        done = self._run(arguments)
        if done.returncode:
            raise CheckFailed(f"buildah {arguments[0]} failed: {last_words(done)}")
        return done.stdout.strip()

    def build(
        self,
        context: Path,
        dockerfile: Path,
        tag: str,
        *,
        secrets: Sequence[Path],
        arguments: Sequence[str] = (),
        mounts: Sequence[Mount] = (),
        target: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Build, with a layer for each instruction of each stage, so that all of them can be looked at.

        Parameters
        ----------
        context, dockerfile, tag, target
            As for ``docker build``.
        secrets
            Files; their names are the secrets' ids.
        arguments
            ``NAME=value``.
        mounts
            What the steps need of this machine.

        Returns
        -------
        subprocess.CompletedProcess
            Whether it failed is for the caller to judge.
        """
        options = [f"--secret=id={secret.name},src={secret}" for secret in secrets]
        options += [f"--build-arg={each}" for each in arguments]
        options += [f"--volume={mount.source}:{mount.target}:ro" for mount in mounts]
        if target:
            options.append(f"--target={target}")
        # A build that fails would leave its container behind, with the secrets that it had.
        fixed = ("--isolation=chroot", "--pull-never", "--layers", "--force-rm", "--format=oci")
        return self._run(("build", *fixed, *options, f"--file={dockerfile}", f"--tag={tag}", context))

    def _run(self, arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=BUILD_TIMEOUT_SECONDS, check=False
        )

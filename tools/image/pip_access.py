"""How the steps of a build reach the package index that this machine's pip uses.

The Dockerfile knows of none of this: a build elsewhere goes to pip's default index. What this machine has configured,
its certificates and folders are mounted for the duration of a step.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.image.buildah import Mount

KEYS = ("cert", "extra-index-url", "find-links", "index-url", "no-index", "proxy", "timeout", "trusted-host")
SETTING = re.compile(r"^(:env:|[a-z]+)\.([a-z-]+)='(.*)'$")


def machine_settings() -> str:
    """Return what ``pip config list`` says on this machine."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    return done.stdout


def read_settings(listing: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the settings that decide where packages come from.

    Parameters
    ----------
    listing
        As ``machine_settings`` returns it. A variable ``PIP_…`` wins over a file, as with pip.
    environ
        The environment: a certificate may be named there alone.
    """
    found = [match.groups() for line in listing.splitlines() if (match := SETTING.match(line.strip()))]
    found.sort(key=lambda setting: setting[0] == ":env:")
    settings = {key: value.replace("\\n", " ") for _, key, value in found if key in KEYS}
    if "SSL_CERT_FILE" in environ:
        settings.setdefault("cert", environ["SSL_CERT_FILE"])
    return settings


def mounts(settings: Mapping[str, str], folder: Path) -> list[Mount]:
    """Write a ``pip.conf`` into a folder, and return it and every local path in it as mounts."""
    if not settings:
        return []
    config = folder / "pip.conf"
    config.write_text("\n".join(["[global]", *(f"{key} = {value}" for key, value in settings.items()), ""]))
    local = set()
    for key, value in settings.items():
        for path in (Path(word.removeprefix("file://")) for word in value.split()):
            if path.is_absolute() and path.exists():
                # The pages of an index link to files beside its folder.
                local.add(path.parent if key.endswith("index-url") else path)
    return [Mount(config, Path("/etc/pip.conf")), *(Mount(path.resolve(), path) for path in sorted(local))]

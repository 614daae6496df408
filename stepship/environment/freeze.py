"""The freeze windows of an environment, from its config file: a person sees them before a deploy meets them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lambdas.release.gates import Freeze, check_time_zone, check_window, frozen


def freeze_now(file: Path, now: float) -> Freeze | None:
    """Return the freeze that holds now; None also without a file, or with one that says nothing usable about it.

    Parameters
    ----------
    file
        ``config/<environment>.toml``: what the machine was deployed with, if nobody has changed it since.
    now
        Unix seconds.
    """
    try:
        section = tomllib.loads(file.read_text(encoding="utf-8")).get("freeze", {})
    except (OSError, tomllib.TOMLDecodeError):
        return None
    windows, zone = tuple(map(str, section.get("windows", ()))), str(section.get("time_zone", "UTC"))
    if any(check_window(each) for each in windows) or not check_time_zone(zone):
        return None
    return frozen(windows, zone, now)

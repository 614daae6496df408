"""One TOML file per environment, read into a typed and validated settings object.

>>> load("dev").rollout.bake_seconds
60
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from config.reading import Problem, Reader
from config.schema import (
    EcrPush,
    EnvironmentConfig,
    ImageSettings,
    Machine,
    MigrationTask,
    Permissions,
    Service,
)

FOLDER = Path(__file__).parent

__all__ = [
    "FOLDER",
    "ConfigError",
    "EcrPush",
    "EnvironmentConfig",
    "ImageSettings",
    "Machine",
    "MigrationTask",
    "Permissions",
    "Problem",
    "Service",
    "environments",
    "load",
]


class ConfigError(ValueError):
    """A config file cannot be used.

    Attributes
    ----------
    problems
        Everything that is wrong, each with file, key and fix.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def environments(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of the environments that have a file, in alphabetical order."""
    return tuple(sorted(file.stem for file in folder.glob("*.toml")))


def load(environment: str, folder: Path = FOLDER) -> EnvironmentConfig:
    """Read ``<folder>/<environment>.toml``.

    Parameters
    ----------
    environment
        The name of the file without its ending, such as ``dev``.
    folder
        Where the files are.

    Returns
    -------
    EnvironmentConfig
        The settings; every value has been checked.

    Raises
    ------
    ConfigError
        There is no such file, it is not TOML, or values are unknown, missing, wrong or contradictory.
        All problems are listed at once.
    """
    file = folder / f"{environment}.toml"
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    reader = Reader(shown)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = ", ".join(environments(folder)) or "none"
        raise ConfigError((Problem(shown, "file", "does not exist", f"the environments are: {there}"),)) from None
    except tomllib.TOMLDecodeError as error:
        # tomllib's message ends in "(at line 3, column 7)".
        raise ConfigError((Problem(shown, "file", f"is not TOML: {error}", "correct that line"),)) from error
    settings = reader.environment(document)
    named = document.get("environment", environment)
    if named != environment:
        fix = f'write environment = "{environment}", or rename the file'
        reader.problems.append(Problem(shown, "environment", f'is "{named}", but the file is {file.name}', fix))
    if settings is None or reader.problems:
        raise ConfigError(tuple(reader.problems))
    return settings

"""Which environment of which application a command is about."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lambdas.release.policies import Identity
from statemachine.steps import machine_name
from stepship.errors import wrong_usage

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Target:
    """An environment; all names follow from it.

    Attributes
    ----------
    options
        What to add to another command so that it is about the same one.
    """

    app: str
    environment: str
    options: str = ""

    @property
    def identity(self) -> Identity:
        """The names of its table and parameters."""
        return Identity(self.app, self.environment, f"{self.app}-{self.environment}-releases")

    @property
    def machine(self) -> str:
        """Name of its state machine."""
        return machine_name(self.identity)


def choose_target(app: str | None, environment: str | None, folder: Path) -> Target:
    """Complete what was not said from the files ``config/<environment>.toml`` of the folder.

    Parameters
    ----------
    app, environment
        Option or environment variable; None when neither was given.
    folder
        Where the command was typed.

    Raises
    ------
    CommandError
        Names what is missing and what there is.
    """
    known = sorted(file.stem for file in (folder / "config").glob("*.toml"))
    if not environment:
        if len(known) != 1:
            there = f"config/ has {', '.join(known)}" if known else "there is no config/ here"
            raise wrong_usage(f"which environment? give --env, or set STEPSHIP_ENV; {there}")
        environment = known[0]
    if not NAME.fullmatch(environment):
        raise wrong_usage(f"--env {environment!r} is no name of an environment: a-z, 0-9 and - are allowed")
    if known and not app and environment not in known:
        raise wrong_usage(
            f"--env {environment}: there is no config/{environment}.toml here; config/ has {', '.join(known)}. "
            "For an environment of another folder, give --app too, or set STEPSHIP_APP"
        )
    options = f"--env {environment}" + (f" --app {app}" if app else "")
    app = app or _app_of(folder / "config" / f"{environment}.toml")
    if not app:
        there = "does not name it" if known else "is not here"
        raise wrong_usage(f"which application? give --app, or set STEPSHIP_APP: config/{environment}.toml {there}")
    return Target(app, environment, options)


def _app_of(file: Path) -> str | None:
    """Read ``app`` alone: an environment whose file has a mistake elsewhere can still be read."""
    try:
        app = tomllib.loads(file.read_text(encoding="utf-8")).get("app")
    except FileNotFoundError:
        return None
    except ValueError as error:  # no UTF-8, or no TOML
        raise wrong_usage(f"config/{file.name} is not TOML: {error}") from error
    return app if isinstance(app, str) else None

"""The config of a run: the committed ``config/dev.toml``, changed in what follows from the run's names and in times."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.e2e.infrastructure import Changes, config_folder
from tools.acceptance.world.account import ENVIRONMENT, Account, Run

SERVICES = {"api": 1, "worker": 2, "scheduler": 2}
"""Service to wave, as the stacks of the platform have them: the chapters of ``tests/e2e`` know them by these names."""

MIGRATION = "migration"
COMMANDS = {**{name: name for name in SERVICES}, MIGRATION: "migrate"}
"""The word that a container is started with."""

BAKE_SECONDS = 20
EMULATED_BAKE_SECONDS = 2
"""The functions measure it by the real clock, which no emulator can speed up (``tests/e2e/infrastructure.py``)."""


def changes(run: Run, account: Account) -> Changes:
    """Return what a run's config has otherwise than ``config/dev.toml``."""
    bake = EMULATED_BAKE_SECONDS if account.endpoint else BAKE_SECONDS
    return {
        ("platform", "enabled"): "false",
        ("image", "repositories"): json.dumps([run.app]),
        ("circuit_breaker", "alarms"): "[]",
        ("rollout", "bake_seconds"): str(bake),
        ("rollout", "bake_poll_seconds"): str(min(bake, 5)),
        ("machine", "log_retention_days"): "1",
        ("permissions", "clusters"): json.dumps([run.prefix]),
        ("permissions", "role_path"): f'"/{run.app}/{ENVIRONMENT}/"',
        ("permissions", "secret_prefix"): f'"{run.app}/{ENVIRONMENT}/"',
        ("permissions", "log_group_prefix"): f'"/{run.app}/{ENVIRONMENT}/"',
    }


STRICTER: Changes = {
    ("approval", "required"): "true",
    ("image", "max_critical_findings"): "0",
    ("image", "max_high_findings"): "0",
}
"""What the later chapters have on top: a person is asked, and an image with findings is refused.

A scan is not required: whether ECR scans an image with nothing in it but a list of packages is for the chapter to see.
"""


def write(folder: Path, run: Run, account: Account, *, strict: bool) -> Path:
    """Write the config into a new folder; returns it."""
    config_folder(folder, {**changes(run, account), **(STRICTER if strict else {})})
    file = folder / f"{ENVIRONMENT}.toml"
    text = file.read_text(encoding="utf-8")
    text, count = re.subn(r'(?m)^app = ".*"$', f'app = "{run.app}"', text)
    if count != 1:
        raise ValueError(f"{file.name} has {count} keys app where it must have one")
    text = re.sub(r'(?m)^cost_center = ".*"$', f'cost_center = "{run.app}"', text)
    file.write_text(text + _registry(run), encoding="utf-8")
    return folder


def _registry(run: Run) -> str:
    """Return the services as a config lists those that it finds: the coordinator publishes their catalog parameters.

    The migration is published by ``templates.py``: a config would want subnets for it, and a task that has its own gets
    no public address, so it could not pull its image from a public subnet.
    """
    lines = []
    for name, wave in SERVICES.items():
        entry = {"service": f"{run.prefix}-{name}", **catalog_entry(run, name), "wave": wave}
        lines += ["", f"[services.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
    return "\n".join([*lines, ""])


def catalog_entry(run: Run, name: str) -> dict[str, object]:
    """Return what a catalog parameter says of a service and of the migration alike."""
    return {"cluster": run.prefix, "family": f"{run.prefix}-{name}", "container": name, "repository": run.app}

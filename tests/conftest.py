"""What several folders of tests share: the Node of the wheel, and one synthesised app."""

from __future__ import annotations

import fcntl
import gc
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

from statemachine.node import use_packaged_node

ROOT = Path(__file__).parent.parent

use_packaged_node()
# How long an example takes says something about the machine alone.
settings.register_profile("stepship", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stepship")
# It takes 3 to 8 seconds an app; `make synth` runs it.
os.environ.setdefault("CDK_VALIDATION", "false")
# The stacks must fit any account, whatever the shell of the tests says.
os.environ.pop("CDK_DEFAULT_ACCOUNT", None)

SERVICES = """
[services.api]
cluster = "v3-backend-dev"
service = "v3-backend-dev-api"
family = "v3-backend-dev-api"
container = "v3-backend-api"
repository = "v3-backend"
wave = 1

[services.migration]
kind = "migration"
cluster = "v3-backend-dev"
family = "v3-backend-dev-migration"
container = "v3-backend-migration"
repository = "v3-backend"
subnets = ["subnet-0123456789abcdef0"]
security_groups = ["sg-0123456789abcdef0"]
"""


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what was imported, and come less often: a tenth of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _once() -> Iterator[None]:
    """Do once what botocore does again for each session, and typer for each command that is typed: 0.1 s each."""
    with (
        patch.object(botocore.session, "create_loader", cache(botocore.session.create_loader)),
        patch.object(typer.testing, "_get_command", cache(typer.main.get_command)),
    ):
        yield


@pytest.fixture(scope="session")
def config_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed config files with a GitHub repository, and ``own``: a team that brings its cluster."""
    folder = tmp_path_factory.mktemp("config")
    for file in (ROOT / "config").glob("*.toml"):
        text = file.read_text(encoding="utf-8").replace('repository = ""', 'repository = "example-org/v3-backend"')
        (folder / file.name).write_text(text, encoding="utf-8")
    own = (ROOT / "config" / "dev.toml").read_text(encoding="utf-8").replace('"dev"', '"own"', 1)
    own = own.replace("enabled = true\n\n[github]", "enabled = false\n\n[github]")
    (folder / "own.toml").write_text(own + SERVICES, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def app_templates(config_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The templates of all stacks of all environments by name; cdk-nag has passed, or this fails.

    The workers of one run share them: whoever comes first makes them, and the others wait for the file.
    """
    mine = tmp_path_factory.getbasetemp()
    file = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "app-templates.json"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            written = file.with_suffix(".new")
            written.write_text(json.dumps(_synthesised(config_folder)), encoding="utf-8")
            written.replace(file)
    templates: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return templates


def _synthesised(config_folder: Path) -> dict[str, Any]:
    import cdk_app

    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk_app.build({**flags, "aws:cdk:bundling-stacks": []}, folder=config_folder)
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


@pytest.fixture(scope="session")
def templates(app_templates: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The templates of the coordinator stacks by environment."""
    environments = ("dev", "staging", "production", "own")
    return {each: app_templates[f"v3-backend-{each}-deployment-coordinator"] for each in environments}

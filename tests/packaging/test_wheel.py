"""The wheel as a user gets it: one top-level name, a light core, and nothing of the simulator on the way to AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
CORE = ("config", "lambdas", "simulator", "stacks", "statemachine")
EXTRA = ("moto", "yaml", "aws_lambda_powertools", "aws_cdk", "jsii", "constructs", "cdk_nag")
"""What a bare installation does not have."""

BARE = """
import json, sys

wheel, absent, watched, words = json.loads(sys.argv[1])

sys.modules.update(dict.fromkeys(absent))  # an import of these fails
sys.path[:0] = [wheel]
sys.argv = ["stepship", *words]
from stepship.cli.__main__ import main

try:
    main()
finally:
    there = {name.partition(".")[0] for name, module in sys.modules.items() if module}
    print("loaded:", *sorted(there & set(watched)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: what would stand in site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [*(sys.executable, "-m", "hatchling", "build", "--target", "wheel"), "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    with ZipFile(file) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def typed(wheel: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a command in a folder of somebody else's, whose packages have names of ours."""
    for name in CORE:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text("raise ImportError('this package is of the application')\n")
    told = json.dumps([str(wheel), EXTRA, (*EXTRA, "simulator"), words])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    environment |= {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_COLOR": "1",
    }
    command = [sys.executable, "-c", BARE, told]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_has_one_top_level_name(wheel: Path) -> None:
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"stepship"}
    assert {path.name for path in (wheel / "stepship" / "_core").iterdir()} == set(CORE)


def test_the_wheel_holds_every_file_that_is_read_at_run_time(wheel: Path) -> None:
    kinds = ("*.py", "*.json", "*.toml", "*.yaml", "*.js")
    ours = {
        file.relative_to(ROOT).as_posix()
        for name in (*CORE, "stepship")
        for kind in kinds
        for file in (ROOT / name).rglob(kind)
    }
    packed = {file.relative_to(wheel).as_posix() for kind in kinds for file in wheel.rglob(kind)}
    assert {name.removeprefix("stepship/_core/") for name in packed} == ours


def test_help_needs_no_extra(wheel: Path, tmp_path: Path) -> None:
    done = typed(wheel, tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: stepship" in done.stdout
    assert done.stderr.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("command", [("status",), ("deploy", "v1"), ("watch",)])
def test_a_command_for_aws_needs_no_extra_and_loads_no_simulator(
    wheel: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = typed(wheel, tmp_path, *command, "--env", "dev", "--app", "shop")
    assert done.returncode == 1
    *_, said, loaded = done.stderr.splitlines()
    assert said.startswith("stepship: Could not connect to the endpoint URL")
    assert loaded == "loaded:"


@pytest.mark.parametrize("command", [("demo",), ("simulate", "--scenario", "x.yaml")])
def test_the_simulator_is_an_extra_and_a_command_that_needs_it_says_so(
    wheel: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = typed(wheel, tmp_path, *command)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "stepship: this needs the simulator: pip install 'stepship[simulator]'"


def test_the_core_requires_little() -> None:
    core = {line.partition("==")[0] for line in requires("stepship") or () if "extra ==" not in line}
    assert core == {"boto3", "fastjsonschema", "rich", "typer", "tzdata"}

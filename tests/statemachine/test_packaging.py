from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_ZIPPED_BYTES = 2_000_000


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real asset, as it is uploaded."""
    from statemachine.packaging import build_asset

    folder = tmp_path_factory.mktemp("asset")
    build_asset(folder)
    return folder


def test_the_asset_is_small(asset: Path, tmp_path: Path) -> None:
    zipped = shutil.make_archive(str(tmp_path / "asset"), "zip", asset)
    assert Path(zipped).stat().st_size <= MAX_ZIPPED_BYTES


def test_of_ours_the_asset_holds_the_package_alone(asset: Path) -> None:
    ours = {path.name for path in ROOT.iterdir()} & {path.name for path in asset.iterdir()}
    assert ours == {"lambdas"}
    copied = {path.relative_to(asset / "lambdas") for path in (asset / "lambdas").rglob("*") if path.is_file()}
    sources = {path.relative_to(ROOT / "lambdas") for path in (ROOT / "lambdas").rglob("*.py")}
    assert copied == {*sources, Path("input.schema.json")}


def test_the_schema_of_the_input_travels_with_the_package(asset: Path) -> None:
    there = (asset / "lambdas" / "input.schema.json").read_bytes()
    assert there == (ROOT / "statemachine" / "input.schema.json").read_bytes()


def test_nothing_in_the_asset_depends_on_the_machine_that_built_it(asset: Path) -> None:
    names = {path.name for path in asset.rglob("*")}
    assert not {"bin", "__pycache__", "RECORD", "INSTALLER", "direct_url.json", ".lock"} & names
    assert not [path for path in asset.rglob("*") if path.suffix in {".pyc", ".so"}]


def test_what_the_runtime_has_is_not_brought_along(asset: Path) -> None:
    assert not {"boto3", "botocore", "s3transfer", "urllib3"} & {path.name for path in asset.iterdir()}


def test_the_asset_imports_without_this_projects_environment(asset: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(asset)!r})
import aws_lambda_powertools, fastjsonschema, lambdas.settings
for module in (aws_lambda_powertools, fastjsonschema, lambdas.settings):
    assert module.__file__.startswith({str(asset)!r}), module.__file__
from aws_lambda_powertools import Logger, Metrics
"""
    # -S leaves site-packages out: what is not in the asset is not there.
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], check=True)


def test_two_builds_are_equal(asset: Path, tmp_path: Path) -> None:
    from statemachine.packaging import build_asset

    build_asset(tmp_path / "again")
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (asset, tmp_path / "again")
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "changed",
    [
        "lambdas/settings.py",
        "lambdas/requirements.txt",
        "statemachine/input.schema.json",
        "statemachine/packaging.py",
    ],
)
def test_the_hash_follows_what_the_asset_is_made_from_and_not_its_place(changed: str, tmp_path: Path) -> None:
    from statemachine.packaging import asset_hash

    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("lambdas", "statemachine"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    assert asset_hash(tmp_path) == asset_hash(ROOT)
    with (tmp_path / changed).open("a") as file:
        file.write("\n")
    assert asset_hash(tmp_path) != asset_hash(ROOT)


def test_the_cdk_builds_the_asset_without_docker(tmp_path: Path) -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_lambda as lambda_

    from statemachine import packaging

    app = cdk.App(outdir=str(tmp_path))
    lambda_.Function(
        cdk.Stack(app, "Stack"),
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="lambdas.handlers.plan.handler",
        code=packaging.code(),
    )
    app.synth()
    (staged,) = tmp_path.glob("asset.*")
    assert (staged / "lambdas" / "settings.py").exists()
    assert (staged / "fastjsonschema").is_dir()


def test_the_pins_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies = [*project["dependencies"], *project["optional-dependencies"]["simulator"]]
    pinned = [line.split(" ")[0] for line in (ROOT / "lambdas" / "requirements.txt").read_text().splitlines()]
    for name in ("aws-lambda-powertools", "fastjsonschema"):
        (ours,) = (each for each in dependencies if each.startswith(f"{name}=="))
        assert ours in pinned

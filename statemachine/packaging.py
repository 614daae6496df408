"""The functions' one asset, built without docker: ``lambdas/`` beside its pinned wheels, nothing else.

::

    asset/
    ├── lambdas/               the package, with input.schema.json from statemachine/
    ├── aws_lambda_powertools/ fastjsonschema/ jmespath/ typing_extensions.py
    └── *.dist-info/METADATA   by which Amazon Inspector knows the versions that it scans
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

ROOT = Path(__file__).parent.parent
PACKAGE = "lambdas"
REQUIREMENTS = "lambdas/requirements.txt"
INPUT_SCHEMA = "statemachine/input.schema.json"
PYTHON_VERSION = "3.13"
PLATFORM = "aarch64-manylinux2014"
KEPT_METADATA = "METADATA"


def build_asset(target: Path) -> None:
    """Write the content of the asset into a folder.

    Parameters
    ----------
    target
        An empty or missing folder.

    Raises
    ------
    subprocess.CalledProcessError
        uv could not install a wheel, or a wheel's hash is not the pinned one.
    """
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
            *("--requirements", str(ROOT / REQUIREMENTS), "--target", str(target)),
            *("--python-platform", PLATFORM, "--python-version", PYTHON_VERSION),
            *("--only-binary", ":all:", "--no-compile-bytecode", "--link-mode", "copy"),
        ],
        check=True,
        # The interpreter of Lambda is not needed to unpack wheels for it.
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
    )
    _remove_ballast(target)
    for source in _sources(ROOT):
        copy = target / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    schema = ROOT / INPUT_SCHEMA
    shutil.copyfile(schema, target / PACKAGE / schema.name)


def asset_hash(root: Path = ROOT) -> str:
    """Return a hash of everything that the asset is made from, the same on every machine.

    Parameters
    ----------
    root
        The checkout.
    """
    digest = hashlib.sha256()
    for file in (*_sources(root), root / REQUIREMENTS, root / INPUT_SCHEMA, root / "statemachine" / "packaging.py"):
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def code() -> lambda_.Code:
    """Return the asset for the functions; it is built at synthesis, if the stack is bundled at all."""
    return lambda_.Code.from_asset(
        str(ROOT / PACKAGE),
        asset_hash=asset_hash(),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        bundling=cdk.BundlingOptions(image=cdk.DockerImage.from_registry("docker-is-not-used"), local=_WithUv()),
    )


@jsii.implements(cdk.ILocalBundling)
class _WithUv:
    """Local bundling with uv. An error ends the synthesis: the CDK must not fall back to docker."""

    # jsii hands the options over as one argument, though the interface declares them as keywords.
    def try_bundle(self, output_dir: str, *_: Any, **__: Any) -> bool:
        build_asset(Path(output_dir))
        return True


def _sources(root: Path) -> Iterator[Path]:
    yield from sorted((root / PACKAGE).rglob("*.py"))


def _remove_ballast(target: Path) -> None:
    # The scripts' first lines name this machine's Python, so they would change the content by machine.
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for folder in [*target.rglob("__pycache__"), *target.rglob("tests")]:
        shutil.rmtree(folder, ignore_errors=True)
    for metadata in target.glob("*.dist-info"):
        for entry in metadata.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != KEPT_METADATA:
                entry.unlink()

"""The asset of an application's functions: one folder of the repository, packed as it is."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_lambda as lambda_

ROOT = Path(__file__).parents[2] / "workload"


def application_code(package: str) -> lambda_.Code:
    """Return a package of this repository as the code of functions that need nothing but what Lambda's runtime has.

    It stays a package in the asset, so that a function is ``<package>.<module>.handler`` there and its imports read
    the same as in the tests.

    Parameters
    ----------
    package
        A folder below the root, such as ``search``; its Python and JSON files are packed.

    Raises
    ------
    FileNotFoundError
        There is no such folder: a checkout without it would make functions without code.
    """
    if not list((ROOT / package).glob("*.py")):
        raise FileNotFoundError(f"{package}/ has no Python files: check it out too, it is the code of functions")
    return lambda_.Code.from_asset(
        str(ROOT),
        # The last pattern that matches decides. `*` alone leaves out names that begin with a dot.
        exclude=["*", ".*", f"!{package}", f"!{package}/*.py", f"!{package}/*.json"],
    )

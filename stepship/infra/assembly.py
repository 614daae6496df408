"""Templates that were synthesised before: whether they are those of this environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from stepship.errors import wrong_usage

MANIFEST = "manifest.json"
STACK = "aws:cloudformation:stack"
"""The type of an artifact that is a stack (schema of the cloud assembly, ``ArtifactType``)."""


def check_assembly(folder: Path, stacks: Sequence[str], environment: str) -> None:
    """Check that templates of these stacks were synthesised to a folder.

    Parameters
    ----------
    folder
        What ``cdk synth --output`` was given.
    stacks
        Their names in CloudFormation.
    environment
        Whose stacks they are.

    Raises
    ------
    CommandError
        There is no assembly, or it lacks one of them; says how to make it.
    """
    make = f"`node_modules/.bin/cdk synth --context environment={environment} --output {folder}`"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise wrong_usage(f"--assembly {folder}: nothing was synthesised to it: {make}") from error
    there = {
        artifact.get("properties", {}).get("stackName", name)
        for name, artifact in manifest.get("artifacts", {}).items()
        if artifact.get("type") == STACK
    }
    missing = [name for name in stacks if name not in there]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise wrong_usage(
            f"--assembly {folder} lacks {missing[0]}{more}: it was made of another environment or config; {make}"
        )

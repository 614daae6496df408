"""The CDK app: ``cdk synth``, or ``cdk deploy -c environment=dev '*'`` for one environment.

Account and region come from the shell that deploys (``CDK_DEFAULT_ACCOUNT``); without them the templates fit any.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statemachine.node import use_packaged_node

use_packaged_node()

# What is imported below starts Node: it must be ours, so it is chosen first.
import aws_cdk as cdk  # noqa: E402 (Node is chosen first)
from cdk_nag import AwsSolutionsChecks  # noqa: E402 (the same)

import config  # noqa: E402 (the same)
from stacks.assembly import add_stacks  # noqa: E402 (the same)
from stacks.image import ImageError  # noqa: E402 (the same)
from stacks.stages import StageError  # noqa: E402 (the same)


def build(context: Mapping[str, Any] | None = None, *, folder: Path = config.FOLDER) -> cdk.App:
    """Return the app with the stacks of one or of all environments.

    Parameters
    ----------
    context
        As after ``cdk -c``: ``environment`` chooses one environment, ``imageUri`` or ``imageTag`` the image of
        the services (``stacks/image.py``), ``config`` another folder of config files.
    folder
        Where the config files are.

    Raises
    ------
    config.ConfigError
        A config file cannot be used, or the context names no environment.
    stacks.image.ImageError
        The context names no image.
    stacks.stages.StageError
        The stacks cannot be deployed in the order of their stages.
    """
    app = cdk.App(context=dict(context or {}))
    folder = Path(app.node.try_get_context("config") or folder)
    chosen = app.node.try_get_context("environment")
    if chosen == "":
        known = ", ".join(config.environments(folder))
        fix = f"give one of {known}, or leave it out for all"
        raise config.ConfigError((config.Problem("context", "environment", "is empty", fix),))
    account, region = os.environ.get("CDK_DEFAULT_ACCOUNT"), os.environ.get("CDK_DEFAULT_REGION")
    for name in [chosen] if chosen else config.environments(folder):
        settings = config.load(name, folder)
        add_stacks(app, settings, env=cdk.Environment(account=account, region=region) if account else None)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def main() -> None:
    """Write the templates; what is wrong with a config file or the context is said in words, without a traceback."""
    try:
        app = build()
    except (config.ConfigError, ImageError, StageError) as error:
        sys.exit(str(error))
    app.synth()


if __name__ == "__main__":
    main()

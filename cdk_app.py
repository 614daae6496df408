"""The CDK app: ``cdk synth``, or ``cdk deploy -c environment=dev '*'`` for one environment.

Account and region come from the shell that deploys (``CDK_DEFAULT_ACCOUNT``); without them the templates fit any.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statemachine.node import use_packaged_node

use_packaged_node()

# What is imported below starts Node: it must be ours, so it is chosen first.
import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

import config
from config import EnvironmentConfig
from stacks.application.api_gateway_stack import ApiGatewayStack
from stacks.application.api_service_stack import ApiServiceStack
from stacks.application.lambda_stack import LambdaStack
from stacks.application.migration_stack import MigrationStack
from stacks.application.scheduler_service_stack import SchedulerServiceStack
from stacks.application.search_lambda_stack import SearchLambdaStack
from stacks.application.search_service_stack import SearchServiceStack
from stacks.application.worker_service_stack import WorkerServiceStack
from stacks.bootstrap.bootstrap_stack import BootstrapStack
from stacks.bootstrap.deployment_coordinator_stack import DeploymentCoordinatorStack
from stacks.constructs.carried_image import ImageError
from stacks.data.aurora_stack import AuroraStack
from stacks.data.db_migration_stack import DbMigrationStack
from stacks.data.dynamodb_stack import DynamoDbStack
from stacks.delivery.cicd_stack import CicdStack
from stacks.delivery.frontend_cicd_stack import FrontendCicdStack
from stacks.environment_stack import EnvironmentStack
from stacks.frontend.frontend_stack import FrontendStack
from stacks.infrastructure.compute_shared_stack import ComputeSharedStack
from stacks.infrastructure.log_forwarder_stack import LogForwarderStack
from stacks.infrastructure.monitoring_stack import MonitoringStack
from stacks.infrastructure.network_stack import NetworkStack
from stacks.infrastructure.search_infra_stack import SearchInfraStack
from stacks.stages import STAGES, Stage, StageError, chosen, parts

STACKS: tuple[type[EnvironmentStack], ...] = (
    ApiGatewayStack,
    ApiServiceStack,
    AuroraStack,
    BootstrapStack,
    CicdStack,
    ComputeSharedStack,
    DbMigrationStack,
    DeploymentCoordinatorStack,
    DynamoDbStack,
    FrontendCicdStack,
    FrontendStack,
    LambdaStack,
    LogForwarderStack,
    MigrationStack,
    MonitoringStack,
    NetworkStack,
    SchedulerServiceStack,
    SearchInfraStack,
    SearchLambdaStack,
    SearchServiceStack,
    WorkerServiceStack,
)
"""The class of each part. Their order says nothing; ``stages.STAGES`` does."""


def kinds(
    stages: Sequence[Stage] = STAGES, stacks: Sequence[type[EnvironmentStack]] = STACKS
) -> dict[str, type[EnvironmentStack]]:
    """Return the class of each part by its name.

    Raises
    ------
    StageError
        A class is in no stage, or a part of a stage has no class.
    """
    known, made = parts(stages), {kind.PART: kind for kind in stacks}
    problems = [
        f"{kind.__name__} ({part}) is in no stage of stacks/stages.py"
        for part, kind in made.items()
        if part not in known
    ]
    problems += [f"{part} of stacks/stages.py has no class in cdk_app.py" for part in known if part not in made]
    if problems:
        raise StageError("; ".join(problems))
    return made


def add_stacks(app: cdk.App, settings: EnvironmentConfig, **kwargs: Any) -> list[EnvironmentStack]:
    """Add all stacks that an environment has to the app; the coordinator's alone where the platform is not enabled.

    Parameters
    ----------
    app, settings
        The app and the environment.
    **kwargs
        As for ``aws_cdk.Stack``.

    Raises
    ------
    StageError
        Stages and stacks do not fit each other, or the environment lacks a part that another one needs.
    """
    by_part = kinds()
    stages = chosen(settings)
    made = {part: by_part[part](app, settings=settings, **kwargs) for part in parts(stages)}
    for part in parts(stages).values():
        for need in part.earlier:
            made[part.name].add_stack_dependency(made[need], reason=f"{part.name} needs {need}")
    return list(made.values())


def build(context: Mapping[str, Any] | None = None, *, folder: Path = config.FOLDER) -> cdk.App:
    """Return the app with the stacks of one or of all environments.

    Parameters
    ----------
    context
        As after ``cdk -c``: ``environment`` chooses one environment, ``imageUri`` or ``imageTag`` the image of
        the services (``stacks/constructs/carried_image.py``), ``config`` another folder of config files.
    folder
        Where the config files are.

    Raises
    ------
    config.ConfigError
        A config file cannot be used, or the context names no environment.
    stacks.constructs.carried_image.ImageError
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

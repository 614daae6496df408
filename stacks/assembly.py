"""The stacks of an environment, made in the order of ``stages.py`` and told whom each has to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk

from config import EnvironmentConfig
from stacks.api_gateway_stack import ApiGatewayStack
from stacks.api_service_stack import ApiServiceStack
from stacks.aurora_stack import AuroraStack
from stacks.bootstrap_stack import BootstrapStack
from stacks.cicd_stack import CicdStack
from stacks.compute_shared_stack import ComputeSharedStack
from stacks.db_migration_stack import DbMigrationStack
from stacks.deployment_coordinator_stack import DeploymentCoordinatorStack
from stacks.dynamodb_stack import DynamoDbStack
from stacks.environment_stack import EnvironmentStack
from stacks.frontend_cicd_stack import FrontendCicdStack
from stacks.frontend_stack import FrontendStack
from stacks.lambda_stack import LambdaStack
from stacks.log_forwarder_stack import LogForwarderStack
from stacks.migration_stack import MigrationStack
from stacks.monitoring_stack import MonitoringStack
from stacks.network_stack import NetworkStack
from stacks.scheduler_service_stack import SchedulerServiceStack
from stacks.search_infra_stack import SearchInfraStack
from stacks.search_lambda_stack import SearchLambdaStack
from stacks.search_service_stack import SearchServiceStack
from stacks.stages import STAGES, Stage, StageError, chosen, parts
from stacks.worker_service_stack import WorkerServiceStack

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
    problems += [f"{part} of stacks/stages.py has no class in stacks/assembly.py" for part in known if part not in made]
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

"""The stacks of an environment and what each needs to be there before it, in the order in which they deploy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk

from config import EnvironmentConfig
from stacks.api_service_stack import ApiServiceStack
from stacks.bootstrap_stack import BootstrapStack
from stacks.compute_shared_stack import ComputeSharedStack
from stacks.deployment_coordinator_stack import DeploymentCoordinatorStack
from stacks.environment_stack import EnvironmentStack
from stacks.log_forwarder_stack import LogForwarderStack
from stacks.migration_stack import MigrationStack
from stacks.monitoring_stack import MonitoringStack
from stacks.network_stack import NetworkStack
from stacks.scheduler_service_stack import SchedulerServiceStack
from stacks.worker_service_stack import WorkerServiceStack

NEEDS: Mapping[type[EnvironmentStack], tuple[type[EnvironmentStack], ...]] = {
    BootstrapStack: (),
    DeploymentCoordinatorStack: (),
    NetworkStack: (),
    ComputeSharedStack: (NetworkStack,),
    ApiServiceStack: (BootstrapStack, ComputeSharedStack),
    WorkerServiceStack: (BootstrapStack, ComputeSharedStack),
    SchedulerServiceStack: (BootstrapStack, ComputeSharedStack),
    MigrationStack: (BootstrapStack, ComputeSharedStack),
    LogForwarderStack: (ComputeSharedStack,),
    MonitoringStack: (ComputeSharedStack,),
}
"""A stack reads parameters of those that it needs, so they are deployed before it; what nobody needs can go at any
time. The coordinator needs nobody: a team with a cluster of its own deploys it alone."""


def add_stacks(app: cdk.App, settings: EnvironmentConfig, **kwargs: Any) -> list[EnvironmentStack]:
    """Add all stacks of an environment to the app; the coordinator's alone where the platform is not enabled.

    Parameters
    ----------
    app, settings
        The app and the environment.
    **kwargs
        As for ``aws_cdk.Stack``.
    """
    made: dict[type[EnvironmentStack], EnvironmentStack] = {}
    for kind, needed in NEEDS.items():
        if not settings.platform.enabled and kind is not DeploymentCoordinatorStack:
            continue
        made[kind] = kind(app, settings=settings, **kwargs)
        for each in needed:
            made[kind].add_stack_dependency(made[each], reason=f"{kind.PART} needs {each.PART}")
    return list(made.values())

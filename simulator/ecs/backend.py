"""The simulated ECS: moto's backend with services and tasks that live in virtual time.

`installed` puts it, and the simulated ECR, in moto's class slots; from then on plain boto3 calls under `mock_aws`
reach it. moto keeps clusters, tags and account settings. Time advances lazily: each call first lets everything
happen that is due at `clock.now()`.

Differences from AWS that matter are listed in docs/reference/simulator.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

from moto.ecr.models import ECRBackend, ecr_backends
from moto.ecs.models import EC2ContainerServiceBackend, ecs_backends

from simulator.ecs.context import EcsContext
from simulator.ecs.ecr import SimulatedEcr
from simulator.ecs.operations import EcsOperations
from simulator.ecs.responses import SimulatedEcsResponse


class SimulatedEcs(EC2ContainerServiceBackend):
    """moto's ECS backend; `live` holds what moves. One per account and region, made by moto on first use."""

    simulated: ClassVar[EcsContext]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.live = EcsOperations(self, self.simulated)

    @property
    def _url_module(self) -> Any:
        # Where moto looks up which class answers: the slot for our own response class.
        return SimpleNamespace(
            url_bases=[r"https?://ecs\.(.+)\.amazonaws\.com"], url_paths={"{0}/$": SimulatedEcsResponse.dispatch}
        )

    def _get_resource(self, resource_arn: str, parsed_arn: dict[str, str]) -> Any:
        # TagResource, UntagResource and ListTagsForResource ask here for the object that has `tags`.
        return self.live.tagged(resource_arn) or super()._get_resource(resource_arn, parsed_arn)


# moto finds the service of a backend, and its urls, by the module that the class claims to be from.
SimulatedEcs.__module__ = "moto.ecs.models"


@contextmanager
def installed(simulated: EcsContext) -> Iterator[None]:
    """Let moto use the simulated ECS and ECR with this world; at the end moto gets its own backends back.

    Enter it before `mock_aws` (or `SimulatedAws`) starts, so that no backend exists yet:

    >>> aws = SimulatedAws()                                                    # doctest: +SKIP
    >>> with installed(EcsContext(aws.clock)), aws:
    ...     push_image(aws.client("ecr"), "v3-backend", "v1", ImageBehavior(outcome="crash"))
    """
    SimulatedEcs.simulated = SimulatedEcr.simulated = simulated
    ecs_backends.backend, ecr_backends.backend = SimulatedEcs, SimulatedEcr
    ecs_backends.clear()
    ecr_backends.clear()
    try:
        yield
    finally:
        ecs_backends.backend, ecr_backends.backend = EC2ContainerServiceBackend, ECRBackend
        ecs_backends.clear()
        ecr_backends.clear()


def live_ecs(account_id: str, region: str) -> EcsOperations:
    """What runs in an account and region, for a live view or a check at rest: no AWS call.

    Raises
    ------
    TypeError
        If the simulated ECS is not installed.
    """
    backend = ecs_backends[account_id][region]
    if not isinstance(backend, SimulatedEcs):
        raise TypeError("the simulated ECS is not installed: use `with installed(world)`")
    return backend.live

"""What an account must have before the stacks of an environment can be created: roles of AWS's services, and quotas.

Data and arithmetic, no CDK and no AWS: ``stepship infra`` looks whether it is there and creates the roles
(``stepship/account/``), and the role of GitHub's job may do that (``deployer_grants.py``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from config import EnvironmentConfig

CPU_UNITS = 1024
"""Of Fargate, for one vCPU."""


@dataclass(frozen=True)
class ServiceRole:
    """A service-linked role. The first use of its service creates it, and may fail because it is not there yet.

    Attributes
    ----------
    service
        Whose it is, as ``iam:CreateServiceLinkedRole`` takes it: ``ecs.amazonaws.com``.
    name
        What the service calls it.
    parts
        Parts of ``stages.py`` with a resource that needs it.
    """

    service: str
    name: str
    parts: tuple[str, ...]

    @property
    def path(self) -> str:
        """What follows ``role/`` in its ARN (IAM User Guide, "Create a service-linked role")."""
        return f"aws-service-role/{self.service}/{self.name}"


ROLES: tuple[ServiceRole, ...] = (
    # "Unable to assume the service linked role" (ECS Developer Guide, "Using service-linked roles for Amazon ECS").
    ServiceRole(
        "ecs.amazonaws.com",
        "AWSServiceRoleForECS",
        ("compute-shared", "api-service", "worker-service", "scheduler-service", "search-service"),
    ),
    ServiceRole(
        "elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing", ("compute-shared", "api-service")
    ),
    ServiceRole(
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        ("api-service", "worker-service"),
    ),
    ServiceRole("rds.amazonaws.com", "AWSServiceRoleForRDS", ("aurora",)),
    # "Creation of this role might take up to 15 minutes. Until it exists, notification rule creation will fail"
    # (its own ConfigurationException; CloudFormation says "Invalid request provided").
    ServiceRole(
        "codestar-notifications.amazonaws.com", "AWSServiceRoleForCodeStarNotifications", ("cicd", "frontend-cicd")
    ),
    ServiceRole("elasticfilesystem.amazonaws.com", "AWSServiceRoleForAmazonElasticFileSystem", ("search-infra",)),
)


@dataclass(frozen=True)
class Quota:
    """How much of something the account must be allowed.

    Attributes
    ----------
    service, code
        As Service Quotas has it.
    name
        Its name there.
    least
        Without so much the stacks cannot be created.
    wanted
        Without so much a code deploy has to wait, or fails.
    """

    service: str
    code: str
    name: str
    least: float
    wanted: float


FARGATE, FARGATE_SPOT, ELASTIC_IPS = "L-3032A538", "L-36FBB829", "L-0263D0A3"
"""Codes of the quotas, which are the same in every account and region."""


def roles_of(parts: Collection[str]) -> tuple[ServiceRole, ...]:
    """Return the roles that these parts need."""
    return tuple(role for role in ROLES if not set(parts).isdisjoint(role.parts))


def quotas_of(settings: EnvironmentConfig, parts: Collection[str]) -> tuple[Quota, ...]:
    """Return the quotas that these parts need something of.

    A deploy starts the new tasks of a wave beside the old ones, so it wants the largest wave twice. Worked example: an
    API of 3 tasks of 1 vCPU in wave 1, and in wave 2 a worker of 2 and a scheduler of 1, of 0.5 and 0.25: 4.25 vCPU at
    rest, and 7.25 while wave 1 is deployed.
    """
    services = {
        "api-service": (settings.api, settings.api.min_tasks),
        "worker-service": (settings.worker, settings.worker.min_tasks),
        "scheduler-service": (settings.scheduler, 1),
    }
    # The search server's old task ends before the new one begins.
    rest = settings.search.cpu / CPU_UNITS if "search-service" in parts else 0.0
    waves: dict[int, float] = {}
    for part, (task, count) in services.items():
        if part in parts:
            vcpu = count * task.cpu / CPU_UNITS
            rest += vcpu
            waves[task.wave] = waves.get(task.wave, 0.0) + vcpu
    code, name = (FARGATE_SPOT, "Fargate Spot") if settings.compute.spot else (FARGATE, "Fargate On-Demand")
    addresses = settings.network.nat_gateways if "network" in parts else 0
    every = (
        Quota("fargate", code, f"{name} vCPU resource count", rest, rest + max(waves.values(), default=0.0)),
        Quota("ec2", ELASTIC_IPS, "EC2-VPC Elastic IPs", addresses, addresses),
    )
    return tuple(each for each in every if each.least)

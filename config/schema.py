"""The sections of ``config/<environment>.toml`` as frozen types.

A section that a function reads is a policy of ``lambdas/release/policies.py``, so a key has one spelling from
the TOML file to the handler. The sections below are read at deploy time only, or add deploy-time keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from config.application import ApiGateway, Frontend, Functions
from config.aurora import Aurora
from config.dynamodb import DynamoDb
from config.pipeline import FrontendPipeline, Pipeline
from config.platform import (
    Api,
    Bootstrap,
    Compute,
    GitHub,
    Logs,
    MigrationSettings,
    Network,
    Platform,
    Scheduler,
    Worker,
)
from config.search import Search
from lambdas.release.policies import (
    AcceptedFinding,
    ApprovalPolicy,
    CircuitBreakerPolicy,
    FreezePolicy,
    Identity,
    ImagePolicy,
    LockPolicy,
    MachinePolicy,
    MigrationPolicy,
    Policy,
    RolePolicy,
    RolloutPolicy,
)

POLICIES: tuple[type[Policy], ...] = (
    ImagePolicy,
    LockPolicy,
    RolloutPolicy,
    CircuitBreakerPolicy,
    MigrationPolicy,
    ApprovalPolicy,
    FreezePolicy,
    MachinePolicy,
    RolePolicy,
)
"""The sections that travel to the functions as environment variables."""


@dataclass(frozen=True)
class FindingException(AcceptedFinding):
    """``[image] accepted_findings``: a finding of the image scan that has no fix yet, and does not count until a date.

    Attributes
    ----------
    reason
        Why that is no danger, for whoever reads the file; the functions are not told.
    """

    reason: str


@dataclass(frozen=True)
class ImageSettings(ImagePolicy):
    """``[image]``: which images may be deployed, and what the functions may read of them.

    Attributes
    ----------
    accepted_findings
        Findings that have no fix yet and do not count until a date.
    repositories
        Names of the ECR repositories that the functions may read.
    scan_wait_seconds
        How long ``Verify image`` waits for a scan that still runs.
    """

    accepted_findings: tuple[FindingException, ...]
    repositories: tuple[str, ...]
    scan_wait_seconds: int

    def told(self) -> ImagePolicy:
        """Return what the functions are told: a function's environment holds 4 KB."""
        entries = tuple(AcceptedFinding(each.id, each.until) for each in self.accepted_findings)
        return ImagePolicy(self.scan_required, self.max_critical_findings, self.max_high_findings, entries)


@dataclass(frozen=True)
class EcrPush:
    """``[ecr_push]``: whether a pushed tag starts a deployment by itself.

    Attributes
    ----------
    enabled
        Whether it does; else a person or CI starts it.
    tag_patterns
        EventBridge wildcards, such as ``sha-*``; a tag that matches none starts nothing.
    """

    enabled: bool
    tag_patterns: tuple[str, ...]


@dataclass(frozen=True)
class Machine(MachinePolicy):
    """``[machine]``: the state machine itself.

    Attributes
    ----------
    timeout_seconds
        No execution runs longer; one that would is ended and rolled back.
    log_retention_days
        How long the log groups of the functions and of the machine keep their events.
    """

    log_retention_days: int


@dataclass(frozen=True)
class Permissions:
    """``[permissions]``: the names that limit what the functions may touch.

    Attributes
    ----------
    clusters
        Names of the ECS clusters whose services may be deployed.
    role_path
        Path, or path and beginning of the name, of the roles that task definitions may carry.
    secret_prefix
        Beginning of the names of the secrets and parameters whose existence the preflight checks.
    log_group_prefix
        Beginning of the names of the log groups whose last lines explain a failure.
    """

    clusters: tuple[str, ...]
    role_path: str
    secret_prefix: str
    log_group_prefix: str


@dataclass(frozen=True)
class Service:
    """``[services.<name>]``: an ECS service that exists already and takes part in deployments.

    Its catalog parameter is written by the coordinator's stack, for a team whose own stacks do not
    publish one.
    """

    cluster: str
    service: str
    family: str
    container: str
    repository: str
    wave: int

    def catalog_entry(self) -> dict[str, object]:
        """Return the JSON object of the parameter ``/<app>/<environment>/services/<name>``."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True)
class MigrationTask:
    """``[services.migration]``: the one-off task that runs before any service moves."""

    kind: str
    cluster: str
    family: str
    container: str
    repository: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]

    def catalog_entry(self) -> dict[str, object]:
        """Return the JSON object of the parameter ``/<app>/<environment>/services/migration``."""
        return {
            "kind": self.kind,
            "cluster": self.cluster,
            "family": self.family,
            "container": self.container,
            "repository": self.repository,
            "subnets": list(self.subnets),
            "securityGroups": list(self.security_groups),
        }


@dataclass(frozen=True)
class EnvironmentConfig:
    """Everything that differs between environments.

    Attributes
    ----------
    app, environment
        ``v3-backend`` and ``dev`` in all the names of the contract.
    owner, cost_center
        Tags on every resource.
    services
        Only for services whose own stack does not register them.
    """

    app: str
    environment: str
    owner: str
    cost_center: str
    image: ImageSettings
    ecr_push: EcrPush
    lock: LockPolicy
    rollout: RolloutPolicy
    circuit_breaker: CircuitBreakerPolicy
    migration: MigrationSettings
    approval: ApprovalPolicy
    freeze: FreezePolicy
    machine: Machine
    permissions: Permissions
    platform: Platform
    github: GitHub
    bootstrap: Bootstrap
    network: Network
    logs: Logs
    compute: Compute
    api: Api
    worker: Worker
    scheduler: Scheduler
    search: Search
    aurora: Aurora
    dynamodb: DynamoDb
    functions: Functions
    api_gateway: ApiGateway
    frontend: Frontend
    pipeline: Pipeline
    frontend_pipeline: FrontendPipeline
    services: Mapping[str, Service | MigrationTask] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """The names that every function is told."""
        return Identity(self.app, self.environment, f"{self.app}-{self.environment}-releases")

    @property
    def policies(self) -> Mapping[type[Policy], Policy]:
        """The sections that ``statemachine.steps.Step.environment`` hands to a function.

        A section with deploy-time keys is cut down to the policy: a function must not see keys that
        its own version of the policy does not have.
        """
        narrowed = {policy: _narrow(getattr(self, policy.section), policy) for policy in POLICIES}
        return narrowed | {ImagePolicy: self.image.told()}

    @property
    def is_production(self) -> bool:
        """Whether data outlives the stack: production keeps its table and its logs."""
        return self.environment == "production"


def _narrow(section: object, policy: type[Policy]) -> Policy:
    return policy(**{each.name: getattr(section, each.name) for each in fields(policy)})

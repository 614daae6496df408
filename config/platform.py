"""The sections that size the application's stacks; a team that brings its own cluster leaves them as they are."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.release.policies import MigrationPolicy


@dataclass(frozen=True)
class Platform:
    """``[platform]``: whether there is one.

    Attributes
    ----------
    enabled
        False for a team with a cluster of its own: the app then has the deployment coordinator alone, and the
        sections that size the platform do not matter.
    """

    enabled: bool


@dataclass(frozen=True)
class GitHub:
    """``[github]``: whose workflows may assume the roles of this environment.

    Attributes
    ----------
    repository
        ``owner/name``; empty for no workflow roles. The code role trusts its GitHub environment
        ``<environment>``, the infrastructure role ``<environment>-infra``: each can ask reviewers of its own.
    """

    repository: str


@dataclass(frozen=True)
class Bootstrap:
    """``[bootstrap]``: what an AWS account has once, however many environments live in it.

    Attributes
    ----------
    creates_repository, creates_oidc_provider
        Whether this environment's bootstrap stack creates the ECR repository, and GitHub's identity
        provider. True in one environment per account.
    keep_images
        How many released images the repository keeps.
    """

    creates_repository: bool
    creates_oidc_provider: bool
    keep_images: int


@dataclass(frozen=True)
class Network:
    """``[network]``: the VPC.

    Attributes
    ----------
    cidr
        IPv4 range of the VPC.
    availability_zones
        How many; each has one public and one private subnet.
    nat_gateways
        How many; 0 leaves the private subnets with the endpoints alone.
    interface_endpoints
        AWS services that are reached inside the VPC, such as ``ecr.dkr``; paid by the hour and zone.
        S3 and DynamoDB have gateway endpoints, which cost nothing, in every environment.
    """

    cidr: str
    availability_zones: int
    nat_gateways: int
    interface_endpoints: tuple[str, ...]


@dataclass(frozen=True)
class Logs:
    """``[logs]``: what the services write.

    Attributes
    ----------
    retention_days
        How long CloudWatch keeps it.
    archive_days
        How long the archive in S3, which the log forwarder fills, keeps it.
    """

    retention_days: int
    archive_days: int


@dataclass(frozen=True)
class Compute:
    """``[compute]``: what the services share.

    Attributes
    ----------
    container_insights
        ``enhanced`` or ``enabled``; the worker is scaled by what it measures.
    execute_command
        Whether tasks let a person open a shell in them (ECS Exec). AWS does not support it where the root file system
        is read-only, as it is here: its agent gets volumes to write to, which others have made work and AWS does not
        promise.
    spot
        Whether tasks run on Fargate Spot, which AWS may take back with two minutes' notice.
    certificate_arn
        The certificate of the load balancer. Empty: it has none, speaks HTTP and is private.
    deregistration_delay_seconds
        How long the load balancer lets requests of an old task finish.
    stop_timeout_seconds
        How long a task may take to end after SIGTERM.
    """

    container_insights: str
    execute_command: bool
    spot: bool
    certificate_arn: str
    deregistration_delay_seconds: int
    stop_timeout_seconds: int


@dataclass(frozen=True)
class Task:
    """Size of one task, and its place in a deployment.

    Attributes
    ----------
    cpu, memory
        Fargate's CPU units (1024 are one vCPU) and MiB.
    wave
        Services with the same number are deployed together, lower numbers first.
    """

    cpu: int
    memory: int
    wave: int


@dataclass(frozen=True)
class ScaledTask(Task):
    """A task that autoscaling multiplies.

    Attributes
    ----------
    min_tasks, max_tasks
        Limits of the desired count.
    cpu_percent, memory_percent
        What the average of all tasks is held at.
    """

    min_tasks: int
    max_tasks: int
    cpu_percent: int
    memory_percent: int


@dataclass(frozen=True)
class Api(ScaledTask):
    """``[api]``: the service behind the load balancer.

    Attributes
    ----------
    requests_per_task
        Requests a minute that one task is meant to serve.
    """

    requests_per_task: int


@dataclass(frozen=True)
class Worker(ScaledTask):
    """``[worker]``: the service that does the jobs of the queue.

    Attributes
    ----------
    messages_per_task
        Jobs that may wait for each running task before another one is started.
    """

    messages_per_task: int


@dataclass(frozen=True)
class Scheduler(Task):
    """``[scheduler]``: exactly one task.

    Attributes
    ----------
    interval_seconds
        How often it puts its jobs into the queue.
    """

    interval_seconds: int


@dataclass(frozen=True)
class MigrationSettings(MigrationPolicy):
    """``[migration]``: the one-off task before any service moves.

    Attributes
    ----------
    cpu, memory
        As in ``Task``.
    """

    cpu: int
    memory: int

"""The sentences of the ECS Developer Guide, and those that people have quoted, each with what it means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.explanation import CAUSES, Evidence, explain
from lambdas.release.reasons import cause_of, cause_of_event

CASES = json.loads((Path(__file__).parent / "cases" / "service-events.json").read_text(encoding="utf-8"))
INIT = "ResourceInitializationError: "
BOTH = f"{INIT}unable to pull secrets or registry auth: "
FETCHED = f"{BOTH}execution resource retrieval failed: "
GROUP = "(target-group arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/{name}/1a2b)"

SENTENCES = {
    "image-pull": [
        "CannotPullContainerError: API error (404): repository 1.dkr.ecr.us-east-1.amazonaws.com/a not found",
        "CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: httpReaderSeeker: failed open",
        (
            "CannotPullContainerError: The task cannot pull 'secrets/web' from the registry 'docker.io'. There is a "
            "connection issue between the task and the registry. Check your task network configuration."
        ),
        "CannotPullECRContainerError: AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized",
        "CannotPullImageManifestError: Error response from daemon: no basic auth credentials",
        "Task failed to start: CannotPullContainerError: context canceled",
        f"{FETCHED}unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError",
        f"{BOTH}The task can't pull registry auth from Amazon ECR: There is a connection issue",
        (
            f"{FETCHED}AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: "
            "ecr:GetAuthorizationToken on resource: *"
        ),
    ],
    "secret": [
        (
            f"{FETCHED}unable to retrieve secret from asm: retried 1 time(s): failed to fetch secret "
            "arn:aws:secretsmanager:us-east-1:1:secret:ecr-pull-image-AbC from secrets manager: AccessDeniedException"
        ),
        f"{FETCHED}unable to retrieve secrets from ssm: service call has been retried 5 time(s): RequestCanceled",
        f"{BOTH}The task can't pull secrets from AWS Secrets Manager. There is a connection issue",
        "Fetching secret data from SSM Parameter Store in us-east-1: invalid parameters: /oom/health check",
        "fetching secret data from AWS Secrets Manager in region us-west-2: secret arn:aws:secretsmanager:x: denied",
        (
            f"{FETCHED}AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: "
            "secretsmanager:GetSecretValue on resource: ecr-token"
        ),
        f"{BOTH}context deadline exceeded",
    ],
    "environment-file": [
        f"{INIT}failed to download env files: file download command: non empty error stream: NoSuchKey",
        (
            f"{INIT}The task can't download the environment variable files from Amazon S3. There is a connection issue "
            "between the task and Amazon S3. Check your task network configuration. RequestCanceled"
        ),
    ],
    "volume": [
        f"{INIT}failed to invoke EFS utils commands to set up EFS volumes: stderr: Failed to resolve fs-1.efs",
        "CannotCreateVolumeError: API error (500): create v: error creating volume",
        "Timed out while waiting for EBS volume attachment",
        "Timeout waiting for EphemeralStorage provisioning to complete.",
        f"{INIT}failed to mount FSx file system: access denied",
        "CannotStartContainerError: Error response from daemon: error while mounting volume '/var/lib/v': no such host",
    ],
    "log-driver": [
        f"{INIT}failed to validate logger args: signal: killed",
        f"{INIT}failed to initialize logging driver: splunk: no such host",
        (
            f"{INIT}failed to validate logger args: The task cannot find the Amazon CloudWatch log group of the "
            "task definition. There is a connection issue between the task and Amazon CloudWatch."
        ),
        "CannotCreateContainerError: Error response from daemon: failed to create Cloudwatch log stream: denied",
    ],
    "start": [
        "CannotStartContainerError: failed to get container status: task not found",
        (
            "CannotStartContainerError: Error response from daemon: driver failed programming connectivity: Bind "
            "for 0.0.0.0:80 failed: port is already allocated"
        ),
        "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s",
        "CannotStopContainerError: failed sending SIGTERM to container",
        "ContainerRuntimeError: failed to create container task: OCI runtime create failed",
        "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m",
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
        f"{INIT}unable to create new container: mount callback failed on /tmp/x",
        "InternalError: something broke. Launch a new task to retry.",
    ],
    "out-of-memory": [
        "OutOfMemoryError: Container killed due to memory usage",
        "OutOfMemory: the container has exceeded its memory",
    ],
    "health-check": [
        f"Task failed ELB health checks in {GROUP.format(name='logger')}",
        "Task failed ELB health checks in (elb capacity-insufficient)",
        "Task failed container health checks",
        "Task failed VPC Lattice health checks in (target-group x)",
    ],
    "capacity": [
        "Fargate Spot capacity is currently unavailable. Capacity is unavailable at this time.",
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "RESOURCE:CPU",
        "RESOURCE:ENI",
        "AGENT",
        "LOCATION",
        "TaskFailedToStart: RESOURCE:MEMORY",
        "MemberOf placement constraint unsatisfied.",
        "TaskFailedToStart: EMPTY CAPACITY PROVIDER",
        "No Container Instances were found in your cluster.",
        "You've reached the limit on the number of vCPUs you can run concurrently",
        "You\u2019ve reached the limit on the number of tasks you can run concurrently",
        "The requested MEMORY configuration is above your limit",
        (
            "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0a': "
            "InsufficientFreeAddressesInSubnet"
        ),
    ],
    "network": [
        "Timeout waiting for network interface provisioning to complete.",
        "Unexpected EC2 error while attempting to Attach Network Interface to instance 'i-0a'",
        f"{INIT}failed to configure ENI: failed to setup regular eni: netplugin failed with no error message",
    ],
    "permission": [
        "ECS was unable to assume the role 'arn:aws:iam::1:role/log-driver' that was provided for this task.",
        "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
        "User: arn:aws:iam::1:user/secret is not authorized to perform: ecs:RunTask",
    ],
    "load-balancer": [
        "The target group arn:aws:elasticloadbalancing:x does not have an associated load balancer.",
        "TargetGroupNotFound: One or more target groups not found",
    ],
    "throttled": ["Rate exceeded", "ThrottlingException: Rate exceeded"],
    "interrupted": [
        "Your Spot Task was interrupted.",
        "Host EC2 (instance i-0a1b) terminated.",
        "Amazon ECS is performing maintenance on the underlying infrastructure hosting the task.",
        "ECS is performing maintenance on the underlying infrastructure hosting the task",
        "Task failed: container instance i-0a1b agent disconnected",
        "Container instance deregistration forced by user",
    ],
    "stopped-by-user": ["Task stopped by user", "Task stopped by the user"],
    "": [
        "Scaling activity initiated by (deployment ecs-svc/123)",
        "Essential container in task exited",
        "Task failed to start",
        "something new: nobody knows",
        "",
    ],
}

EVENTS = {
    "capacity": [
        (
            "(service api) was unable to place a task because no container instance met all of its requirements. The "
            "closest matching (container-instance 0a) has insufficient CPU units available."
        ),
        (
            "(service api) was unable to place a task in eu-west-1a because no container instance met all of its "
            "requirements. Reason: CannotBe known."
        ),
        "service api was unable to place a task. Reason: You've reached the limit on the number of tasks you can run.",
        "(service api) was unable to place a task. Reason: Internal error.",
    ],
    "health-check": [
        (
            "(service api, taskSet ecs-svc/1) (task 0a) (instance i-1) (port 80) is unhealthy in (target-group o) due "
            "to (reason Health checks failed with codes: [500])"
        ),
        "(service secret) (task 0a) failed container health checks.",
        (
            "(service api) (instance i-0a) is unhealthy in (elb e) due to (reason Instance has failed at least the "
            "UnhealthyThreshold number of health checks consecutively.)"
        ),
        "is unhealthy",
        "(service api, taskSet ecs-svc/1) is not healthy in (target-group t) due to Health checks failed",
        "(service api) (port 80) is not healthy in (target-group NOT-FOUND) due to (reason Request timed out)",
        "service api task set (ts-1) is not healthy in target-group (t) due to Health checks failed",
    ],
    "secret": [f"(service api) was unable to place a task. Reason: {FETCHED}unable to retrieve secret from asm: no."],
    "deployment-configuration": [
        (
            "service api was unable to stop or start tasks during a deployment because of the service deployment "
            "configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
        )
    ],
    "throttled": [
        "(service api) was unable to launch a task: Rate exceeded",
        "service api operations are being throttled. Will try again later.",
        "(service api) failed to describe target health on (target-group t) with (error Throttling: Rate exceeded)",
    ],
    "permission": ["service api was unable to assume role and validate the specified targetGroupArn."],
    "load-balancer": [
        "(service api) failed to register targets in (target-group t) with (error The provided target is new)",
        "(service api) was unable to register targets in (target-group t)",
        "(service api, taskSet ecs-svc/1) is not healthy in (target-group t) due to TARGET GROUP IS NOT FOUND",
        "service api task set (ts-1) is not healthy in target-group (t) due to TARGET IS NOT FOUND.",
        "(service api) (port 80) is unhealthy in (target-group t) due to (reason Target is not registered to it)",
        "(service api) is unhealthy in (target-group t) due to (reason Target group is not configured to receive)",
        (
            "(service api) (port 80) is unhealthy in (target-group t) due to (reason Target is in an Availability Zone "
            "that is not enabled for the load balancer)"
        ),
        "(service api) (task 0a) failed to register to service discovery.",
        "(service api) was unable to deregister from AWS Cloud Map",
        ("(service api) was unable to place a task. Reason: The Service Discovery instance could not be registered."),
        "(service api) was unable to place a task. Reason: Service discovery instances exceed the limit.",
    ],
    "network": ["(service api) failed to launch a task with (error Unexpected EC2 error while attempting to Create)."],
    "start": ["(service api) failed to launch a task with (error nobody knows it)."],
    "alarm": ["(service api) (deployment ecs-svc/1) deployment failed: alarm detected."],
    "": [
        "(service oom) has reached a steady state.",
        "(service logger) has started 2 tasks: (task 0a) (task 0b).",
        "(service api) has stopped 1 running tasks: (task 0a).",
        "(service api) has begun draining connections on 1 tasks.",
        "(service api) registered 1 targets in (target-group unhealthy)",
        "(service api) (deployment ecs-svc/1) deployment failed: tasks failed to start.",
        "(service api) rolling back to deployment ecs-svc/0.",
        "(service api) is unable to consistently start tasks successfully.",
        "(service api) is not AZ balanced with 2 tasks in eu-west-1a and 0 in eu-west-1b.",
        "",
    ],
}


def flat(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(said, cause) for cause, sentences in table.items() for said in sentences]


@pytest.mark.parametrize(("said", "cause"), flat(SENTENCES))
def test_a_sentence_means_its_kind(said: str, cause: str) -> None:
    assert cause_of(said) == cause
    assert cause in ("", *CAUSES)


@pytest.mark.parametrize(("said", "cause"), flat(EVENTS))
def test_a_service_event_means_its_kind(said: str, cause: str) -> None:
    assert cause_of_event(said) == cause


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_service_event_that_failed_before_is_right(case: dict[str, str]) -> None:
    assert (cause_of_event(case["event"]) or "unknown") in case["expect"]
    (cause,) = explain([Evidence("api", "not steady", "app", events=(case["event"],))]).causes
    assert cause.cause in case["expect"]
    assert any(case["event"].startswith(said.removesuffix("…")) for said in cause.evidence)


NAMES = st.sampled_from(
    [
        "event-logger",
        "secretsmanager-proxy",
        "oom-insufficient-x",
        "capacity",
        "health-checks",
        "CannotPullContainerError",
        "unhealthy",
        "log-driver",
        "spot",
        "throttled",
    ]
) | st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)

NAMED = [
    (
        "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x:1:targetgroup/{0}/1a)",
        "health-check",
    ),
    (
        "CannotPullContainerError: failed to resolve ref 1.dkr.ecr.eu-west-1.amazonaws.com/{0}:{0}: not found",
        "image-pull",
    ),
    (FETCHED + "unable to retrieve secret from asm: failed to fetch secret {0}: not found", "secret"),
    (INIT + "failed to invoke EFS utils commands to set up EFS volumes: stderr: mount /{0}: {0}", "volume"),
    ("ECS was unable to assume the role 'arn:aws:iam::1:role/{0}' that was provided", "permission"),
    ("Scaling activity initiated by (deployment {0})", ""),
]
NAMED_EVENTS = [
    ("(service {0}) (port 80) is unhealthy in (target-group {0}) due to (reason Request timed out)", "health-check"),
    ("service {0} was unable to place a task. Reason: CannotPullContainerError: {0}: not found", "image-pull"),
    ("(service {0}) has reached a steady state.", ""),
    ("(service {0}) registered 1 targets in (target-group {0})", ""),
]


@given(st.sampled_from(NAMED), NAMES)
def test_no_name_inside_a_sentence_changes_what_it_means(named: tuple[str, str], name: str) -> None:
    assert cause_of(named[0].format(name)) == named[1]


@given(st.sampled_from(NAMED_EVENTS), NAMES)
def test_no_name_inside_an_event_changes_what_it_means(named: tuple[str, str], name: str) -> None:
    assert cause_of_event(named[0].format(name)) == named[1]


@given(st.text(max_size=200))
def test_whatever_is_said_has_a_cause_that_is_known_or_none(said: str) -> None:
    assert cause_of(said) in ("", *CAUSES)
    assert cause_of_event(said) in ("", *CAUSES)

"""Looks at what AWS does where its documents are silent; ``unverified.py`` says what each is taken to be.

Each makes what it needs beside the services of the run, under the run's names, and removes it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from tests.e2e.cloud import Json
from tools.acceptance.world.account import ENVIRONMENT
from tools.acceptance.world.surroundings import World
from tools.acceptance.world.templates import partition

LISTED_SECONDS = 60.0
INIT_SECONDS = 2.0
PRE_PRODUCTION = "PRE_PRODUCTION_TRAFFIC_SHIFT"
ENDED_BY_ANOTHER = ("STOPPED", "ROLLBACK_SUCCESSFUL")
ENDED = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")

REFUSED = ("AccessDeniedException", "AccessDenied")
"""What a call says that IAM has refused, whichever service says it."""


def stopped_tasks_by_started_by(world: World) -> list[str]:
    """List the tasks of a migration that has ended, by ``startedBy`` alone."""
    ecs, cluster = world.cloud.client("ecs"), world.run.prefix
    family = world.observer.names.service("migration")
    ended = ecs.list_tasks(cluster=cluster, family=family, desiredStatus="STOPPED")["taskArns"]
    (task, *_) = ecs.describe_tasks(cluster=cluster, tasks=ended[:1])["tasks"]
    found = ecs.list_tasks(cluster=cluster, startedBy=task["startedBy"], desiredStatus="STOPPED")
    return list(found["taskArns"])


def seconds_until_deployment_is_listed(world: World) -> float:
    """Measure from the answer of UpdateService to the first list with the new deployment."""
    with _service(world, "listed", strategy="ROLLING") as name:
        _await_ended(world, name)
        known = {each["serviceDeploymentArn"] for each in _listed(world, name)}
        world.cloud.client("ecs").update_service(cluster=world.run.prefix, service=name, forceNewDeployment=True)
        begin = time.monotonic()
        world.cloud.wait_until(
            lambda: any(each["serviceDeploymentArn"] not in known for each in _listed(world, name)) or None,
            "the deployment is listed",
        )
        return time.monotonic() - begin


def archived_image_by_id(world: World) -> bool:
    """Archive an image, and tell whether DescribeImages returns it when it is asked for by its digest."""
    return _shows_archived(world, "archived")


def archived_image_by_id_and_filter(world: World) -> bool:
    """Archive an image, and tell whether DescribeImages returns it by its digest where every status is asked for."""
    try:
        return _shows_archived(world, "archived-too", filter={"imageStatus": "ANY"})
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameterException":
            raise
        return False


def _shows_archived(world: World, tag: str, **more: Any) -> bool:
    ecr, repository = world.cloud.client("ecr"), world.cloud.repository
    image = {"imageDigest": world.cloud.push(tag)}
    ecr.update_image_storage_class(repositoryName=repository, imageId=image, targetStorageClass="ARCHIVE")
    try:
        return bool(ecr.describe_images(repositoryName=repository, imageIds=[image], **more)["imageDetails"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ImageNotFoundException":
            raise
        return False


def start_time_is_kept_by_redrive(world: World) -> bool:
    """Fail a small machine at a Choice, redrive it, and compare its StartTime with that of its first start."""
    client, run = world.cloud.client("stepfunctions"), world.run
    definition = {
        "StartAt": "Redriven?",
        "States": {
            # Without a default it fails (States.NoChoiceMatched), and is judged again by the redrive.
            "Redriven?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$$.Execution.RedriveCount", "NumericGreaterThan": 0, "Next": "Tell"}],
            },
            "Tell": {"Type": "Pass", "Parameters": {"at.$": "$$.Execution.StartTime"}, "End": True},
        },
    }
    with _role(world, "redrive", "states.amazonaws.com", []) as role:
        machine = client.create_state_machine(
            name=f"{run.prefix}-redrive", definition=json.dumps(definition), roleArn=role, tags=world.run.small_tags
        )["stateMachineArn"]
        try:
            execution = client.start_execution(stateMachineArn=machine)["executionArn"]
            world.cloud.wait_until(lambda: _has(world, execution, "FAILED"), "it fails")
            started = client.describe_execution(executionArn=execution)["startDate"]
            client.redrive_execution(executionArn=execution)
            ended = world.cloud.wait_until(lambda: _has(world, execution, "SUCCEEDED"), "it is redriven")
            told = json.loads(ended["output"])["at"]
            return bool(told[:19] == started.strftime("%Y-%m-%dT%H:%M:%S"))
        finally:
            client.delete_state_machine(stateMachineArn=machine)


def continue_on_arn_is_denied(world: World) -> bool:
    """Call ContinueServiceDeployment by a role that may do so on ARNs alone; there is no such deployment to go on."""
    run, account = world.run, world.account
    beginning = f"arn:{partition(account.region)}:ecs:{account.region}:{account.number}"
    resources = [f"{beginning}:{kind}/{run.prefix}/*" for kind in ("service", "service-deployment")]
    grant = {"Effect": "Allow", "Action": "ecs:ContinueServiceDeployment", "Resource": resources}
    trusted = f"arn:{partition(account.region)}:iam::{account.number}:root"
    with _role(world, "continue", trusted, [grant]) as role:
        ecs = _assumed(world, role)
        missing = f"{beginning}:service-deployment/{run.prefix}/{run.prefix}-api/none"
        try:
            ecs.continue_service_deployment(serviceDeploymentArn=missing, hookId="ecs-pause-none")
        except ClientError as error:
            return error.response["Error"]["Code"] in REFUSED
    return False


def longest_init_seconds(world: World) -> float:
    """Read the longest ``Init Duration`` of the run's functions."""
    logs, longest = world.cloud.client("logs"), 0.0
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{world.run.prefix}-")["logGroups"]
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"], filterPattern='"Init Duration"'
        )
        for page in pages:
            for event in page["events"]:
                told = re.search(r"Init Duration: ([0-9.]+) ms", event["message"])
                told = told or re.search(r'"initDurationMs":\s*([0-9.]+)', event["message"])
                longest = max(longest, float(told[1]) / 1000 if told else 0.0)
    return longest


def rolling_service_pauses(world: World) -> bool:
    """Make a ROLLING service with a PAUSE hook, and tell whether its first deployment waits for it."""
    try:
        with _service(world, "rolling-pause", strategy="ROLLING", lifecycleHooks=[_pause("POST_SCALE_UP")]) as name:
            return _stage_of_pause(world, name) is not None
    except ClientError as error:
        if error.response["Error"]["Code"] in ("InvalidParameterException", "ClientException"):
            return False
        raise


def rollout_state_under_deferred(world: World) -> str:
    """Deploy with earlySuccessCriteria DEFERRED; returns rolloutState when the service deployment is SUCCESSFUL."""
    early = {"enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}
    with _service(world, "deferred", strategy="ROLLING", earlySuccessCriteria=early) as name:
        _await_ended(world, name)
        _update(world, name)
        _await_ended(world, name)
        return str(_described(world, name)["deployments"][0].get("rolloutState"))


def stage_of_pre_production_pause(world: World) -> str | None:
    """Pause a blue/green deployment before its production traffic; returns the stage that it shows."""
    with _service(world, "stage", strategy="BLUE_GREEN", lifecycleHooks=[_pause(PRE_PRODUCTION)]) as name:
        return _stage_of_pause(world, name)


def definitions_around_blue_green_rollback(world: World) -> tuple[str, str]:
    """Pause a blue/green deployment and roll it back; returns which definition the service shows before and after."""
    with _service(world, "colours", strategy="BLUE_GREEN") as name:
        _await_ended(world, name)
        old = _described(world, name)["taskDefinition"]
        new = _update(world, name, lifecycleHooks=[_pause("POST_SCALE_UP")])
        paused = world.cloud.wait_until(lambda: _paused(world, name), "it pauses")
        during = _described(world, name)["taskDefinition"]
        world.cloud.client("ecs").stop_service_deployment(
            serviceDeploymentArn=paused["serviceDeploymentArn"], stopType="ROLLBACK"
        )
        _await_ended(world, name)
        names = {old: "old", new: "new"}
        return names[during], names[_described(world, name)["taskDefinition"]]


def fate_of_paused_deployment(world: World) -> str:
    """Update a service while a hook pauses its deployment; returns how that one ended, or that it was refused."""
    with _service(world, "fate", strategy="BLUE_GREEN") as name:
        _await_ended(world, name)
        _update(world, name, lifecycleHooks=[_pause("POST_SCALE_UP")])
        first = world.cloud.wait_until(lambda: _paused(world, name), "it pauses")["serviceDeploymentArn"]
        try:
            _update(world, name, lifecycleHooks=[])
        except ClientError as error:
            return f"refused: {error.response['Error']['Message']}"
        return str(world.cloud.wait_until(lambda: _end_of(world, first), "the paused deployment ends"))


# What they are made of.


def _has(world: World, execution: str, status: str) -> Json | None:
    described = world.cloud.describe(execution)
    return described if described["status"] == status else None


@contextmanager
def _role(world: World, name: str, principal: str, statements: list[Json]) -> Iterator[str]:
    """Make a role for the block; it waits until IAM knows it everywhere only by trying (``_assumed``)."""
    iam, role = world.cloud.client("iam"), f"{world.run.prefix}-{name}"
    kind = "AWS" if principal.startswith("arn:") else "Service"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {kind: principal}}
    made = iam.create_role(
        RoleName=role,
        Path=f"/{world.run.app}/{ENVIRONMENT}/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        Tags=world.run.tags,
    )["Role"]["Arn"]
    try:
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=role, PolicyName="grants", PolicyDocument=document)
        yield made
    finally:
        if statements:
            iam.delete_role_policy(RoleName=role, PolicyName="grants")
        iam.delete_role(RoleName=role)


def _assumed(world: World, role: str) -> Any:
    """Return a client of ECS with the credentials of a role, as soon as IAM lets it be assumed."""

    def assume() -> Json | None:
        try:
            answer: Json = world.cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="accept")
        except ClientError as error:
            if error.response["Error"]["Code"] not in REFUSED:
                raise
            return None
        return answer

    given = world.cloud.wait_until(assume, f"{role} can be assumed")["Credentials"]
    return world.client_as("ecs", given)


def _pause(stage: str) -> Json:
    return {
        "targetType": "PAUSE",
        "lifecycleStages": [stage],
        "timeoutConfiguration": {"timeoutInMinutes": 15, "action": "ROLLBACK"},
    }


@contextmanager
def _service(world: World, name: str, **configuration: Any) -> Iterator[str]:
    """Make a service of one task beside the others for the block, with a deployment configuration."""
    ecs, worker = world.cloud.client("ecs"), world.worker()
    service = f"{world.run.prefix}-{name}"
    ecs.create_service(
        cluster=world.run.prefix,
        serviceName=service,
        taskDefinition=worker["taskDefinition"],
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=worker["networkConfiguration"],
        deploymentConfiguration={"bakeTimeInMinutes": 0, **configuration},
        tags=world.run.small_tags,
    )
    try:
        yield service
    finally:
        ecs.delete_service(cluster=world.run.prefix, service=service, force=True)


def _update(world: World, service: str, **configuration: Any) -> str:
    """Deploy a revision that is the one before registered again; returns its ARN."""
    ecs, described = world.cloud.client("ecs"), _described(world, service)
    before = world.observer.task_definition(described["taskDefinition"])
    accepted = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
    again = {key: value for key, value in before.items() if key in accepted}
    registered = ecs.register_task_definition(**again)["taskDefinition"]["taskDefinitionArn"]
    more = {"deploymentConfiguration": configuration} if configuration else {}
    ecs.update_service(cluster=world.run.prefix, service=service, taskDefinition=registered, **more)
    return str(registered)


def _described(world: World, service: str) -> Json:
    found: Json = world.cloud.client("ecs").describe_services(cluster=world.run.prefix, services=[service])
    described: Json = found["services"][0]
    return described


def _listed(world: World, service: str) -> list[Json]:
    answer = world.cloud.client("ecs").list_service_deployments(cluster=world.run.prefix, service=service)
    return list(answer["serviceDeployments"])


def _newest(world: World, service: str) -> Json | None:
    listed = sorted(_listed(world, service), key=lambda each: each["createdAt"], reverse=True)
    if not listed:
        return None
    arn = listed[0]["serviceDeploymentArn"]
    answer = world.cloud.client("ecs").describe_service_deployments(serviceDeploymentArns=[arn])
    described: Json = answer["serviceDeployments"][0]
    return described


def _paused(world: World, service: str) -> Json | None:
    """Return the newest deployment when one of its hooks waits for an answer."""
    newest = _newest(world, service)
    waits = newest and any(each.get("status") == "AWAITING_ACTION" for each in newest.get("lifecycleHookDetails", ()))
    return newest if waits else None


def _stage_of_pause(world: World, service: str) -> str | None:
    """Return the stage at which the newest deployment pauses, None when it ends without."""

    def look() -> Json | None:
        newest = _newest(world, service)
        return newest if newest and (newest["status"] in ENDED or _paused(world, service)) else None

    seen = world.cloud.wait_until(look, f"{service} pauses or ends")
    return None if seen["status"] in ENDED else seen.get("lifecycleStage")


def _await_ended(world: World, service: str) -> None:
    def look() -> Json | None:
        newest = _newest(world, service)
        return newest if newest and newest["status"] in ENDED else None

    world.cloud.wait_until(look, f"the deployment of {service} ends")


def _end_of(world: World, deployment: str) -> str | None:
    answer = world.cloud.client("ecs").describe_service_deployments(serviceDeploymentArns=[deployment])
    status = str(answer["serviceDeployments"][0]["status"])
    return status if status in ENDED else None

"""Every AWS call that a handler makes is allowed by its role, and every action that a role allows is used."""

from __future__ import annotations

from collections import defaultdict

import aws_cdk as cdk
import pytest

import config
from lambdas.aws.gateway import ATTEMPTS
from simulator.faults import CallAction, CallFault, FunctionAction, FunctionFault
from simulator.images import ImageBehavior, ScanResult
from simulator.runs import StopAt
from simulator.world import World
from statemachine.permissions import PERMISSIONS
from statemachine.permissions import World as Grants
from statemachine.steps import STEPS, Step

IAM_SERVICE = {"stepfunctions": "states"}
IAM_ACTIONS = {
    # DynamoDB Developer Guide, "IAM and transactions": the parts are authorised, not the transaction.
    "dynamodb:TransactWriteItems": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
}
NOT_A_CALL = {
    "iam:PassRole": "checked by ECS when it is given a role",
    "ecs:TagResource": "checked by ECS when a task definition is registered with tags",
}


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """IAM actions by function, over deployments that take every road once."""
    found: dict[str, set[str]] = defaultdict(set)
    for settings in (config.load("dev"), _with_approval_and_alarm()):
        with World(settings=settings) as world:
            world.aws.client("cloudwatch").put_metric_alarm(
                AlarmName="errors", MetricName="e", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1,
                ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
            )  # fmt: skip
            _drive(world, approve=settings.approval.required)
            for call in world.aws.calls:
                name = f"{IAM_SERVICE.get(call.service, call.service)}:{call.operation}"
                found[call.function] |= IAM_ACTIONS.get(name, {name})
    return found


def _with_approval_and_alarm() -> config.EnvironmentConfig:
    from dataclasses import replace

    dev = config.load("dev")
    return replace(
        dev,
        approval=replace(dev.approval, required=True),
        circuit_breaker=replace(dev.circuit_breaker, alarms=("errors",)),
    )


def _drive(world: World, *, approve: bool) -> None:
    def deploy(tag: str, stop: StopAt | None = None, **request: object) -> None:
        run = world.start({"imageTag": tag, **request}, f"{tag}-{len(world.aws.runs)}", stop=stop)
        if approve:
            world.aws.wait_for(lambda: run.ended or run.state == "Wait for approval")
            world.aws.clock.sleep(5)
            token = world.table.approval_token(run.arn)
            if token and not run.ended:
                world.aws.client("stepfunctions").send_task_success(
                    taskToken=token, output='{"approvedBy": "somebody"}'
                )
        world.settle()

    def lose_ending(handler: str) -> None:
        """Let the answer of the ending get lost until botocore gives up: the step then reads what it wrote."""
        function = f"v3-backend-dev-{handler}"
        world.aws.faults.add(CallFault(CallAction.LOST, "dynamodb", "TransactWriteItems", function, times=ATTEMPTS))

    world.push("v0", ImageBehavior(outcome="crash"))
    deploy("v0")
    deploy("v0", stop=StopAt("Deploy wave"))
    lose_ending("release-lock")
    deploy("v0", stop=StopAt("Acquire lock"))
    world.push("v1", index=True, scan=ScanResult(counts={"LOW": 1}))
    deploy("v1", dryRun=True)
    deploy("v1")
    world.push("v2", ImageBehavior(outcome="crash", logs=("boom",)))
    deploy("v2")
    world.push("v3", per_service={"migration": ImageBehavior(exit_code=1, logs=("boom",))})
    deploy("v3")
    world.push("v4", per_service={"migration": ImageBehavior(hang=True)})
    deploy("v4")
    world.push("v5", ImageBehavior(crash_after_healthy_seconds=40, logs=("late",)))
    deploy("v5")
    world.push("v6")
    deploy("v6", stop=StopAt("Deploy wave", when="exited"))
    deploy("v6")
    if approve:
        asked = world.start({"imageTag": "v1"}, "asked")
        world.aws.wait_for(lambda: asked.state == "Wait for approval")
        world.aws.clock.sleep(5)
    else:
        _change_infrastructure_during(world, "v2")
    lose_ending("complete")
    world.run({"action": "rollback"}, "back")
    # A recovery that cannot finish.
    world.aws.faults.add(FunctionFault(FunctionAction.RAISE, "v3-backend-dev-deploy-wave", error="Broken"))
    lose_ending("record-failure")
    deploy("v6", stop=StopAt("Deploy wave"))


def _change_infrastructure_during(world: World, crashing_tag: str) -> None:
    """Deploy more memory to a service, with the code of before, while a deployment is about to go back."""
    run = world.start({"imageTag": crashing_tag}, "beside-infrastructure")
    ecs, name = world.aws.client("ecs"), "v3-backend-dev-api"
    before = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
    keys = ("family", "containerDefinitions", "networkMode", "requiresCompatibilities", "cpu", "runtimePlatform")
    before["containerDefinitions"][0]["image"] = world.snapshot().services["api"]["image"]
    more = ecs.register_task_definition(**{key: before[key] for key in keys}, memory="1024")["taskDefinition"]
    world.aws.wait_for(lambda: run.state == "Wait for rollout")
    ecs.update_service(cluster="v3-backend-dev", service=name, taskDefinition=more["taskDefinitionArn"])
    world.settle()
    after = world.live.snapshot("v3-backend-dev")[name].task_definition
    assert after == more["taskDefinitionArn"], "the way back undid an infrastructure deploy"


def allowed_actions(step: Step) -> set[str]:
    grants = PERMISSIONS[step](Grants(cdk.Stack(cdk.App(), "S"), config.load("dev")))
    return {action for grant in grants for action in grant.actions}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.handler)
def test_a_role_allows_every_call_of_its_step(step: Step, used: dict[str, set[str]]) -> None:
    assert used[step.function_name(config.load("dev").identity)] - allowed_actions(step) == set()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.handler)
def test_a_role_allows_nothing_that_its_step_does_not_call(step: Step, used: dict[str, set[str]]) -> None:
    calls = used[step.function_name(config.load("dev").identity)]
    assert allowed_actions(step) - calls - set(NOT_A_CALL) == set()

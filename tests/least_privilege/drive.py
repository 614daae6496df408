"""Deployments that take every road once, so that every permission of a step is used by something."""

from __future__ import annotations

from dataclasses import replace

import config
from lambdas.aws.gateway import ATTEMPTS
from simulator.ecs.images import ImageBehavior, ScanResult
from simulator.engine.runs import StopAt
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault, FunctionAction, FunctionFault
from tests.least_privilege.witness import Witness


def drive_every_road() -> Witness:
    """Deploy, fail, stop, roll back and approve; returns who has noted what IAM would have been asked."""
    witness = Witness()
    for settings in (_seldom_looking(), _with_approval_and_alarm()):
        with SimulatedEnvironment(settings=settings) as simulated:
            simulated.aws.client("cloudwatch").put_metric_alarm(
                AlarmName="errors", MetricName="e", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1,
                ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
            )  # fmt: skip
            _keep_a_secret_in_parameter_store(simulated)
            _drive(simulated, approve=settings.approval.required)
            witness.note(simulated)
    return witness


def _seldom_looking() -> config.EnvironmentConfig:
    """The dev environment; another look at a service would ask for nothing new."""
    dev = config.load("dev")
    migration = replace(dev.migration, poll_seconds=40)
    return replace(dev, rollout=replace(dev.rollout, poll_seconds=15), migration=migration)


def _with_approval_and_alarm() -> config.EnvironmentConfig:
    dev = _seldom_looking()
    return replace(
        dev,
        approval=replace(dev.approval, required=True),
        circuit_breaker=replace(dev.circuit_breaker, alarms=("errors",)),
    )


def _keep_a_secret_in_parameter_store(simulated: SimulatedEnvironment) -> None:
    """Let the tasks of one service name a parameter as a secret, where all others name Secrets Manager."""
    ecs, name = simulated.aws.client("ecs"), "v3-backend-dev-scheduler"
    parameter = "/v3-backend/dev/queue-password"
    simulated.aws.client("ssm").put_parameter(Name=parameter, Value="never-shown", Type="SecureString")
    revision = _next_revision(simulated, name, {"secrets": [{"name": "QUEUE_PASSWORD", "valueFrom": parameter}]})
    ecs.update_service(cluster="v3-backend-dev", service=name, taskDefinition=revision)
    simulated.aws.clock.sleep(600)


def _next_revision(simulated: SimulatedEnvironment, family: str, container: dict[str, object], **task: str) -> str:
    """Register a revision with another container, and a task of another size; returns its ARN."""
    ecs = simulated.aws.client("ecs")
    before = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    keys = (*("family", "containerDefinitions", "networkMode", "requiresCompatibilities", "cpu", "memory"),
            *("runtimePlatform", "taskRoleArn", "executionRoleArn"))  # fmt: skip
    request = {**{key: before[key] for key in keys}, **task}
    request["containerDefinitions"][0].update(container)
    return str(ecs.register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"])


def _drive(simulated: SimulatedEnvironment, *, approve: bool) -> None:
    def deploy(tag: str, stop: StopAt | None = None, **request: object) -> None:
        run = simulated.start({"imageTag": tag, **request}, f"{tag}-{len(simulated.aws.runs)}", stop=stop)
        if approve:
            simulated.aws.wait_for(lambda: run.ended or run.state == "Wait for approval")
            simulated.aws.clock.sleep(5)
            token = simulated.table.approval_token(run.arn)
            if token and not run.ended:
                simulated.aws.client("stepfunctions").send_task_success(
                    taskToken=token, output='{"approvedBy": "somebody"}'
                )
        simulated.settle()

    def lose_ending(handler: str) -> None:
        """Let the answer of the ending get lost until botocore gives up: the step then reads what it wrote."""
        simulated.aws.faults.add(
            CallFault(CallAction.LOST, "dynamodb", "TransactWriteItems", f"v3-backend-dev-{handler}", times=ATTEMPTS)
        )

    simulated.push("v0", ImageBehavior(outcome="crash"))
    deploy("v0")
    deploy("v0", stop=StopAt("Deploy wave"))
    lose_ending("record-outcome")
    deploy("v0", stop=StopAt("Acquire lock"))
    simulated.push("v1", index=True, scan=ScanResult(counts={"LOW": 1}))
    deploy("v1", dryRun=True)
    deploy("v1")
    _edit_parameters_during(simulated)
    simulated.push("v2", ImageBehavior(outcome="crash", logs=("boom",)))
    deploy("v2")
    simulated.push("v3", per_service={"migration": ImageBehavior(exit_code=1, logs=("boom",))})
    deploy("v3")
    simulated.push("v4", per_service={"migration": ImageBehavior(hang=True)})
    deploy("v4")
    deploy("v4", stop=StopAt("Wait for migration"))
    for nth in (1, 2):
        simulated.aws.faults.add(
            FunctionFault(FunctionAction.RAISE, "v3-backend-dev-run-migration", nth=nth, error="Broken")
        )
        deploy("v4")
    simulated.push("v5", ImageBehavior(crash_after_healthy_seconds=40, logs=("late",)))
    deploy("v5")
    # The event of the first end is lost: who waits next starts the recovery.
    for tag, recovers in (("v7", False), ("v6", True)):
        simulated.push(tag)
        simulated.recovers = recovers
        deploy(tag, stop=StopAt("Deploy wave", when="exited"))
        deploy(tag)
    if approve:
        _leave_a_question(simulated)
    else:
        _clean_up_during(simulated, "v2")
        _change_infrastructure_during(simulated, "v2")
        _clean_up_before_its_wave(simulated)
    lose_ending("complete")
    simulated.run({"action": "rollback"}, "back")
    # A recovery that cannot finish.
    simulated.aws.faults.add(FunctionFault(FunctionAction.RAISE, "v3-backend-dev-deploy-wave", error="Broken"))
    lose_ending("record-failure")
    deploy("v6", stop=StopAt("Deploy wave"))


def _leave_a_question(simulated: SimulatedEnvironment) -> None:
    """Start a deployment that waits for an approval."""
    asked = simulated.start({"imageTag": "v1"}, "asked")
    simulated.aws.wait_for(lambda: asked.state == "Wait for approval")
    simulated.aws.clock.sleep(5)


def _clean_up_during(simulated: SimulatedEnvironment, crashing_tag: str) -> None:
    """Deregister every revision of a service while a deployment is about to go back: it is registered again."""
    ecs, name = simulated.aws.client("ecs"), "v3-backend-dev-api"
    without = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}  # it would go back by itself
    ecs.update_service(cluster="v3-backend-dev", service=name, deploymentConfiguration=without)
    run = simulated.start({"imageTag": crashing_tag}, "beside-clean-up")
    simulated.aws.wait_for(lambda: run.state == "Wait for rollout")
    for arn in ecs.list_task_definitions(familyPrefix=name)["taskDefinitionArns"]:
        ecs.deregister_task_definition(taskDefinition=arn)
    simulated.settle()
    assert run.state == "RolledBack"


def _clean_up_before_its_wave(simulated: SimulatedEnvironment) -> None:
    """Deregister what a service of the last wave is to get back, while the first wave of a rollback is at it."""
    ecs, name = simulated.aws.client("ecs"), "v3-backend-dev-api"
    run = simulated.start({"action": "rollback"}, "beside-later-clean-up")
    simulated.aws.wait_for(lambda: run.state == "Wait for rollout")
    for arn in ecs.list_task_definitions(familyPrefix=name)["taskDefinitionArns"]:
        ecs.deregister_task_definition(taskDefinition=arn)
    simulated.settle()
    assert run.state == "Deployed"


def _edit_parameters_during(simulated: SimulatedEnvironment) -> None:
    """Edit the tag and an image by hand, while a rollback to the live release is about to end."""
    run = simulated.start({"action": "rollback", "releaseId": "live", "force": True}, "beside-somebody")
    simulated.aws.wait_for(lambda: run.state == "Bake")
    for name in (simulated.identity.tag_parameter, f"{simulated.identity.images_path}api"):
        simulated.aws.client("ssm").put_parameter(Name=name, Value="by-hand", Type="String", Overwrite=True)
    simulated.settle()
    assert "by-hand" not in simulated.parameters().values(), "what somebody edited is not repaired"


def _change_infrastructure_during(simulated: SimulatedEnvironment, crashing_tag: str) -> None:
    """Deploy more memory to a service, with the code of before, while a deployment is about to go back."""
    run = simulated.start({"imageTag": crashing_tag}, "beside-infrastructure")
    name = "v3-backend-dev-api"
    more = _next_revision(simulated, name, {"image": simulated.snapshot().services["api"]["image"]}, memory="1024")
    simulated.aws.wait_for(lambda: run.state == "Wait for rollout")
    simulated.aws.client("ecs").update_service(cluster="v3-backend-dev", service=name, taskDefinition=more)
    simulated.settle()
    after = simulated.live.snapshot("v3-backend-dev")[name].task_definition
    assert after == more, "the way back undid an infrastructure deploy"

"""The chapters of the proof, in their order. A new chapter is one line of ``CHAPTERS``.

Most are those of ``tests/e2e/test_story.py``: one story, told in two worlds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from lambdas.aws.cloudwatch import Alarms
from lambdas.aws.ecr import ImageRegistry
from lambdas.aws.ecs import ContainerService
from lambdas.aws.executions import Executions
from lambdas.aws.iam import Roles
from lambdas.aws.logs import ContainerLogs
from lambdas.aws.ssm import ParameterStore
from tests.e2e import test_story as story
from tests.e2e.cloud import Cloud
from tests.e2e.observation import Observer
from tools.acceptance.estimate import DESTROY_SECONDS, Estimate, estimate
from tools.acceptance.facts.definition import (
    each_error_is_tried_again,
    each_state_goes_where_it_is_drawn,
    policies_are_valid,
)
from tools.acceptance.facts.unverified import CHECKS, Check
from tools.acceptance.records.contract import ASKED, Key, decide, invalid
from tools.acceptance.records.record import Record, gateway
from tools.acceptance.world.images import VULNERABLE
from tools.acceptance.world.surroundings import World

Play = Callable[[World], None]

NOT_YET = (None, "PENDING", "IN_PROGRESS")
"""Of a scan that has not ended (ECR API Reference, ImageScanStatus)."""

FACT = "fact: "
"""How the name of a chapter begins that looks at a fact."""

UNREADABLE = ("AwsError",)
"""What a gateway says of an answer that lacks what it must have (decision 11)."""


@dataclass(frozen=True)
class Chapter:
    """One thing that is proved.

    Attributes
    ----------
    name
        As the report and the list of what is skipped have it.
    play
        Proves it, or raises.
    seconds
        Its budget on AWS: longer is told, and is no failure.
    lacks
        What the emulator has not, so that the chapter is skipped there; empty when it runs in both worlds.
    vital
        Whether nothing that follows makes sense without it.
    beside
        Whether it is played beside those that follow: it makes what it needs itself, and touches nothing else.
    """

    name: str
    play: Play
    seconds: int
    lacks: str = ""
    vital: bool = False
    beside: bool = False


def told(chapter: Callable[[Cloud, Observer], None]) -> Play:
    """Return a chapter of the emulated story as one of this proof."""
    return lambda world: chapter(world.cloud, world.observer)


def a_deregistered_revision_stops_no_deploy(world: World) -> None:
    """Somebody has tidied up: the revision that a service runs is no longer registered; the next deploy works."""
    running = world.observer.services()["worker"]["taskDefinition"]
    world.cloud.client("ecs").deregister_task_definition(taskDefinition=running)
    digest = world.cloud.push("v12")

    ended = world.cloud.deploy(imageTag="v12")

    assert story.outcome(ended) == "Deployed"
    story.everything_runs(world.observer, "v12", world.cloud.uri(digest))
    story.settled(world.observer, ended)


def another_controller_is_refused(world: World) -> None:
    """A service whose deployments somebody else controls is refused before anything is written."""
    cloud, ecs = world.cloud, world.cloud.client("ecs")
    before = world.observer.look()
    name = f"{world.run.prefix}-external"
    ecs.create_service(
        cluster=world.run.prefix,
        serviceName=name,
        desiredCount=0,
        deploymentController={"type": "EXTERNAL"},
        tags=world.run.small_tags,
    )
    parameter = f"{cloud.settings.identity.services_path}external"
    entry = {"service": name, **world.catalog_entry("worker"), "wave": 3}
    cloud.client("ssm").put_parameter(Name=parameter, Type="String", Value=json.dumps(entry))
    cloud.push("v13")

    try:
        ended = cloud.deploy(imageTag="v13")
    finally:
        cloud.client("ssm").delete_parameters(Names=[parameter])
        ecs.delete_service(cluster=world.run.prefix, service=name, force=True)

    assert (ended["status"], ended["error"]) == ("FAILED", "Rejected")
    assert "external" in json.dumps(ended["cause"])
    assert world.observer.look() == before


def a_redrive_changes_nothing(world: World) -> None:
    """An execution that was rolled back is redriven in the console: it ends as before, and the world stays as it is."""
    before = world.observer.look()
    client = world.cloud.client("stepfunctions")
    failed = next(each for each in world.cloud.executions() if each["status"] == "FAILED")

    client.redrive_execution(executionArn=failed["executionArn"])
    ended = world.cloud.finish(failed["executionArn"])

    assert ended["status"] == "FAILED"
    assert world.observer.look() == before
    assert world.observer.violations() == ()


def an_image_with_findings_is_refused(world: World) -> None:
    """An image with a known hole does not pass the gate; the list of its packages is all that the scanner needs."""
    before = world.observer.look()
    world.cloud.push("v14", files=VULNERABLE)
    registry = gateway(ImageRegistry, world.cloud.client)
    image = registry.find(world.run.app, "registry", tag="v14", digest=None)
    assert image is not None
    world.cloud.wait_until(
        lambda: [each.status for each in registry.scans(image) if each.status not in NOT_YET] or None, "it is scanned"
    )

    ended = world.cloud.deploy(imageTag="v14")

    assert (ended["status"], ended["error"]) == ("FAILED", "Rejected")
    assert (ended["cause"]["step"], ended["cause"]["errorType"]) == ("Verify image", "ScanFindings")
    assert world.observer.look() == before


def read_everything(world: World) -> None:
    """Read what the functions read, by their gateways, so that each answer is recorded once at least."""
    clients, observer, run = world.cloud.client, world.observer, world.run
    identity, worker = world.cloud.settings.identity, observer.names.service("worker")
    images = gateway(ImageRegistry, clients)
    uri = images.repository_uris((run.app,))[run.app]
    for tag in ("v2", "v3", "never-pushed"):
        images.find(run.app, uri, tag=tag, digest=None)
    ecs = gateway(ContainerService, clients)
    running = ecs.services([Key("worker", run.prefix, worker)])["worker"].task_definition
    for revision in (running, f"{worker}:99999"):
        ecs.task_definition(revision)
    ecs.stopped_tasks(run.prefix, worker, running)
    gateway(Alarms, clients).states([f"{run.prefix}-no-alarm"])
    parameters = gateway(ParameterStore, clients)
    parameters.get([identity.tag_parameter, f"{identity.images_path}none"])
    parameters.below(identity.services_path)
    roles = gateway(Roles, clients)
    for role in (f"{run.prefix}-task", f"{run.prefix}-none"):
        roles.arn(role)
    logs, group = gateway(ContainerLogs, clients), observer.names.log_group("worker")
    logs.group_exists(group)
    streams = clients("logs").describe_log_streams(logGroupName=group)["logStreams"]
    for stream in (*(each["logStreamName"] for each in streams[:1]), "worker/worker/none"):
        logs.last_lines(group, stream, 5)
    executions = gateway(Executions, clients)
    for each in (
        world.cloud.executions()[0]["executionArn"],
        f"{world.cloud.machine.replace('stateMachine', 'execution')}:none",
    ):
        executions.describe(each)


def answers_are_read_as_recorded(world: World) -> None:
    """Ask gateways and decisions about every answer of this run again, from its record alone."""
    read_everything(world)
    wrong = []
    for file in sorted(world.recorder.folder.glob("*.json")):
        record = Record.read(file)
        wrong += [f"{file.name}: {each}" for each in invalid(record)]
        if "Error" not in record.answer and (record.service, record.operation) in ASKED:
            decided = decide(record)
            if decided.get("error") in UNREADABLE:
                wrong.append(f"{file.name}: {decided}")
    assert wrong == [], "\n".join(wrong)


def a_check(check: Check) -> Chapter:
    """Return what looks whether a fact is as it is taken to be."""
    return Chapter(f"{FACT}{check.name}", check.look, check.seconds, check.lacks, beside=check.beside)


CHAPTERS: tuple[Chapter, ...] = (
    # What a team has before it adopts Stepship, and the coordinator.
    Chapter("bootstrap", World.bootstrap, 75, vital=True),
    Chapter("base", World.make_base, 60, vital=True),
    Chapter("services", World.make_services, 210, vital=True),
    Chapter("coordinator", World.deploy_coordinator, 150, vital=True),
    # What can be known without a deployment.
    Chapter("policies", policies_are_valid, 20, "IAM Access Analyzer"),
    Chapter("states", each_state_goes_where_it_is_drawn, 30),
    Chapter("retries", each_error_is_tried_again, 30, "Retry in TestState"),
    # Deployments.
    Chapter("good", told(story.test_a_good_deploy_migrates_and_moves_all_services), 210, vital=True),
    *(a_check(check) for check in CHECKS if check.beside),
    Chapter("crash", told(story.test_an_image_that_crashes_is_rolled_back_and_explained), 240),
    Chapter("explain", lambda world: story.test_stepship_explains_the_crash(world.cloud), 10),
    Chapter("failing migration", told(story.test_a_failing_migration_moves_no_service), 75),
    Chapter("missing tag", told(story.test_a_missing_tag_is_rejected_before_anything_is_written), 15),
    Chapter("dry run", told(story.test_a_dry_run_writes_nothing), 25),
    Chapter("redrive", a_redrive_changes_nothing, 20, "RedriveExecution"),
    Chapter("push event", told(story.test_a_push_to_ecr_starts_the_machine_by_itself), 200),
    Chapter(
        "stop in the middle",
        told(story.test_an_execution_that_is_stopped_in_the_middle_is_put_back_by_the_rule),
        240,
    ),
    Chapter("rollback", told(story.test_a_rollback_returns_to_a_named_release), 90),
    Chapter("deregistered revision", a_deregistered_revision_stops_no_deploy, 200),
    Chapter("controller checks", another_controller_is_refused, 20),
    # With stricter rules.
    Chapter("stricter rules", lambda world: world.deploy_coordinator(strict=True), 90),
    Chapter("approval", told(story.a_deploy_waits_until_it_is_approved), 200),
    Chapter("rejection", told(story.test_a_rejection_ends_before_anything_is_written), 30),
    Chapter("scan gate", an_image_with_findings_is_refused, 90, "image scanning"),
    *(a_check(check) for check in CHECKS if not check.beside),
    Chapter("contract records", answers_are_read_as_recorded, 20),
)
"""In this order: each begins where the one before it has ended; those beside it as soon as what is vital stands."""


def planned() -> Estimate:
    """Return what a run takes by the budgets of its chapters; what is played beside others takes no time of its own."""
    return estimate(sum(each.seconds for each in CHAPTERS if not each.beside) + DESTROY_SECONDS, len(CHAPTERS))


def skipped_by_emulator() -> dict[str, str]:
    """Return the chapters that an emulator cannot play, and what it lacks."""
    return {each.name: each.lacks for each in CHAPTERS if each.lacks}

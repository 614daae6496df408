"""One environment from an empty account to its daily work, in the order of the file; each test begins where the one
before it ended. After every deployment the invariant (``simulator/environment/invariant.py``) is compared with AWS.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.cloud import EXECUTION_SECONDS, Cloud, Json
from tests.e2e.infrastructure import deploy_stacks, synthesise
from tests.e2e.observation import SERVICES, WORKLOADS, Observer

PLACEHOLDER = "public.ecr.aws/docker/library/python:3.13-alpine"

PUSHED = "sha-6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"
REJECTED, ROLLED_BACK, SUPERSEDED, ANYTHING_ELSE = 2, 3, 5, 1
"""Exit codes of ``stepship``: a contract."""

LAST_LINE = "KeyError: 'QUEUE_URL'"


def settled(observer: Observer, ended: Json) -> None:
    """Compare the world with the invariant, now that this execution has ended."""
    observer.note(ended)
    assert observer.violations() == ()


def outcome(ended: Json) -> str:
    """Return how an execution that succeeded has ended."""
    assert ended["status"] == "SUCCEEDED", f"{ended.get('error')}: {ended.get('cause')}"
    return str(ended["output"]["outcome"])


def everything_runs(observer: Observer, tag: str, image: str) -> None:
    """Check services and parameters against one image."""
    services, parameters = observer.look()
    assert {name: each["image"] for name, each in services.items()} == dict.fromkeys(SERVICES, image)
    identity = observer.cloud.settings.identity
    assert parameters == {
        identity.tag_parameter: tag,
        **{f"{identity.images_path}{name}": image for name in WORKLOADS},
    }


# Infrastructure.

STACKS = (
    *("bootstrap", "network", "compute-shared", "api-service", "worker-service", "scheduler-service", "migration"),
    *("deployment-coordinator", "log-forwarder", "monitoring"),
)


def test_cdk_bootstraps_the_account(cloud: Cloud, workplace: Path, now_and_later: tuple[Path, Path]) -> None:
    synthesise(cloud, now_and_later[0], workplace / "now")
    cloud.aws("iam", "create-service-linked-role", "--aws-service-name", "ecs.amazonaws.com")
    cloud.cdk("bootstrap", f"aws://{cloud.account}/{cloud.region}", "--app", str(workplace / "now"))


def test_cdk_deploys_all_stacks_and_placeholders_run(cloud: Cloud, observer: Observer, workplace: Path) -> None:
    deploy_stacks(cloud, workplace / "now", "--all")

    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    made = {each["StackName"] for each in stacks if each["StackStatus"] == "CREATE_COMPLETE"}
    assert made == {"CDKToolkit", *(observer.names.stack(part) for part in STACKS)}
    everything_runs(observer, "none", PLACEHOLDER)
    assert all("-placeholder:" in each["taskDefinition"] for each in observer.services().values())


# Code.


def test_the_first_code_deploy_replaces_the_placeholders(cloud: Cloud, observer: Observer) -> None:
    digest = cloud.push("v1")

    request = json.dumps({"imageTag": "v1", "requestedBy": "aws-cli"})
    started = cloud.aws(
        "stepfunctions", "start-execution", "--state-machine-arn", cloud.machine, "--name", "first", "--input", request
    )
    ended = cloud.finish(started["executionArn"])

    assert outcome(ended) == "Deployed"
    everything_runs(observer, "v1", cloud.uri(digest))
    definitions = [each["taskDefinition"] for each in observer.services().values()]
    assert not any("-placeholder:" in each for each in definitions)
    record = observer.record(ended["executionArn"])
    assert (record.outcome, record.requested_by, record.image_tag) == ("Deployed", "aws-cli", "v1")
    settled(observer, ended)


def test_a_good_deploy_migrates_and_moves_all_services(cloud: Cloud, observer: Observer) -> None:
    digest = cloud.push("v2")

    ended = cloud.deploy(imageTag="v2", reason="a good one")

    assert outcome(ended) == "Deployed"
    everything_runs(observer, "v2", cloud.uri(digest))
    path = cloud.path(ended["executionArn"])
    assert path.index("Update image tag") < path.index("Run migration") < path.index("Deploy wave")
    settled(observer, ended)


def test_a_new_revision_is_the_old_one_with_one_image_changed(observer: Observer) -> None:
    for name in SERVICES:
        family = observer.names.service(name)
        old, new = (observer.task_definition(f"{family}:{revision}") for revision in (2, 3))
        for each in (old, new):
            for field in ("taskDefinitionArn", "revision", "registeredAt"):
                del each[field]
            del each["containerDefinitions"][0]["image"]
        assert old == new
        assert old["runtimePlatform"] == {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}


def test_an_image_that_crashes_is_rolled_back_and_explained(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()
    crash = {"worker": {"exit_code": 1, "logs": ["starting worker v3", LAST_LINE]}}
    cloud.push("v3", crash)

    ended = cloud.deploy(imageTag="v3")

    assert (ended["status"], ended["error"]) == ("FAILED", "RolledBack")
    cause = ended["cause"]
    assert (cause["outcome"], cause["step"]) == ("RolledBack", "Check rollout")
    assert "worker" in cause["message"]
    text = json.dumps(cause["explanation"])
    assert "exit-code" in text
    assert LAST_LINE in text
    # The API was on the new image already when the worker failed, and is back all the same.
    assert cloud.path(ended["executionArn"]).count("Roll back") == 2
    assert observer.look() == before
    settled(observer, ended)


def test_a_failing_migration_moves_no_service(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()
    cloud.push("v4", {"migrate": {"exit_code": 3, "logs": ["relation already exists"]}})

    told = cloud.stepship("deploy", "v4", "--reason", "a new column", expect=ROLLED_BACK)
    ended = cloud.finish(told["execution"])

    assert ended["error"] == "RolledBack"
    assert ended["cause"]["step"] == "Run migration"
    assert "exited with 3" in ended["cause"]["message"]
    assert "relation already exists" in json.dumps(ended["cause"]["explanation"])
    assert "Deploy wave" not in cloud.path(ended["executionArn"])
    assert observer.look() == before
    settled(observer, ended)


def test_a_missing_tag_is_rejected_before_anything_is_written(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()

    told = cloud.stepship("deploy", "never-pushed", expect=REJECTED)
    ended = cloud.finish(told["execution"])

    assert (ended["status"], ended["error"]) == ("FAILED", "Rejected")
    assert (ended["cause"]["step"], ended["cause"]["errorType"]) == ("Verify image", "ImageNotFound")
    assert cloud.path(ended["executionArn"]) == ["Verify image", "Record outcome", "Outcome?", "Rejected"]
    assert observer.look() == before
    settled(observer, ended)


def test_a_dry_run_writes_nothing(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()
    cloud.push("v5")

    told = cloud.stepship("plan", "v5")
    ended = cloud.finish(told["execution"])

    assert outcome(ended) == "Planned"
    assert set(told["plan"]["services"]) == set(SERVICES)
    assert observer.look() == before
    settled(observer, ended)


def test_a_push_to_ecr_starts_the_machine_by_itself(cloud: Cloud, observer: Observer) -> None:
    known = {each["executionArn"] for each in cloud.executions()}

    digest = cloud.push(PUSHED)
    ended = cloud.finish(new_execution(cloud, known))

    assert json.loads(ended["input"]) == {
        "action": "deploy",
        "imageTag": PUSHED,
        "imageDigest": digest,
        "requestedBy": "eventbridge:ecr-push",
        "reason": "image pushed",
    }
    assert outcome(ended) == "Deployed"
    everything_runs(observer, PUSHED, cloud.uri(digest))
    settled(observer, ended)


def test_the_same_input_started_again_from_the_console_does_nothing(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()
    last = cloud.executions()[0]["executionArn"]

    # "New execution" in the console starts with the input of the one that is looked at, under a new name.
    again = cloud.aws(
        *("stepfunctions", "start-execution", "--state-machine-arn", cloud.machine),
        *("--input", cloud.describe(last)["input"]),
    )
    ended = cloud.finish(again["executionArn"])

    # It is the same push once more, as when its event comes twice.
    assert outcome(ended) == "Superseded"
    assert observer.look() == before
    settled(observer, ended)


def test_of_three_at_once_the_newest_waits_and_the_one_between_is_superseded(cloud: Cloud, observer: Observer) -> None:
    # Its migration takes long enough for the others to come.
    cloud.push("v6", {"migrate": {"seconds": 6}})
    cloud.push("v7")
    digest = cloud.push("v8")

    first = cloud.start(imageTag="v6")
    cloud.await_state(first, "Plan")
    known = {each["executionArn"] for each in cloud.executions()}
    with cloud.running(*cloud.stepship_command("deploy", "v7")) as second:
        cloud.await_state(new_execution(cloud, known), "Wait for lock")
        third = cloud.start(imageTag="v8")
        told, _ = second.communicate(timeout=EXECUTION_SECONDS)

    assert outcome(cloud.finish(first)) == "Deployed"
    assert (second.returncode, json.loads(told)["outcome"]) == (SUPERSEDED, "Superseded")
    ended = cloud.finish(third)
    assert outcome(ended) == "Deployed"
    assert "Wait for lock" in cloud.path(third)
    everything_runs(observer, "v8", cloud.uri(digest))
    settled(observer, ended)


def test_an_execution_that_is_stopped_in_the_middle_is_put_back_by_the_rule(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()
    cloud.push("v9")
    execution = cloud.start(imageTag="v9")
    cloud.await_state(execution, "Check rollout")
    assert observer.look() != before

    told = cloud.stepship("stop", execution, "--yes", "--reason", "the wrong tag")

    assert cloud.describe(execution)["status"] == "ABORTED"
    recovery = cloud.finish(told["recovery"]["execution"])
    assert json.loads(recovery["input"])["takeover"] == execution
    assert outcome(recovery) == "Deployed"
    assert observer.record(execution).outcome == "Stopped"
    assert observer.look() == before
    settled(observer, recovery)


def test_a_rollback_returns_to_a_named_release(cloud: Cloud, observer: Observer) -> None:
    (wanted,) = [each for each in observer.table.history(100) if each.image_tag == "v2" and each.outcome == "Deployed"]
    release = observer.table.release(str(wanted.release_id))
    assert release is not None

    told = cloud.stepship("rollback", release.release_id, "--reason", "v2 was better")
    ended = cloud.finish(told["execution"])

    assert outcome(ended) == "Deployed"
    services = observer.services()
    assert {name: each["taskDefinition"] for name, each in services.items()} == release.services
    assert observer.tag() == "v2"
    assert "Run migration" not in cloud.path(ended["executionArn"])
    settled(observer, ended)


# Both.


def test_an_infrastructure_change_keeps_the_code(
    cloud: Cloud, observer: Observer, workplace: Path, now_and_later: tuple[Path, Path]
) -> None:
    before, parameters = observer.look()

    synthesise(cloud, now_and_later[1], workplace / "later")
    deploy_stacks(cloud, workplace / "later", "--all")
    after = cloud.wait_until(lambda: steady(observer), "the services are steady after the infrastructure change")

    assert {name: each["image"] for name, each in after.items()} == {
        name: each["image"] for name, each in before.items()
    }
    assert observer.parameters() == parameters
    assert after["api"]["taskDefinition"] != before["api"]["taskDefinition"]
    assert observer.task_definition(after["api"]["taskDefinition"])["memory"] == "1024"
    assert observer.violations() == ()


def test_a_code_deploy_keeps_the_infrastructure_and_waits_for_approval(cloud: Cloud, observer: Observer) -> None:
    a_deploy_waits_until_it_is_approved(cloud, observer)

    assert observer.task_definition(observer.services()["api"]["taskDefinition"])["memory"] == "1024"


def a_deploy_waits_until_it_is_approved(cloud: Cloud, observer: Observer) -> None:
    """Deploy where a person has to say yes: before that nothing is written."""
    before = observer.look()
    digest = cloud.push("v10")
    execution = cloud.start(imageTag="v10")

    cloud.wait_until(lambda: observer.table.approval_token(execution), f"{execution} asks")
    assert observer.look() == before
    cloud.stepship("approve", execution, "--yes", "--reason", "looks good")
    cloud.stepship("watch", execution)
    ended = cloud.finish(execution)

    assert outcome(ended) == "Deployed"
    everything_runs(observer, "v10", cloud.uri(digest))
    settled(observer, ended)


def test_a_rejection_ends_before_anything_is_written(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()
    cloud.push("v11")
    execution = cloud.start(imageTag="v11")

    cloud.wait_until(lambda: observer.table.approval_token(execution), f"{execution} asks")
    cloud.stepship("reject", execution, "--yes", "--reason", "not on a Friday")
    cloud.stepship("watch", execution, expect=REJECTED)
    ended = cloud.finish(execution)

    assert (ended["status"], ended["error"]) == ("FAILED", "Rejected")
    assert "not on a Friday" in ended["cause"]["message"]
    assert observer.look() == before
    settled(observer, ended)


# What a person asks.


def test_stepship_explains_the_crash(cloud: Cloud) -> None:
    (crashed,) = [
        each
        for each in cloud.executions()
        if json.loads(cloud.describe(each["executionArn"])["input"]).get("imageTag") == "v3"
    ]

    said = json.dumps(cloud.stepship("explain", crashed["executionArn"]))

    assert "exit-code" in said
    assert LAST_LINE in said


def test_stepship_tells_what_runs_and_what_was(cloud: Cloud, observer: Observer) -> None:
    status = cloud.stepship("status")
    history = cloud.stepship("history")

    assert "v10" in json.dumps(status)
    told = {each["outcome"] for each in history["deployments"]}
    assert told == {"Deployed", "Planned", "Rejected", "RolledBack", "Stopped", "Superseded"}
    assert len(history["deployments"]) == len(cloud.executions())


def test_stepship_says_by_its_exit_code_that_there_is_nothing_to_do(cloud: Cloud) -> None:
    cloud.stepship("watch")
    cloud.stepship("deploy", expect=REJECTED)
    cloud.stepship("approve", "--yes", expect=ANYTHING_ELSE)
    cloud.stepship("stop", "--yes", expect=ANYTHING_ELSE)


def test_a_stopped_line_refuses_deploys_until_it_is_started_again(cloud: Cloud, observer: Observer) -> None:
    before = observer.look()

    cloud.stepship("line", "stop", "the database is being moved")
    refused = cloud.stepship("deploy", "v5", expect=REJECTED)
    cloud.stepship("line", "start")

    assert "the database is being moved" in json.dumps(refused["report"])
    cloud.stepship("plan", "v5")
    assert observer.look() == before
    assert observer.violations() == ()


def steady(observer: Observer) -> dict[str, Json] | None:
    services = observer.services()
    done = all(each["rolloutState"] == "COMPLETED" and each["running"] == each["desired"] for each in services.values())
    return services if done else None


def new_execution(cloud: Cloud, known: set[str]) -> str:
    """Return the execution that something else has started."""

    def look() -> str | None:
        return next((each["executionArn"] for each in cloud.executions() if each["executionArn"] not in known), None)

    return cloud.wait_until(look, "an execution starts by itself")

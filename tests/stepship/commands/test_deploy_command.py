"""``stepship deploy`` and ``rollback`` from the first call to the exit code, in a simulated world."""

import json
from collections.abc import Callable

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.faults import FunctionAction, FunctionFault
from tests.simulator.quick import as_committed
from tests.stepship.conftest import Desk, Refuse

CRASH = ImageBehavior(outcome="crash", exit_code=3, logs=("Traceback", "KeyError: 'QUEUE_URL'"))
GITHUB = {"GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "1"}


def ctrl_c(at: int) -> Callable[[float], None]:
    """Press Ctrl-C in the so-manieth wait."""
    waits = iter(range(1, 10_000))

    def press(_now: float) -> None:
        if next(waits) == at:
            raise KeyboardInterrupt

    return press


@pytest.fixture
def live(simulated: SimulatedEnvironment) -> SimulatedEnvironment:
    """A world in which v1 is live; v2 is good, v3 crashes."""
    for tag in ("v1", "v2"):
        simulated.push(tag)
    simulated.push("v3", per_service={"worker": CRASH})
    simulated.run({"imageTag": "v1"}, "first")
    return simulated


@as_committed
def test_a_deploy_is_followed_to_its_end(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "v2", "--reason", "release 41")
    assert (typed.exit_code, typed.stderr) == (0, "")
    lines = typed.stdout.splitlines()
    assert lines[0] == "deploy-dev-v2-20260105-090316 started"
    assert "  00:41 Run migration \N{MULTIPLICATION SIGN}5 ok (40 s): succeeded" in lines
    assert lines[-1].startswith("Deployed (release r-")
    record = live.records()["deploy-dev-v2-20260105-090316"]
    assert (record.requested_by, record.reason) == ("arn:aws:sts::123456789012:user/moto", "release 41")


def test_the_json_document_is_all_of_stdout(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "v2", "--json")
    document = typed.document
    assert typed.stderr == ""
    assert list(document) == [
        *("environment", "execution", "name", "url", "status", "outcome", "exitCode", "release", "imageTag", "digest"),
        *("startedAt", "endedAt", "seconds", "report", "services", "states", "how"),
    ]
    assert document["outcome"] == "Deployed"
    assert document["services"]["api"] == {
        "wave": 1,
        "previousImage": document["services"]["worker"]["previousImage"],
        "image": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend@{document['digest']}",
        "previousTaskDefinition": "v3-backend-dev-api:2",
    }
    assert [each["state"] for each in document["states"]][:3] == ["Verify image", "Acquire lock", "Plan"]


@as_committed
def test_a_crash_exits_with_3_and_is_explained(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "v3")
    assert typed.exit_code == 3
    for line in (
        "Failed, and rolled back: everything runs what ran before",
        "    1. worker: exit-code, seen 2 times",
        "       | KeyError: 'QUEUE_URL'",
        "       - All services are steady on what they ran before.",
        "Nothing is left to roll back. The whole report: stepship explain deploy-dev-v3-20260105-090316 --env dev",
    ):
        assert line in typed.stdout.splitlines()


def test_a_failed_rollback_exits_with_4_and_names_the_command(live: SimulatedEnvironment, stepship: Desk) -> None:
    name = "v3-backend-dev-roll-back"
    live.aws.faults.add(FunctionFault(FunctionAction.RAISE, name, times=4, error="AwsError"))
    typed = stepship("deploy", "v3")
    assert typed.exit_code == 4
    assert "ROLLBACK FAILED" in typed.stdout
    assert typed.stdout.splitlines()[-1] == "When the cause is repaired: stepship rollback --env dev"


def test_a_rejected_deploy_exits_with_2(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "never-pushed")
    assert typed.exit_code == 2
    assert "imageTag never-pushed: repository v3-backend has no such image; push it first" in typed.stdout


def test_one_that_is_overtaken_exits_with_5(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.start({"imageTag": "v2"}, "first-of-three")
    live.aws.clock.sleep(20)
    live.start({"imageTag": "v1"}, "newest", at=live.aws.clock.now() + 20)
    assert stepship("deploy", "v2", "--force").exit_code == 5


def test_the_same_again_has_nothing_to_do(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "v1")
    assert (typed.exit_code, typed.stdout.splitlines()[-1][:13]) == (0, "Nothing to do")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the TAG to deploy, or --digest"),
        (("bad tag",), 'imageTag: "bad tag" must match pattern'),
        (("v1", "--digest", "sha256:12"), 'imageDigest: "sha256:12" must match pattern'),
        (("v1", "--services", "API"), "services.0:"),
        (("v1", "--timeout", "soon"), "is no duration; write 90s"),
    ],
)
def test_a_wrong_request_never_reaches_aws(
    simulated: SimulatedEnvironment, stepship: Desk, arguments: tuple[str, ...], message: str
) -> None:
    typed = stepship("deploy", *arguments)
    assert (typed.exit_code, simulated.aws.runs) == (2, [])
    assert message in " ".join(typed.stderr.replace("│", "").split())


def test_all_that_a_deploy_may_say_is_in_its_input(live: SimulatedEnvironment, stepship: Desk) -> None:
    digest = live.push("v4")
    typed = stepship(
        *("deploy", "v4", "--digest", digest, "--services", "api, worker", "--services", "scheduler"),
        *("--no-migration", "--force", "--override-freeze", "outage", "--reason", "a\nb", "--requested-by", "me"),
        "--no-wait",
    )
    assert typed.exit_code == 0
    assert json.loads(live.aws.runs[-1].input_json) == {
        "action": "deploy",
        "environment": "dev",
        "imageTag": "v4",
        "imageDigest": digest,
        "services": ["api", "worker", "scheduler"],
        "runMigration": False,
        "force": True,
        "overrideFreeze": "outage",
        "reason": "a b",
        "requestedBy": "me",
    }


@as_committed
def test_no_wait_says_how_to_follow_and_ends_at_once(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "v2", "--no-wait")
    assert typed.exit_code == 0
    assert stepship.slept == []
    assert typed.stdout.splitlines()[-1] == "  Follow it: stepship watch deploy-dev-v2-20260105-090316 --env dev"
    live.settle()
    assert live.snapshot().live_tag == "v2"


def test_ctrl_c_detaches_and_the_deployment_goes_on(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.on_sleep = ctrl_c(at=3)
    typed = stepship("deploy", "v2")
    name = live.aws.runs[-1].name
    assert typed.exit_code == 130
    assert typed.stderr == f"stepship: detached; {name} goes on. Follow it again: stepship watch {name} --env dev\n"
    live.settle()
    assert live.snapshot().live_tag == "v2"


def test_a_cli_that_died_is_picked_up_by_watch(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.on_sleep = ctrl_c(at=8)  # killed: nothing of it is left but the execution
    stepship("deploy", "v2")
    stepship.on_sleep = lambda _now: None
    typed = stepship("watch")
    assert typed.exit_code == 0
    assert typed.stdout.startswith(f"{live.aws.runs[-1].name} has been running for 35 s")
    assert "Verify image ok" in typed.stdout
    assert "Complete ok" in typed.stdout


def test_a_timeout_leaves_it_running_and_exits_with_1(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("deploy", "v2", "--timeout", "1m", "--json")
    assert typed.exit_code == 1
    assert (typed.document["outcome"], typed.document["status"]) == ("Running", "RUNNING")
    live.settle()
    assert live.snapshot().live_tag == "v2"


def test_a_retried_ci_step_takes_up_what_it_started(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.environ = GITHUB
    stepship("deploy", "v2", "--no-wait")
    typed = stepship("deploy", "v2", "--requested-by", "another-session")
    assert typed.exit_code == 0
    assert "runs already, started by an earlier try of this run: taking it up" in typed.stdout
    again = stepship("deploy", "v2")
    assert "was started by an earlier try of this step, and has ended" in again.stdout
    assert again.exit_code == 0
    assert [run.name for run in live.aws.runs[1:]] == ["deploy-dev-v2-42-1"]


def test_a_run_that_is_started_again_takes_up_what_still_runs(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.environ = GITHUB
    stepship("deploy", "v2", "--no-wait")
    stepship.environ = {**GITHUB, "GITHUB_RUN_ATTEMPT": "2"}
    assert "taking it up" in stepship("deploy", "v2").stdout
    assert stepship("deploy", "v2").exit_code == 0
    # It had ended well, and a person has asked again: the world may have changed since.
    assert [run.name for run in live.aws.runs[1:]] == ["deploy-dev-v2-42-1", "deploy-dev-v2-42-2"]


def test_a_step_that_is_tried_again_after_a_failure_starts_anew(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.environ = GITHUB
    assert stepship("deploy", "v3").exit_code == 3
    assert stepship("deploy", "v3").exit_code == 3
    assert [run.name for run in live.aws.runs[1:]] == ["deploy-dev-v3-42-1", "deploy-dev-v3-42-1-2"]


def test_another_request_of_the_same_run_is_another_execution(live: SimulatedEnvironment, stepship: Desk) -> None:
    for services in ("api", "worker"):
        stepship("deploy", "v2", "--services", services, "--run-id", "7", "--no-wait")
    assert [run.name for run in live.aws.runs[1:]] == ["deploy-dev-v2-7", "deploy-dev-v2-7-2"]


def test_a_caller_who_may_only_start_and_read_executions_is_enough(
    live: SimulatedEnvironment, stepship: Desk, refuse: Refuse
) -> None:
    refuse("dynamodb", "Query", "AccessDeniedException", "User is not authorized to perform: dynamodb:Query")
    refuse("stepfunctions", "ListExecutions", "AccessDeniedException", "not authorized")
    stepship.environ = GITHUB
    typed = stepship("deploy", "v2")
    assert (typed.exit_code, typed.stderr) == (0, "")


def test_without_the_history_it_is_followed_by_its_description(
    live: SimulatedEnvironment, stepship: Desk, refuse: Refuse
) -> None:
    refuse("stepfunctions", "GetExecutionHistory", "AccessDeniedException", "not authorized")
    typed = stepship("deploy", "v3")
    assert typed.exit_code == 3
    assert "following without its states" in typed.stdout
    assert "KeyError: 'QUEUE_URL'" in typed.stdout


@as_committed
def test_throttling_makes_it_look_less_often(live: SimulatedEnvironment, stepship: Desk, refuse: Refuse) -> None:
    def throttle(_now: float) -> None:
        if len(stepship.slept) == 3:
            refuse("stepfunctions", "DescribeExecution", "ThrottlingException", "Rate exceeded")

    stepship.on_sleep = throttle
    typed = stepship("deploy", "v2")
    assert typed.exit_code == 1
    assert "Rate exceeded" in typed.stderr
    assert typed.stderr.endswith("goes on. Follow it again: stepship watch deploy-dev-v2-20260105-090316 --env dev\n")
    waits = [seconds for before, seconds in zip(stepship.slept, stepship.slept[1:], strict=False) if seconds != before]
    assert waits == [10.0, 20.0, 40.0, 60.0]
    live.settle()
    assert live.snapshot().live_tag == "v2"


@as_committed
def test_a_terminal_shows_services_and_what_is_usual(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.watched = True
    typed = stepship("deploy", "v3")
    assert typed.exit_code == 3
    assert "of usually 2 min 46 s; Ctrl-C detaches" in typed.stdout
    assert "worker" in typed.stdout
    assert "Why deploy-dev-v3-20260105-090316 did not go through at Check rollout" in typed.stdout
    assert set(stepship.slept) == {2.0}


def test_a_rollback_goes_to_the_release_before(live: SimulatedEnvironment, stepship: Desk) -> None:
    stepship("deploy", "v2")
    typed = stepship("rollback", "--reason", "error rate doubled")
    assert (typed.exit_code, live.snapshot().live_tag) == (0, "v1")
    assert typed.stdout.splitlines()[-1].startswith("Rolled back (release r-")


def test_a_rollback_to_a_release_that_never_was_is_rejected(live: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("rollback", "r-20200101-000000-000000").exit_code == 2

"""``status``, ``history``, ``explain`` and ``plan``: they look, and change nothing."""

import pytest

from lambdas.release.gates import PausedDeploys
from lambdas.release.history import timestamp
from simulator.ecs.images import ImageBehavior
from simulator.engine.runs import StopAt
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.faults import FunctionAction, FunctionFault
from stepship.commands.plan import failed_checks
from tests.simulator.quick import as_committed
from tests.stepship.conftest import Desk, Refuse

CRASH = ImageBehavior(outcome="crash", exit_code=3, logs=("KeyError: 'QUEUE_URL'",))


@pytest.fixture
def live(simulated: SimulatedEnvironment) -> SimulatedEnvironment:
    """A world in which v1 is live; v2 is good, v3 crashes."""
    for tag in ("v1", "v2"):
        simulated.push(tag)
    simulated.push("v3", per_service={"worker": CRASH})
    simulated.run({"imageTag": "v1", "requestedBy": "github:octocat", "reason": "first"}, "first")
    return simulated


def test_status_before_the_first_release(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    lines = stepship("status").stdout.splitlines()
    assert lines[0] == "v3-backend dev: nothing was released yet"
    assert lines[2].split() == [
        "api",
        "3/3",
        "python:3.13-alpine",
        "v3-backend-dev-api:1",
        "COMPLETED",
        "not",
        "released",
    ]
    assert lines[-1] == "Lock: free"


def test_status_of_a_world_in_order(live: SimulatedEnvironment, stepship: Desk) -> None:
    document = stepship("status", "--json").document
    assert list(document) == [
        *(
            "app",
            "environment",
            "services",
            "imageTag",
            "liveRelease",
            "lock",
            "approval",
            "pause",
            "freeze",
            "exitCode",
        ),
    ]
    assert [each["name"] for each in document["services"]] == ["api", "scheduler", "worker"]
    assert all(each["imageTag"] == "v1" and each["drift"] == [] for each in document["services"])
    assert document["lock"]["holder"] is None
    digest = document["services"][0]["digest"]
    assert f"v1 ({digest[7:19]})" in stepship("status").stdout


def test_status_shows_what_somebody_else_has_deployed(live: SimulatedEnvironment, stepship: Desk) -> None:
    ecs = live.aws.client("ecs")
    ecs.update_service(cluster="v3-backend-dev", service="v3-backend-dev-api", taskDefinition="v3-backend-dev-api:1")
    live.aws.clock.sleep(120)
    lines = stepship("status").stdout.splitlines()
    assert lines[2].endswith("drift")
    assert any(line.startswith("  ! api: runs python:3.13-alpine, its parameter names ") for line in lines)
    assert any(line.startswith("  ! api: not on the live release, which has ") for line in lines)


def test_status_shows_who_is_at_it_and_who_waits(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.start({"imageTag": "v2"}, "rolling")
    live.aws.clock.sleep(50)
    live.start({"imageTag": "v3"}, "waiting")
    live.aws.clock.sleep(10)
    typed = stepship("status")
    assert typed.stdout.splitlines()[-1] == "Lock: rolling (deploy), started 1 min 0 s ago; waiting wait"
    assert "drift" not in typed.stdout
    live.aws.runs[1].stop()
    assert "rolling (deploy), which no longer runs; its lease ends in" in stepship("status").stdout


def test_status_shows_a_pause_and_a_rollback_that_failed(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.aws.faults.add(FunctionFault(FunctionAction.RAISE, "v3-backend-dev-roll-back", times=4, error="AwsError"))
    live.run({"imageTag": "v3"}, "broken")
    live.table.pause(PausedDeploys("ops", "we look at it", live.aws.clock.now()))
    lines = stepship("status").stdout.splitlines()
    assert f"Paused: by ops since {timestamp(live.aws.clock.now())}: we look at it" in lines
    assert lines[-1] == "An earlier deployment could not be rolled back: stepship rollback --env dev"


def test_status_names_the_release_that_a_failed_rollback_was_going_to(
    live: SimulatedEnvironment, stepship: Desk
) -> None:
    first = live.table.live()
    live.run({"imageTag": "v2"}, "second")
    live.aws.faults.add(FunctionFault(FunctionAction.RAISE, "v3-backend-dev-deploy-wave", times=9, error="AwsError"))
    live.run({"action": "rollback"}, "back")
    assert first
    text = f"An earlier deployment could not be rolled back: stepship rollback {first.release_id} --env dev"
    assert stepship("status").stdout.splitlines()[-1] == text


def test_status_shows_what_a_stopped_execution_has_left(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.recovers = False
    live.run({"imageTag": "v2"}, "second", stop=StopAt("Check rollout"))
    live.aws.clock.sleep(120)
    lines = stepship("status").stdout.splitlines()
    assert lines[-1] == "second was stopped half-way; if no recovery starts: stepship rollback live --env dev"
    assert any(line.startswith("  ! api: ") for line in lines)


def test_status_without_a_permission_names_it(live: SimulatedEnvironment, stepship: Desk, refuse: Refuse) -> None:
    refuse("ecs", "DescribeServices", "AccessDeniedException", "User: me is not authorized")
    typed = stepship("status", "--json")
    assert typed.exit_code == 1
    assert typed.stderr == "stepship: these credentials lack ecs:DescribeServices: User: me is not authorized\n"
    assert typed.document == {"error": typed.stderr.strip().removeprefix("stepship: "), "exitCode": 1}


@as_committed
def test_history_is_newest_first_with_figures(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.run({"imageTag": "v3"}, "broken")
    live.run({"imageTag": "v2"}, "mended")
    lines = stepship("history").stdout.splitlines()
    assert [line.split()[2] for line in lines[1:4]] == ["mended", "broken", "first"]
    assert lines[3].split()[6:] == ["Deployed", "2", "min", "46", "s", "github:octocat", "first"]
    assert lines[5:] == [
        "Last 30 days: 2 deployments, 0.1 per day",
        "  a deployment takes   2 min 46 s (median)",
        "  change failure rate  33%",
        "  time to restore      2 min 47 s (median)",
    ]
    document = stepship("history", "--limit", "1", "--json").document
    assert [each["name"] for each in document["deployments"]] == ["mended"]
    assert document["figures"]["deployments"] == 2


def test_history_of_a_new_environment(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("history").stdout.splitlines()[0] == "Nothing has been deployed to dev yet"


@as_committed
def test_explain_takes_the_last_failure_a_name_or_a_release(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.run({"imageTag": "v3", "requestedBy": "github:octocat"}, "broken")
    live.run({"imageTag": "v2"}, "mended")
    release = live.records()["broken"].release_id
    told = [stepship("explain", *what).stdout for what in ((), ("broken",), (str(release),), (live.aws.runs[1].arn,))]
    assert len(set(told)) == 1
    assert told[0].startswith("2026-01-05T09:03:16Z deploy v3, asked for by github:octocat\nFailed, and rolled back")
    assert "       | KeyError: 'QUEUE_URL'" in told[0]
    assert stepship("explain", "mended").stdout.splitlines()[-1].startswith("Deployed (release r-")
    document = stepship("explain", "--json").document
    assert (document["name"], document["report"]["explanation"]["causes"][0]["cause"]) == ("broken", "exit-code")


def test_explain_without_the_table_reads_the_execution(
    live: SimulatedEnvironment, stepship: Desk, refuse: Refuse
) -> None:
    live.run({"imageTag": "v3"}, "broken")
    refuse("dynamodb", "GetItem", "AccessDeniedException", "no")
    assert "KeyError: 'QUEUE_URL'" in stepship("explain", "broken").stdout


@pytest.mark.parametrize("what", [(), ("r-20200101-000000-000000",), ("nobody",)])
def test_explain_of_nothing_exits_with_1(live: SimulatedEnvironment, stepship: Desk, what: tuple[str, ...]) -> None:
    assert stepship("explain", *what).exit_code == 1


@as_committed
def test_a_plan_shows_what_would_happen(live: SimulatedEnvironment, stepship: Desk) -> None:
    before = live.snapshot().services
    typed = stepship("plan", "v2")
    assert typed.exit_code == 0
    text = typed.stdout
    assert "Planned: nothing was written" in text
    assert "checks are OK; --all lists them" in text
    assert "v3-backend-dev-api:new from v3-backend-dev-api:2" in text
    assert "  migration  v3-backend-dev-migration, at most 15 min 0 s" in text
    assert "  takes      2 min 46 s, as the last ones did" in text
    assert live.snapshot().services == before
    document = stepship("plan", "v2", "--json").document
    assert (document["outcome"], document["expectedSeconds"], document["failedChecks"]) == ("Planned", 166.0, [])
    assert document["plan"]["checks"][0]["result"] == "OK"
    assert "api: service is ACTIVE" in stepship("plan", "v2", "--all").stdout


def test_a_plan_that_would_be_refused_lists_each_check_and_exits_with_2(
    live: SimulatedEnvironment, stepship: Desk
) -> None:
    for name in ("v3-backend-dev-api-5xx", "v3-backend-dev-worker-queue-age"):
        live.aws.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="x")
    typed = stepship("plan", "v2")
    assert typed.exit_code == 2
    listed = [line for line in typed.stdout.splitlines() if line.startswith("  FAIL ")]
    assert [line.split(":")[0] for line in listed] == [
        "  FAIL v3-backend-dev-api-5xx",
        "  FAIL v3-backend-dev-worker-queue-age",
    ]


def test_a_plan_of_what_runs_already(live: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("plan", "v1")
    assert (typed.exit_code, "Nothing to do" in typed.stdout) == (0, True)


def test_a_plan_while_the_line_is_stopped_says_so(live: SimulatedEnvironment, stepship: Desk) -> None:
    live.table.pause(PausedDeploys("ops", "moving the database", live.aws.clock.now()))
    typed = stepship("plan", "v2")
    assert typed.exit_code == 0
    assert "SKIP dev: deploys not paused (deploys to dev were paused by ops" in typed.stdout


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            {"errorType": "PreflightFailed", "message": "2 of 9 checks: FAIL a: x — 1; 2; FAIL b: y"},
            ["FAIL a: x — 1; 2", "FAIL b: y"],
        ),
        ({"errorType": "ImageNotFound", "message": "FAIL: not this"}, []),
    ],
)
def test_the_failed_checks_are_taken_apart(report: dict[str, str], expected: list[str]) -> None:
    assert failed_checks(report) == expected


def test_an_item_that_cannot_be_read_is_named_and_hides_no_other(live: SimulatedEnvironment, stepship: Desk) -> None:
    for pk, sk in (("history", "2026-01-05T09:00:01Z#bad"), ("release", "r-20260105-080000-bad")):
        item = {"pk": {"S": pk}, "sk": {"S": sk}, "document": {"S": "{"}}
        live.aws.client("dynamodb").put_item(TableName=live.identity.table, Item=item)
    history, status = stepship("history"), stepship("status")
    assert (history.exit_code, status.exit_code) == (0, 0)
    assert "left out: table v3-backend-dev-releases, item history / 2026-01-05T09:00:01Z#bad" in _line(history.stdout)
    assert "left out: table v3-backend-dev-releases, item release / r-20260105-080000-bad" in _line(status.stdout)
    assert len(stepship("history", "--json").document["unreadable"]) == 1
    assert len(stepship("status", "--json").document["unreadable"]) == 1


def _line(text: str) -> str:
    return " ".join(text.split())

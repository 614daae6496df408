"""``stepship watch`` and ``stepship stop``: whatever runs can be picked up, and stopping it is harmless."""

import pytest

from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.simulator.quick import as_committed
from tests.stepship.conftest import Desk


@pytest.fixture
def rolling(simulated: SimulatedEnvironment) -> SimulatedEnvironment:
    """A world in which v1 is live and v2 is on its way."""
    for tag in ("v1", "v2"):
        simulated.push(tag)
    simulated.run({"imageTag": "v1"}, "first")
    simulated.start({"imageTag": "v2"}, "second")
    simulated.aws.clock.sleep(60)
    return simulated


def test_watch_without_anything_to_watch_tells_what_was_last(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("watch").stdout == "Nothing runs in dev, and nothing has run yet\n"
    simulated.push("v1")
    simulated.run({"imageTag": "v1"}, "first")
    assert stepship("watch").stdout == "Nothing runs in dev. The last one was first: Deployed\n"
    document = stepship("watch", "--json").document
    assert (document["name"], document["outcome"], document["exitCode"]) == ("first", "Deployed", 0)


@as_committed
def test_watch_of_one_that_has_ended_shows_how_it_went(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("watch", "first")
    assert typed.exit_code == 0
    assert "02:47 Deployed (SUCCEEDED)" in typed.stdout


def test_watch_takes_the_one_that_has_the_lock(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    rolling.start({"imageTag": "v1"}, "waiting")
    rolling.aws.clock.sleep(5)
    typed = stepship("watch")
    assert typed.stdout.startswith("also running: waiting\nsecond has been running for")


def test_watch_takes_an_arn_and_refuses_one_of_another_machine(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    arn = rolling.aws.runs[0].arn
    assert stepship("watch", arn).exit_code == 0
    typed = stepship("watch", arn.replace("v3-backend-dev-deploy", "shop-dev-deploy"))
    assert (typed.exit_code, "is no execution of v3-backend-dev-deploy" in typed.stderr) == (2, True)


def test_watch_of_an_unknown_name_says_where_to_find_names(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("watch", "nobody")
    assert typed.exit_code == 1
    assert typed.stderr == "stepship: there is no execution nobody: `stepship history --env dev` lists them\n"


def test_a_stop_is_followed_until_everything_is_back(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("stop", "--reason", "wrong tag")
    assert typed.exit_code == 0
    assert typed.stdout.startswith("second is stopped\nA recovery starts by itself, and rolls back what had moved.\n")
    assert typed.stdout.endswith("Everything runs what ran before\n")
    assert rolling.aws.runs[1].cause == "arn:aws:sts::123456789012:user/moto: wrong tag"
    assert rolling.snapshot().live_tag == "v1"
    assert {service["image"] for service in rolling.snapshot().services.values()} == {
        rolling.snapshot().live_images["api"]
    }


def test_a_stop_asks_a_person_first(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    stepship.asks = True
    typed = stepship("stop", answer="n\n")
    assert (typed.exit_code, rolling.aws.runs[1].status) == (1, "RUNNING")
    assert "Stop second (deploy v2) in dev? What it has moved is rolled back" in typed.stderr
    assert stepship("stop", "--yes", "--no-wait").exit_code == 0
    assert rolling.aws.runs[1].status == "ABORTED"
    rolling.settle()
    assert rolling.snapshot().live_tag == "v1"


def test_a_stop_in_json_tells_of_both(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    document = stepship("stop", "--json").document
    assert (document["outcome"], document["recovery"]["outcome"], document["exitCode"]) == ("Stopped", "Deployed", 0)


def test_there_is_nothing_to_stop(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    typed = stepship("stop")
    assert (typed.exit_code, typed.stderr) == (1, "stepship: nothing to stop: no execution runs in dev\n")


def test_one_that_has_ended_cannot_be_stopped(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("stop", "first").stderr == "stepship: nothing to stop: first has ended as SUCCEEDED\n"


def test_without_a_recovery_it_says_so_and_exits_with_1(stepship: Desk, simulated: SimulatedEnvironment) -> None:
    simulated.recovers = False
    simulated.push("v1")
    simulated.start({"imageTag": "v1"}, "only")
    simulated.aws.clock.sleep(60)
    typed = stepship("stop")
    assert typed.exit_code == 1
    assert typed.stdout.endswith("None has started so far. See what runs: stepship status --env dev\n")


def test_a_follower_of_one_that_somebody_stops_sees_the_recovery(rolling: SimulatedEnvironment, stepship: Desk) -> None:
    def stop(_now: float) -> None:
        if len(stepship.slept) == 2:
            rolling.aws.runs[1].stop(cause="console")

    stepship.on_sleep = stop
    typed = stepship("watch")
    assert typed.exit_code == 1
    assert "somebody stopped it (console)" in typed.stdout
    assert "recovery-1 does it" in typed.stdout
    assert typed.stdout.splitlines()[-1] == "Rolled back"

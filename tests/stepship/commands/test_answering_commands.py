"""``approve``, ``reject``, ``pause`` and ``resume``: what a person decides."""

from collections.abc import Iterator

import pytest

from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.stepship.conftest import Desk

ME = "arn:aws:sts::123456789012:user/moto"


@pytest.fixture
def asked(asking_world: SimulatedEnvironment) -> Iterator[Desk]:
    """Somebody else has asked to deploy v1, half a minute ago."""
    asking_world.push("v1")
    asking_world.start({"imageTag": "v1", "requestedBy": "github:octocat", "reason": "release 41"}, "asks")
    asking_world.aws.clock.sleep(30)
    yield Desk(asking_world)
    asking_world.settle()


def test_an_approval_shows_what_it_is_about_and_lets_it_go_on(asked: Desk) -> None:
    typed = asked("approve", "--reason", "the board agreed")
    assert (typed.exit_code, typed.stderr) == (0, "")
    assert typed.stdout.splitlines()[0] == "asks asks to deploy v1 to dev"
    for line in (
        "  requested by  github:octocat",
        "  reason        release 41",
        "  services      api, scheduler, worker",
    ):
        assert line in typed.stdout.splitlines()
    assert "9 min 30 s left" in typed.stdout
    asked.simulated.settle()
    record = asked.simulated.records()["asks"]
    assert (record.outcome, record.approved_by, record.approval_reason) == ("Deployed", ME, "the board agreed")


def test_a_no_ends_it_with_its_reason(asked: Desk) -> None:
    document = asked("reject", "asks", "--reason", "not on a Friday", "--json").document
    assert (document["answer"], document["by"], document["reason"]) == ("rejected", ME, "not on a Friday")
    asked.simulated.settle()
    report = asked.simulated.records()["asks"].report
    assert (report.outcome, report.message) == ("Rejected", f"rejected by {ME}: not on a Friday")


def test_a_no_needs_a_reason(asked: Desk) -> None:
    assert asked("reject").exit_code == 2
    assert asked("reject", "--reason", " ").exit_code == 2


@pytest.mark.parametrize("command", [("approve",), ("reject", "--reason", "no")])
def test_a_person_at_a_terminal_is_asked_first(asked: Desk, command: tuple[str, ...]) -> None:
    asked.asks = True
    typed = asked(*command, answer="n\n")
    assert typed.exit_code == 1
    assert typed.stdout.splitlines()[-1] == "Not answered; it still waits"
    assert asked(*command, answer="y\n").exit_code == 0


def test_a_second_answer_comes_too_late(asked: Desk) -> None:
    token = asked.simulated.table.approval_token("x") or asked.simulated.table.approval_token(
        asked.simulated.aws.runs[0].arn
    )
    asked.on_sleep = lambda _now: None
    # Somebody answers between the question and this answer: the state has not moved on yet.
    asked.simulated.aws.client("stepfunctions").send_task_success(taskToken=token, output='{"approvedBy": "other"}')
    typed = asked("approve")
    assert typed.exit_code == 1
    assert typed.stderr.startswith("stepship: asks no longer waits: somebody has answered")


def test_status_and_a_follower_tell_that_it_waits(asked: Desk) -> None:
    assert "Approval: asks has been waiting for 30 s: stepship approve asks --env dev" in asked("status").stdout
    assert asked("status", "--json").document["approval"]["requestedBy"] == "github:octocat"
    typed = asked("watch", "--timeout", "10s")
    assert "action needed, approve or reject it: stepship approve asks --env dev" in typed.stdout


def test_there_is_nothing_to_answer(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("approve").stderr == "stepship: nothing waits for approval in dev\n"
    simulated.push("v1")
    simulated.run({"imageTag": "v1"}, "done")
    assert stepship("approve", "done").stderr == "stepship: done does not wait for approval; it is SUCCEEDED\n"


def test_paused_deploys_are_refused_until_they_are_resumed(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    simulated.push("v1")
    typed = stepship("pause", "the database is being moved")
    assert typed.exit_code == 0
    assert typed.stdout.splitlines()[-1] == "Let them pass again: stepship resume --env dev"
    refused = stepship("deploy", "v1")
    assert refused.exit_code == 2
    assert "the database is being moved" in refused.stdout
    document = stepship("resume", "--json").document
    assert document == {"environment": "dev", "pause": None, "exitCode": 0}
    assert stepship("deploy", "v1").exit_code == 0
    assert stepship("resume").stdout == "Deploys to dev were not paused\n"


def test_the_words_of_before_pause_and_resume_too(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("line", "stop", "the database is being moved").exit_code == 0
    assert simulated.table.paused() is not None
    assert stepship("line", "start").exit_code == 0
    assert simulated.table.paused() is None


def test_deploys_are_not_paused_without_a_reason(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    assert stepship("pause", " ").exit_code == 2
    assert simulated.table.paused() is None


def test_deploys_that_somebody_has_paused_are_not_paused_again(simulated: SimulatedEnvironment, stepship: Desk) -> None:
    stepship("pause", "the database is being moved")
    again = stepship("pause", "another incident")
    assert again.exit_code == 2
    assert "deploys are paused already, by arn:aws:sts::123456789012:user/moto: the database is being" in again.stderr
    line = simulated.table.paused()
    assert line is not None
    assert line.reason == "the database is being moved"

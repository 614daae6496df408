"""Following an execution from a workflow: every end with its exit code, and what a person reads about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lambdas.release.codec import encode
from lambdas.release.explanation import Cause, Explanation
from lambdas.release.history import Outcome, Report
from tests.workflows.runner import Result, Runner
from tests.workflows.workflow import Step, step

DEPLOY = step("deploy-code.yml", "deploy", "Follow")
ROLLBACK = step("rollback-code.yml", "rollback", "Follow")
GOES_ON = [
    step("deploy-code.yml", "deploy", "Say that the execution goes on"),
    step("rollback-code.yml", "rollback", "Say that the execution goes on"),
]

EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:v3-backend-staging-deploy:gh-staging-1-1"
VALUES = {
    "needs.plan.outputs.environment": "staging",
    "inputs.environment": "staging",
    "steps.start.outputs.execution": EXECUTION,
    "steps.start.outputs.url": "https://console.example/execution",
    "vars.AWS_ACCOUNT_ID": "123456789012",
    "vars.AWS_REGION": "eu-central-1",
}
ROLE = "arn:aws:iam::123456789012:role/v3-backend-staging-github-code"

EXPLANATION = Explanation(
    summary="worker: exit-code (container v3-backend-worker exited with 1)",
    causes=(
        Cause("exit-code", "worker", 2, ("container v3-backend-worker exited with 1",), "Its last lines say why."),
    ),
    log_lines=("starting", 'KeyError: "QUEUE_URL" <b>', "::error title=fake::from the program", "```"),
    missing=("logs of api: no log group",),
    done=("Put back on their previous task definitions: worker.", "Restored 5 parameters."),
)
FAILED = Report(Outcome.ROLLED_BACK, "Check rollout", "RolloutFailed", "2 tasks failed", EXPLANATION, "r-2026-abc")


def ends(runner: Runner, status: str, report: Report | str) -> None:
    said = report if isinstance(report, str) else json.dumps(encode(report))
    key = "output" if status == "SUCCEEDED" else "cause"
    description = {"status": status, key: said, **({"error": "Word"} if status == "FAILED" else {})}
    runner.answer("aws", "describe-execution", EXECUTION, output=description)


def history(runner: Runner, *states: str) -> None:
    """Let the history name these states, one at each look; the last one stays."""
    for number, state in enumerate(states):
        events = [{"type": "TaskScheduled"}, {"stateEnteredEventDetails": {"name": state}}]
        times = 1 if number < len(states) - 1 else -1
        runner.answer("aws", "get-execution-history", output={"events": events}, times=times)


def runs(runner: Runner, looks: int) -> None:
    runner.answer("aws", "describe-execution", EXECUTION, output={"status": "RUNNING"}, times=looks)


def follow(runner: Runner, each: Step = DEPLOY, **environment: str) -> Result:
    return runner.run(each, VALUES, POLL_SECONDS="0", **environment)


@pytest.mark.parametrize("outcome", [Outcome.DEPLOYED, Outcome.NOTHING_TO_DO, Outcome.PLANNED])
@pytest.mark.parametrize("each", [DEPLOY, ROLLBACK], ids=["deploy", "rollback"])
def test_a_good_end_is_green(runner: Runner, each: Step, outcome: Outcome) -> None:
    ends(runner, "SUCCEEDED", Report(outcome, release="r-2026-abc"))

    result = follow(runner, each)

    assert result.code == 0, result.log
    assert result.annotations == ()
    if each is DEPLOY:
        assert result.outputs == {"outcome": outcome, "release": "r-2026-abc"}
    assert "r-2026-abc" in result.summary
    assert "staging" in result.summary
    assert f"executions/details/{EXECUTION}" in result.summary


@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.REJECTED, 2), (Outcome.ROLLED_BACK, 3), (Outcome.ROLLBACK_FAILED, 4)]
)
@pytest.mark.parametrize("each", [DEPLOY, ROLLBACK], ids=["deploy", "rollback"])
def test_a_bad_end_has_its_exit_code_and_explains_itself(
    runner: Runner, each: Step, outcome: Outcome, code: int
) -> None:
    ends(runner, "FAILED", Report(outcome, "Check rollout", "RolloutFailed", "2 tasks failed", EXPLANATION, "r-1"))

    result = follow(runner, each)

    assert result.code == code
    assert result.outputs == {"outcome": outcome, "release": "r-1"}
    for told in (EXPLANATION.summary, "2 tasks failed", "Its last lines say why.", "Restored 5 parameters."):
        assert told in result.error.text
    assert "staging" in result.error.title
    for shown in ("Check rollout", "RolloutFailed", "Likely causes", "seen 2 times", "no log group", "previous task"):
        assert shown in result.summary


def test_a_deploy_that_a_newer_one_has_overtaken_is_a_warning(runner: Runner) -> None:
    ends(runner, "SUCCEEDED", Report(Outcome.SUPERSEDED, "Acquire lock", None, "v3 of deploy-9 is newer"))

    result = follow(runner)

    assert result.code == 0
    assert result.outputs["outcome"] == "Superseded"
    (annotation,) = result.annotations
    assert annotation.level == "warning"
    assert "v3 of deploy-9 is newer" in annotation.text
    assert "Superseded" in result.summary


def test_a_rollback_that_a_newer_one_has_overtaken_fails_as_superseded(runner: Runner) -> None:
    ends(runner, "SUCCEEDED", Report(Outcome.SUPERSEDED, "Acquire lock", None, "newer"))

    assert follow(runner, ROLLBACK).code == 5


@pytest.mark.parametrize(("status", "told"), [("ABORTED", "Somebody stopped it"), ("TIMED_OUT", "longer than it may")])
def test_an_execution_that_was_stopped_says_that_a_recovery_follows(runner: Runner, status: str, told: str) -> None:
    runner.answer("aws", "describe-execution", output={"status": status})

    result = follow(runner)

    assert result.code == 1
    assert result.outputs["outcome"] == "Stopped"
    assert told in result.error.text
    assert "recovery" in result.error.text


@pytest.mark.parametrize("cause", ["The JSONPath '$.x' could not be found", "", '["no", "report"]', '{"outcome": 7}'])
def test_an_end_without_a_report_fails_with_what_is_known(runner: Runner, cause: str) -> None:
    ends(runner, "FAILED", cause)

    result = follow(runner)

    assert result.code == 1
    assert "Word" in result.error.text
    assert cause in result.error.text


def test_an_end_that_succeeded_without_a_report_is_not_green(runner: Runner) -> None:
    ends(runner, "SUCCEEDED", "{}")

    assert follow(runner).code == 1


def test_each_new_state_is_one_line(runner: Runner) -> None:
    runs(runner, 4)
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))
    history(runner, "Verify image", "Check rollout", "Check rollout", "Bake")

    result = follow(runner)

    assert [line.split(" ", 1)[1] for line in result.log.splitlines() if line.startswith("00:")] == [
        "Verify image",
        "Check rollout",
        "Bake",
    ]


def test_a_deployment_that_waits_for_a_yes_says_so(runner: Runner) -> None:
    runs(runner, 2)
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))
    history(runner, "Wait for approval")

    (notice,) = follow(runner).annotations

    assert (notice.level, notice.title) == ("notice", "Waits for approval")


def test_without_the_history_the_execution_is_followed_all_the_same(runner: Runner) -> None:
    runs(runner, 2)
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))
    runner.answer("aws", "get-execution-history", error="An error occurred (AccessDeniedException)", code=254)

    assert follow(runner).code == 0


def test_looks_that_fail_are_repeated(runner: Runner) -> None:
    runner.answer("aws", "describe-execution", error="Connection was closed", code=255, times=29)
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))

    assert follow(runner).code == 0


def test_an_execution_that_cannot_be_looked_at_is_not_green(runner: Runner) -> None:
    runner.answer("aws", "describe-execution", error="Connection was closed", code=255)

    result = follow(runner)

    assert result.code == 1
    assert result.outputs["outcome"] == "Running"
    assert "Connection was closed" in result.error.text
    assert "goes on by itself" in result.error.text


def test_following_ends_before_the_job_does_and_says_how_to_go_on(runner: Runner) -> None:
    runs(runner, -1)
    history(runner, "Wait for approval")

    result = follow(runner, FOLLOW_SECONDS="0")

    assert result.code == 1
    assert result.outputs["outcome"] == "Running"
    assert "Re-run the job" in result.summary


def test_github_obeys_nothing_that_a_program_has_logged(runner: Runner) -> None:
    ends(runner, "FAILED", FAILED)

    log = follow(runner).log.splitlines()

    (begin,) = (number for number, line in enumerate(log) if line.startswith("::stop-commands::"))
    token = log[begin].removeprefix("::stop-commands::")
    quoted = log[begin + 1 : log.index(f"::{token}::")]
    assert any("::error title=fake::" in line for line in quoted)
    outside = [*log[:begin], *log[begin + 1 + len(quoted) :]]
    commands = [line for line in outside if line.startswith("::") and token not in line]
    assert len(commands) == 1
    assert commands[0].startswith("::error title=staging%3A Failed and rolled back")


def test_the_summary_shows_a_log_as_it_is(runner: Runner) -> None:
    ends(runner, "FAILED", FAILED)

    summary = follow(runner).summary

    assert '<pre>starting\nKeyError: "QUEUE_URL" &lt;b&gt;\n' in summary
    assert "<b>" not in summary


def test_text_with_markdown_in_it_stays_text(runner: Runner) -> None:
    explanation = Explanation(summary="# [a](javascript:b) | **c** <img>\nnext")
    ends(runner, "FAILED", Report(Outcome.REJECTED, "Plan", "PreflightFailed", "m", explanation))

    summary = follow(runner).summary

    assert r"**\# \[a\](javascript:b) \| \*\*c\*\* &lt;img&gt; next**" in summary


@pytest.mark.parametrize("each", GOES_ON, ids=lambda each: each.file)
def test_a_cancelled_workflow_says_that_the_execution_goes_on(runner: Runner, each: Step) -> None:
    result = runner.run(each, VALUES)

    (warning,) = result.annotations
    assert result.code == 0
    assert "did not stop it" in warning.text
    assert f"--region eu-central-1 --execution-arn {EXECUTION}" in result.summary
    assert "stop-execution" in result.summary
    assert result.calls == ()


@pytest.fixture
def tokens() -> Iterator[tuple[str, list[str | None]]]:
    """GitHub's address for identity tokens, and who asked it."""
    asked: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            self.send_response(200 if self.path == "/token?v=1&audience=sts.amazonaws.com" else 400)
            self.end_headers()
            self.wfile.write(json.dumps({"value": "an.identity.token"}).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token?v=1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_long_deployment_is_followed_with_renewed_credentials(
    runner: Runner, tokens: tuple[str, list[str | None]]
) -> None:
    url, asked = tokens
    credentials = {"AccessKeyId": "ASIANEW", "SecretAccessKey": "new-secret", "SessionToken": "new-session"}
    runner.answer("aws", "assume-role-with-web-identity", output={"Credentials": credentials})
    runner.answer("aws", "describe-execution", error="An error occurred (ExpiredTokenException)", code=254, times=1)
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))

    result = follow(runner, ACTIONS_ID_TOKEN_REQUEST_URL=url, ACTIONS_ID_TOKEN_REQUEST_TOKEN="bearer-of-the-job")

    (call,) = result.calls_of("aws", "sts", "assume-role-with-web-identity")
    assert result.code == 0, result.log
    assert asked == ["bearer bearer-of-the-job"]
    assert ROLE in call
    told = json.dumps(result.calls) + result.log + result.summary
    for secret in ("an.identity.token", "bearer-of-the-job", "new-secret", "new-session"):
        assert secret not in told
    file = call[call.index("--web-identity-token") + 1].removeprefix("file://")
    assert not Path(file).exists()


@pytest.mark.parametrize("seconds", ["0", "1000"])
def test_credentials_are_renewed_when_their_time_has_come(
    runner: Runner, tokens: tuple[str, list[str | None]], seconds: str
) -> None:
    url, asked = tokens
    credentials = {"AccessKeyId": "ASIANEW", "SecretAccessKey": "new-secret", "SessionToken": "new-session"}
    runner.answer("aws", "assume-role-with-web-identity", output={"Credentials": credentials})
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))

    follow(runner, RENEW_SECONDS=seconds, ACTIONS_ID_TOKEN_REQUEST_URL=url, ACTIONS_ID_TOKEN_REQUEST_TOKEN="t")

    assert len(asked) == (1 if seconds == "0" else 0)


def test_credentials_that_cannot_be_renewed_do_not_end_the_following(runner: Runner) -> None:
    ends(runner, "SUCCEEDED", Report(Outcome.DEPLOYED))

    result = follow(runner, RENEW_SECONDS="0")

    assert result.code == 0
    assert "could not be renewed" in result.log

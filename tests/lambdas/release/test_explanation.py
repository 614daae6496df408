"""The reasons are those of the ECS Developer Guide, "Stopped task error messages", word for word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.codec import encode
from lambdas.release.explanation import (
    MAX_CAUSES,
    MAX_CHARACTERS,
    MAX_LINE,
    MAX_LOG_LINES,
    Evidence,
    Explanation,
    StoppedContainer,
    StoppedTask,
    explain,
)
from tests.lambdas.release.examples import arn

VERDICT = "not steady after 600 s: 0 of 2 tasks run"


def task(reason: str = "", exit_code: int | None = None, container_reason: str = "") -> StoppedTask:
    container = StoppedContainer("v3-backend-api", exit_code, container_reason)
    return StoppedTask("0123", arn("api", 2), reason, containers=(container,))


def evidence(*stopped: StoppedTask, **more: Any) -> Evidence:
    return Evidence("api", VERDICT, "v3-backend-api", stopped, **more)


EXITED = "Essential container in task exited"
NOT_PULLED = (
    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend:v2: not found"
)
INIT = "ResourceInitializationError: "

REASONS: dict[str, tuple[StoppedTask, str]] = {
    "the image is not there": (task(NOT_PULLED), "image-pull"),
    "the image may not be pulled": (
        task(
            "CannotPullContainerError: pull access denied for v3-backend, repository does not exist or may "
            "require 'docker login': denied"
        ),
        "image-pull",
    ),
    "no network to ECR": (
        task(
            f"{INIT}unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve "
            "ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed"
        ),
        "image-pull",
    ),
    "another CPU": (
        task(
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
        ),
        "image-pull",
    ),
    "a secret may not be read": (
        task(
            f"{INIT}unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve "
            "secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:"
            "us-east-1:123456789012:secret:db from secrets manager: AccessDeniedException"
        ),
        "secret",
    ),
    "a parameter is not there": (
        task(
            f"{INIT}unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve "
            "secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /v3-backend/dev/db"
        ),
        "secret",
    ),
    "the log group is not there": (
        task(
            f"{INIT}failed to validate logger args: create stream has been retried 1 times: failed to create "
            "Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
        ),
        "log-driver",
    ),
    "the log driver may not write": (
        task(
            EXITED,
            None,
            "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: "
            "AccessDeniedException",
        ),
        "log-driver",
    ),
    "out of memory, said": (
        task(EXITED, 137, "OutOfMemoryError: Container killed due to memory usage"),
        "out-of-memory",
    ),
    "out of memory, not said": (task(EXITED, 137), "out-of-memory"),
    "the program ended": (task(EXITED, 1), "exit-code"),
    "the program was not found": (task(EXITED, 127), "exit-code"),
    "no capacity": (
        task("Capacity is unavailable at this time. Please try again later or in a different availability zone"),
        "capacity",
    ),
    "no free address": (task("Unexpected EC2 error: InsufficientFreeAddressesInSubnet, subnet is full"), "capacity"),
    "no instance has room": (task("RESOURCE:MEMORY"), "capacity"),
    "the load balancer gave up": (
        task(
            "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b)"
        ),
        "health-check",
    ),
    "the load balancer gave up, killed": (
        task("Task failed ELB health checks in (target-group arn:…:targetgroup/a/b)", 137),
        "health-check",
    ),
    "the load balancer gave up, ended by SIGTERM": (
        task("Task failed ELB health checks in (target-group arn:…:targetgroup/a/b)", 143),
        "health-check",
    ),
    "the container's own check": (task("Task failed container health checks", 137), "health-check"),
    "scaled in": (task("Scaling activity initiated by (deployment ecs-svc/123)", 143), "unknown"),
    "scaled in, killed": (task("Scaling activity initiated by (deployment ecs-svc/123)", 137), "unknown"),
    "ended well": (task(EXITED, 0), "exit-code"),
    "a reason that no rule knows": (task("TaskFailedToStart: something new"), "unknown"),
    "no containers": (StoppedTask("0123", arn("api", 2), "Something new"), "unknown"),
}


@pytest.mark.parametrize(("stopped", "cause"), REASONS.values(), ids=REASONS)
def test_a_stopped_task_tells_its_cause(stopped: StoppedTask, cause: str) -> None:
    explanation = explain([evidence(stopped)])
    assert [found.cause for found in explanation.causes] == [cause]
    assert explanation.causes[0].subject == "api"
    assert explanation.causes[0].hint


def test_a_cause_shows_what_was_said_word_for_word() -> None:
    pulled = explain([evidence(task(NOT_PULLED), task(NOT_PULLED), task(EXITED, 1))])
    assert [(cause.cause, cause.seen, cause.evidence) for cause in pulled.causes] == [
        ("image-pull", 2, (NOT_PULLED,)),
        ("exit-code", 1, ("container v3-backend-api exited with 1",)),
    ]
    assert pulled.summary == f"api: image-pull ({NOT_PULLED}). api: {VERDICT}"


def test_what_no_rule_knows_is_shown_all_the_same() -> None:
    strange = StoppedTask(
        "0123", arn("api", 2), "TaskFailedToStart: new", containers=(StoppedContainer("a", None, "CannotDoIt"),)
    )
    explanation = explain([evidence(strange, strange, events=("has reached a steady state.",))])
    assert explanation.causes[0].evidence == (
        VERDICT,
        "TaskFailedToStart: new",
        "CannotDoIt",
        "has reached a steady state.",
    )
    assert explanation.summary == f"api: {VERDICT}"


TOO_MANY_PULLS = "CannotPullContainerError: Error response from daemon: toomanyrequests: rate limit"
SPOT, BY_A_PERSON = "Your Spot Task was interrupted.", "Task stopped by a user"

RANKED: dict[str, tuple[list[Evidence], tuple[str, ...], list[str]]] = {
    "an alarm first": ([evidence(task(NOT_PULLED))], ("5xx",), ["alarm", "image-pull"]),
    "somebody else's deployment before all that follows from it": (
        [evidence(task(EXITED, 1)), Evidence("web", VERDICT, stopped=(task(EXITED, 1),), superseded=True)],
        ("5xx",),
        ["superseded", "alarm", "exit-code"],
    ),
    "an alarm alone": ([], ("5xx", "latency"), ["alarm"]),
    "nothing at all": ([], (), []),
    "the specific before what follows from it": (
        [evidence(task("Task failed container health checks", 137), task(EXITED, 1), task(EXITED, 137))],
        (),
        ["out-of-memory", "exit-code", "health-check"],
    ),
    "more often before less often": (
        [Evidence("web", VERDICT, stopped=(task(EXITED, 1),)), evidence(task(EXITED, 1), task(EXITED, 2))],
        (),
        ["exit-code", "exit-code"],
    ),
    "known before timeout": ([Evidence("a", VERDICT), evidence(task(EXITED, 1))], (), ["exit-code", "timeout"]),
    "only events tell of placing": (
        [evidence(events=("(service api) was unable to place a task because no container instance met all",))],
        (),
        ["capacity"],
    ),
    "only events tell of health": (
        [evidence(events=("(service api) (port 80) is unhealthy in (target-group b) due to (reason Timeout)",))],
        (),
        ["health-check"],
    ),
    "events and tasks tell different things": (
        [evidence(task(EXITED, 1), events=("(task 01) failed container health checks.",))],
        (),
        ["exit-code", "health-check"],
    ),
    "events and tasks tell the same": (
        [evidence(task("Task failed container health checks"), events=("is unhealthy", "is unhealthy"))],
        (),
        ["health-check"],
    ),
    "one hiccup beside what keeps happening": (
        [evidence(*[task(EXITED, 3)] * 59, task(TOO_MANY_PULLS))],
        (),
        ["exit-code", "image-pull"],
    ),
    "a fifth is no hiccup": ([evidence(*[task(EXITED, 3)] * 4, task(TOO_MANY_PULLS))], (), ["image-pull", "exit-code"]),
    "less than a fifth is one": (
        [evidence(*[task(EXITED, 3)] * 5, task(TOO_MANY_PULLS))],
        (),
        ["exit-code", "image-pull"],
    ),
    "one event is a hiccup too": (
        [evidence(*[task(EXITED, 3)] * 9, events=(f"(service api) was unable to place a task. Reason: {NOT_PULLED}",))],
        (),
        ["exit-code", "image-pull"],
    ),
    "a hiccup of one service after the cause of another": (
        [evidence(*[task(EXITED, 3)] * 9, task(TOO_MANY_PULLS)), Evidence("web", VERDICT)],
        (),
        ["exit-code", "timeout", "image-pull"],
    ),
    "interruptions make no crash a hiccup": (
        [evidence(*[task(SPOT)] * 50, *[task(EXITED, 3)] * 3)],
        (),
        ["exit-code", "interrupted"],
    ),
    "an interruption is no reason to take too long": ([evidence(task(SPOT))], (), ["timeout", "interrupted"]),
    "nor is a person's StopTask": (
        [evidence(task(SPOT), task(BY_A_PERSON))],
        (),
        ["timeout", "interrupted", "stopped-by-user"],
    ),
    "an interruption beside what explains the time": (
        [evidence(task(SPOT), events=("(service api) is unhealthy in (target-group b)",))],
        (),
        ["health-check", "interrupted"],
    ),
    "an interruption that ended it": (
        [Evidence("api", "tasks keep dying", stopped=(task(SPOT),))],
        (),
        ["interrupted"],
    ),
    "never more than five": ([Evidence(str(n), VERDICT) for n in range(9)], (), ["timeout"] * 5),
}


@pytest.mark.parametrize(("gathered", "alarms", "causes"), RANKED.values(), ids=RANKED)
def test_causes_are_ranked(gathered: list[Evidence], alarms: tuple[str, ...], causes: list[str]) -> None:
    assert [cause.cause for cause in explain(gathered, alarms).causes] == causes


def test_the_service_that_shows_a_cause_more_often_comes_first() -> None:
    once, twice = Evidence("a", VERDICT, stopped=(task(EXITED, 1),)), evidence(task(EXITED, 1), task(EXITED, 1))
    assert [(cause.subject, cause.seen) for cause in explain([once, twice]).causes] == [("api", 2), ("a", 1)]


def test_a_service_that_somebody_else_deployed_is_told_as_such_whatever_its_tasks_say() -> None:
    stopped = (StoppedTask("t", "td", containers=(StoppedContainer("main", 1),)),)
    verdict = "somebody else deployed api:9 meanwhile"
    explanation = explain([Evidence("api", verdict, "main", stopped, superseded=True)])
    assert [(cause.cause, cause.evidence) for cause in explanation.causes] == [("superseded", (verdict,))]


@pytest.mark.parametrize("verdict", ["not steady after 600 s: 1 of 2 tasks run", "not done after 900 s; stopped"])
def test_what_took_too_long_without_a_failing_task_names_the_limit(verdict: str) -> None:
    (cause,) = explain([Evidence("worker", verdict, "main")]).causes
    assert (cause.cause, cause.evidence) == ("timeout", (verdict,))
    assert "timeout_seconds" in cause.hint


def test_a_migration_that_is_given_up_on_took_too_long_although_its_task_still_runs() -> None:
    running = StoppedTask("t", "td", containers=(StoppedContainer("main"),))
    (cause,) = explain([Evidence("migration", "not done after 900 s; stopped", "main", (running,))]).causes
    assert cause.cause == "timeout"


def test_an_alarm_is_named() -> None:
    (cause,) = explain([], ("5xx", "latency")).causes
    assert (cause.seen, cause.subject) == (2, "environment")
    assert cause.evidence == ("5xx is in ALARM", "latency is in ALARM")


def test_the_last_lines_are_those_of_the_first_that_has_any() -> None:
    lines = tuple(f"line {n}" for n in range(15))
    explanation = explain([Evidence("a", VERDICT), evidence(log_lines=lines), Evidence("b", VERDICT, log_lines=("x",))])
    assert explanation.log_lines == lines[-MAX_LOG_LINES:]


def test_evidence_that_could_not_be_read_is_named_once() -> None:
    explanation = explain(
        [evidence(missing=("logs: denied",)), Evidence("b", VERDICT, missing=("logs: denied", "ecs"))]
    )
    assert explanation.missing == ("logs: denied", "ecs")


def test_without_a_known_cause_the_summary_is_the_verdicts() -> None:
    assert explain([Evidence("a", "one"), Evidence("b", "two")]).summary == "a: one; b: two"


def test_a_long_line_is_cut_and_shows_it() -> None:
    explanation = explain([evidence(log_lines=("x" * MAX_LINE, "y" * (MAX_LINE + 1)))])
    assert explanation.log_lines == ("x" * MAX_LINE, "y" * (MAX_LINE - 1) + "…")


texts = st.text(max_size=20) | st.builds(
    lambda part, times: part * times,
    st.sampled_from(["a", '"', "\n", "\0", "é", "字", "🔥", EXITED, "unhealthy ", "pull image "]),
    st.integers(1, 5000),
)
tuples = st.lists(texts, max_size=20).map(tuple)
containers = st.builds(StoppedContainer, texts, st.none() | st.sampled_from([0, 1, 137]), texts)
stopped_tasks = st.builds(StoppedTask, texts, texts, texts, st.just(0.0), st.lists(containers, max_size=2).map(tuple))
pieces = st.builds(
    Evidence, texts, texts, texts, st.lists(stopped_tasks, max_size=4).map(tuple), tuples, tuples, tuples
)


def check_size(explanation: Explanation) -> None:
    assert len(json.dumps(encode(explanation))) <= MAX_CHARACTERS < 20_000
    assert len(explanation.causes) <= MAX_CAUSES
    assert len(explanation.log_lines) <= MAX_LOG_LINES


@given(st.lists(pieces, max_size=6), tuples)
def test_an_explanation_always_fits_into_a_cause(gathered: list[Evidence], alarms: tuple[str, ...]) -> None:
    check_size(explain(gathered, alarms))


@pytest.mark.parametrize("letter", ["x", '"', "é", "🔥"], ids=["plain", "escaped", "accent", "two surrogates"])
def test_the_worst_evidence_fits_too(letter: str) -> None:
    lines = tuple(f"{n}{letter * 5000}" for n in range(20))
    worst = [
        Evidence(subject, lines[0], lines[0], (task(lines[0], 1, lines[0]),), (), lines, lines) for subject in lines
    ]
    explanation = explain([*worst, *(Evidence(subject, lines[0], events=lines) for subject in lines)], lines)
    check_size(explanation)
    assert explanation.log_lines
    assert all(line.endswith("…") for line in explanation.log_lines)

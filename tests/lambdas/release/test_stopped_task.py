from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.explanation import CAUSES, Evidence, explain, failed_containers
from lambdas.release.stopped_task import (
    STOP_CODES,
    StoppedContainer,
    StoppedTask,
    deaths,
    died_by_itself,
    ending_of,
    is_scaled_in,
    with_essential,
)

CASES = json.loads((Path(__file__).parent / "cases" / "stopped-tasks.json").read_text(encoding="utf-8"))
EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
SCALED = "Scaling activity initiated by (deployment ecs-svc/1)"
app = StoppedContainer("app", 143)
sidecar = StoppedContainer("otel", 143)


def task(*containers: StoppedContainer, reason: str = EXITED, code: str = "EssentialContainerExited") -> StoppedTask:
    return StoppedTask("t", "td", reason, 1000.0, containers, code, 900.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_stopped_task_that_was_explained_wrongly_is_right(case: dict[str, Any]) -> None:
    containers = tuple(StoppedContainer(c["name"], c["exitCode"], c["reason"]) for c in case["containers"])
    stopped = StoppedTask("t", "td", case["stoppedReason"], containers=containers, stop_code=case.get("stopCode", ""))
    for verdict in ("tasks keep dying", "not steady after 600 s: 0 of 2 tasks run"):
        causes = explain([Evidence("app", verdict, case["deployedContainer"], (stopped,))]).causes
        (cause,) = [one for one in causes if one.cause != "timeout"]
        assert cause.cause in case["expect"]
        assert cause.hint == CAUSES[cause.cause].hint


ENDINGS: dict[str, tuple[StoppedTask, str, str]] = {
    "an own code before 143": (task(app, replace(sidecar, exit_code=2)), "exit-code", "otel"),
    "an own code before 137": (task(replace(app, exit_code=137), replace(sidecar, exit_code=1)), "exit-code", "otel"),
    "an own code before 0": (task(replace(app, exit_code=0), replace(sidecar, exit_code=1)), "exit-code", "otel"),
    "of two own codes the deployed one": (
        task(replace(sidecar, exit_code=2), replace(app, exit_code=3)),
        "exit-code",
        "app",
    ),
    "the deployed one before others": (task(sidecar, app), "exit-code", "app"),
    "the deployed one was killed": (task(sidecar, replace(app, exit_code=137)), "out-of-memory", "app"),
    "the sidecar ran out of memory": (
        task(app, replace(sidecar, exit_code=137, reason=OUT_OF_MEMORY)),
        "out-of-memory",
        "otel",
    ),
    "what is not essential ends no task": (
        task(replace(app, exit_code=0, essential=True), replace(sidecar, exit_code=1, essential=False)),
        "exit-code",
        "app",
    ),
    "nothing is said to be essential": (task(replace(sidecar, exit_code=1, essential=False)), "exit-code", "otel"),
    "one that never ran did not end it": (
        task(replace(app, exit_code=None), replace(sidecar, exit_code=0)),
        "exit-code",
        "otel",
    ),
    "one could not be started": (
        task(replace(app, exit_code=None, reason="CannotStartContainerError: no such file"), sidecar),
        "start",
        "app",
    ),
    "no container is known": (task(), "exit-code", ""),
    "no code is known": (task(replace(app, exit_code=None)), "exit-code", "app"),
    "no code is known, nor a stop code": (task(replace(app, exit_code=None), code=""), "", "app"),
    "nothing at all is known": (task(reason="", code=""), "", ""),
    "the stop code alone": (task(reason="", code="EssentialContainerExited"), "exit-code", ""),
    "a stop code before all codes": (task(replace(app, exit_code=1), code="SpotInterruption"), "interrupted", ""),
    "a stop code before all words": (task(reason=OUT_OF_MEMORY, code="UserInitiated"), "stopped-by-user", ""),
    "the scheduler's exit codes say nothing": (
        task(replace(app, exit_code=1), reason="Replaced", code="ServiceSchedulerInitiated"),
        "",
        "",
    ),
    "the scheduler stopped what had run out of memory": (
        task(
            replace(sidecar, reason=OUT_OF_MEMORY),
            replace(app, exit_code=137, reason=OUT_OF_MEMORY),
            reason="Task failed container health checks",
            code="ServiceSchedulerInitiated",
        ),
        "out-of-memory",
        "app",
    ),
    "its sidecar had run out of memory": (
        task(
            app,
            replace(sidecar, reason=OUT_OF_MEMORY),
            reason="Task failed ELB health checks in (target-group a)",
            code="ServiceSchedulerInitiated",
        ),
        "out-of-memory",
        "otel",
    ),
    "out of memory before the health check, without a stop code": (
        task(replace(app, reason=OUT_OF_MEMORY), reason="Task failed container health checks", code=""),
        "out-of-memory",
        "app",
    ),
    "a start that failed for what nobody knows": (task(reason="New", code="TaskFailedToStart"), "start", ""),
    "a start that failed without a word": (task(reason="", code="TaskFailedToStart"), "start", ""),
    "a start that failed in one container": (
        task(sidecar, replace(app, exit_code=None, reason="Odd"), reason="", code="TaskFailedToStart"),
        "start",
        "app",
    ),
    "the specific reason before the general one": (
        task(
            replace(app, reason="CannotCreateContainerError: no"),
            replace(sidecar, reason="CannotPullContainerError: no"),
            reason="Task failed to start",
            code="TaskFailedToStart",
        ),
        "image-pull",
        "otel",
    ),
    "an unknown reason without a stop code, and a code of its own": (
        task(replace(app, exit_code=3), reason="New words", code=""),
        "exit-code",
        "app",
    ),
    "an unknown reason without a stop code, and SIGTERM": (task(app, reason="New words", code=""), "", ""),
    "a stop code that nobody knows": (task(replace(app, exit_code=1), reason="New words", code="New"), "", ""),
    "scaled in, whatever the code": (task(replace(app, exit_code=1), reason=SCALED, code=""), "", ""),
}


@pytest.mark.parametrize(("stopped", "cause", "container"), ENDINGS.values(), ids=ENDINGS)
def test_the_container_that_ended_a_task_says_why(stopped: StoppedTask, cause: str, container: str) -> None:
    ending = ending_of(stopped, "app")
    assert (ending.cause, ending.container) == (cause, container)


def test_a_task_definition_says_which_containers_are_essential() -> None:
    known = with_essential(task(app, sidecar, StoppedContainer("x")), {"app": True, "otel": False})
    assert [container.essential for container in known.containers] == [True, False, None]


DIED = {
    "exited": (task(app), True),
    "exited with 0": (task(replace(app, exit_code=0)), True),
    "could not start": (task(reason="CannotPullContainerError: no", code="TaskFailedToStart"), True),
    "could not start, for what nobody knows": (task(reason="New", code="TaskFailedToStart"), True),
    "did not answer": (task(app, reason="Task failed container health checks", code="ServiceSchedulerInitiated"), True),
    "nothing is known of it": (StoppedTask("t", "td"), True),
    "scaled in": (task(app, reason=SCALED, code="ServiceSchedulerInitiated"), False),
    "scaled in, by an older answer": (task(app, reason=SCALED, code=""), False),
    "moved to another zone": (task(app, reason="AZ rebalancing", code="ServiceSchedulerInitiated"), False),
    "found no place": (task(reason="RESOURCE:MEMORY", code="TaskFailedToStart"), False),
    **{code: (task(replace(app, exit_code=1), code=code), False) for code in STOP_CODES},
}


@pytest.mark.parametrize(("stopped", "died"), DIED.values(), ids=DIED)
def test_only_a_death_of_its_own_making_speaks_against_a_release(stopped: StoppedTask, *, died: bool) -> None:
    assert died_by_itself(stopped) is died


def test_a_person_who_gives_ecs_s_own_reason_has_still_stopped_the_task() -> None:
    assert not is_scaled_in(task(reason=SCALED, code="UserInitiated"))


def test_deaths_are_counted_since_a_moment_and_told_by_the_newest() -> None:
    first, last = replace(task(replace(app, exit_code=2)), stopped_at=1001.0), replace(task(app), stopped_at=1002.0)
    spot = replace(task(code="SpotInterruption"), started_at=0.0)
    found = deaths([replace(first, stopped_at=999.0), first, last, spot, replace(spot, started_at=950.0)], 1000)
    assert found.own == (last, first)
    assert found.excused == 1
    assert found.message == "2 tasks died: container app exited with 143"
    assert (deaths([spot], 1000).message, deaths([spot], 1000).said) == ("", "")
    assert deaths([StoppedTask("t", "td", stopped_at=1000.0)], 1000).message == "1 task died: ECS gave no reason"


def test_the_lines_are_those_of_what_the_first_cause_was_read_from() -> None:
    scaled = replace(task(app, reason=SCALED, code="ServiceSchedulerInitiated"), task="scaled", stopped_at=9999.0)
    checked = replace(scaled, task="checked", stopped_reason="Task failed container health checks")
    exited = replace(task(app, replace(sidecar, exit_code=1)), task="exited", stopped_at=1.0)
    newer = replace(exited, task="newer", stopped_at=2.0)
    assert list(failed_containers([scaled, checked, exited, newer], "app")) == [
        ("newer", "otel"),
        ("exited", "otel"),
        ("checked", "app"),
    ]


def test_the_lines_are_not_those_of_a_cause_that_hardly_any_task_shows() -> None:
    exited = [replace(task(replace(app, exit_code=3)), task=f"exited-{n}", stopped_at=float(n)) for n in range(9)]
    ran_out = replace(task(replace(app, exit_code=137, reason=OUT_OF_MEMORY)), task="ran out", stopped_at=99.0)
    scaled = replace(task(app, reason=SCALED, code="ServiceSchedulerInitiated"), task="scaled")
    assert next(failed_containers([ran_out, scaled, *exited], "app")).task == "exited-8"
    assert next(failed_containers([ran_out, scaled, *exited[:4]], "app")).task == "ran out"


texts = st.sampled_from(["", EXITED, SCALED, OUT_OF_MEMORY, "RESOURCE:CPU"]) | st.text(max_size=30)
containers = st.builds(
    StoppedContainer,
    st.sampled_from(["app", "otel"]),
    st.none() | st.sampled_from([0, 1, 137, 143]),
    texts,
    st.none() | st.booleans(),
)
tasks = st.builds(
    StoppedTask,
    st.just("t"),
    st.just("td"),
    texts,
    st.floats(0, 2000),
    st.lists(containers, max_size=3).map(tuple),
    st.sampled_from(
        ["", *STOP_CODES, "EssentialContainerExited", "TaskFailedToStart", "ServiceSchedulerInitiated", "x"]
    ),
    st.sampled_from([0.0, 1.0]),
)


@given(tasks)
def test_every_ending_has_a_cause_that_is_known_or_none(stopped: StoppedTask) -> None:
    ending = ending_of(stopped, "app")
    assert ending.cause in ("", *CAUSES)
    assert ending.container in ("", *(container.name for container in stopped.containers))
    assert explain([Evidence("api", "died", "app", (stopped,))]).causes


@given(tasks)
def test_what_others_end_is_never_the_release_s_fault(stopped: StoppedTask) -> None:
    if stopped.stop_code in STOP_CODES or is_scaled_in(stopped):
        assert not died_by_itself(stopped)
    if stopped.stop_code == "EssentialContainerExited" and not is_scaled_in(stopped):
        assert ending_of(stopped).cause


@given(st.lists(tasks, max_size=8), st.floats(0, 2000))
def test_a_task_is_a_death_or_excused_or_neither(stopped: list[StoppedTask], since: float) -> None:
    found = deaths(stopped, since)
    assert len(found.own) + found.excused <= sum(1 for one in stopped if one.stopped_at >= since)

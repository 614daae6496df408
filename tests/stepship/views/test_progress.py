"""What a view shows of an execution of which it has not read everything."""

from __future__ import annotations

from statemachine.events import Event, EventKind
from stepship.views.progress import Mark, Progress


def walked(*states: str, output: str = "") -> Progress:
    """Walk an execution through states, whose results were read only for the first of them."""
    progress = Progress("one")
    progress.on(Event(at=0, kind=EventKind.EXECUTION_STARTED, execution="one"))
    for at, state in enumerate(states):
        progress.on(Event(at=at, kind=EventKind.STATE_ENTERED, execution="one", state=state))
        detail = {"output": output} if output and at == 0 else {}
        progress.on(Event(at=at, kind=EventKind.STATE_EXITED, execution="one", state=state, detail=detail))
    return progress


def test_a_step_that_leads_to_the_way_back_has_failed_though_its_result_was_not_read() -> None:
    rows = walked("Deploy wave", "Check rollout", "Roll back", "Check rollback", "Roll back").rows
    assert [(row.step, row.mark) for row in rows if row.step != "Roll back"] == [
        ("Deploy wave", Mark.DONE),
        ("Check rollout", Mark.FAILED),
        ("Check rollback", Mark.DONE),
    ]


def test_what_an_earlier_visit_said_is_not_kept_for_a_later_one() -> None:
    output = '{"rollout": {"status": "inProgress", "services": {"api": {"status": "inProgress", "reason": "1 of 3"}}}}'
    progress = walked("Check rollout", "Check rollout", output=output)
    assert progress.rows[0].visits == 2
    assert progress.rows[0].note == ""

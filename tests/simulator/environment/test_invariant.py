"""Each violation of the invariant is one sentence that names what differs."""

from dataclasses import replace
from typing import Any

import pytest

from simulator.engine.runs import Run, StateVisit
from simulator.environment.invariant import examine, outcome_of, violations
from simulator.environment.snapshot import Snapshot

NEW, OLD = "1.dkr.ecr/v3-backend@sha256:" + "b" * 64, "1.dkr.ecr/v3-backend@sha256:" + "a" * 64
SHORT_NEW, SHORT_OLD = f"v3-backend@sha256:{'b' * 12}", f"v3-backend@sha256:{'a' * 12}"
TAG, IMAGES = "/v3-backend/dev/compute/currentImageTag", "/v3-backend/dev/images/"


def service(image: str = NEW, running: int = 2, state: str = "COMPLETED") -> dict[str, Any]:
    return {"taskDefinition": "f:2", "image": image, "running": running, "desired": 2, "rolloutState": state}


def run(name: str = "d1", status: str = "SUCCEEDED", state: str = "Deployed", **more: Any) -> Run:
    states = [StateVisit(each, 0.0) for each in (*more.pop("before", ()), state)]
    return Run(
        name, f"arn:{name}", "arn", "{}", status=status, ended_at=more.pop("ended_at", 9.0), states=states, **more
    )


GOOD = Snapshot(
    services={"api": service(), "worker": service()},
    parameters={TAG: "v2", f"{IMAGES}api": NEW, f"{IMAGES}worker": NEW},
    lock=None,
    history=({"execution": "d1", "outcome": "Deployed"},),
    live="r-2",
    live_tag="v2",
    live_images={"api": NEW, "worker": NEW, "migration": NEW},
    tag_parameter=TAG,
    images_path=IMAGES,
    first_images={"api": "busybox", "worker": "busybox"},
    ran_at_end={"d1": {"api": NEW, "worker": NEW}},
    migrations={"r-2": 1},
)
DEPLOYED = run(output={"services": {"api": {"image": NEW}}})


def test_a_world_in_order_has_no_violation() -> None:
    examination = examine(GOOD, [DEPLOYED])
    assert examination.violations == ()
    assert all(point.holds for point in examination.points)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lock": "arn:d1"}, "the lock is held by arn:d1"),
        ({"journal": True}, "the lock still carries the journal of a deployment that began to write"),
        ({"services": {"api": service(state="FAILED")}}, "api: its rollout is FAILED, not COMPLETED"),
        ({"services": {"api": service(running=1)}}, "api: 1 of 2 tasks run"),
        (
            {"parameters": {TAG: "v1", f"{IMAGES}api": NEW, f"{IMAGES}worker": NEW}},
            f"{TAG} is v1, and the live release r-2",
        ),
        ({"history": ()}, "d1 ended as Deployed (SUCCEEDED), and the history has 0 records of it"),
        ({"history": GOOD.history * 2}, "d1 ended as Deployed (SUCCEEDED), and the history has 2 records of it"),
        (
            {"history": ({"execution": "d1", "outcome": "Stopped"},)},
            "d1 ended as Deployed (SUCCEEDED), and its record says",
        ),
        (
            {"history": (*GOOD.history, {"execution": "x", "outcome": "Planned"})},
            "the history has a record of x, which is no",
        ),
        ({"ran_at_end": {"d1": {"api": OLD}}}, f"d1 says that api is on {SHORT_NEW}; it ran {SHORT_OLD}"),
        ({"migrations": {"r-2": 2}}, "2 migration tasks were started for r-2"),
        ({"live": None, "live_tag": None, "live_images": {}}, f"{TAG} is v2, and no release is live"),
    ],
)
def test_a_violation_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    found = violations(replace(GOOD, **changes), [DEPLOYED])
    assert len(found) == 1
    assert found[0].startswith(sentence)


def test_a_service_on_another_image_breaks_parameter_and_live_release() -> None:
    found = violations(replace(GOOD, services={"api": service(OLD), "worker": service()}), [DEPLOYED])
    assert found == (
        f"api: runs {SHORT_OLD}, and {IMAGES}api says {SHORT_NEW}",
        f"api: runs {SHORT_OLD}, and the live release r-2 has {SHORT_NEW}",
    )


def test_without_a_parameter_a_service_runs_what_it_ran_first() -> None:
    snapshot = replace(GOOD, parameters={}, live=None, live_tag=None, live_images={}, services={"api": service()})
    assert violations(snapshot, [DEPLOYED]) == (
        f"api: runs {SHORT_NEW} without {IMAGES}api; before the first release it ran busybox",
    )


def test_an_execution_that_has_not_ended_is_a_violation() -> None:
    running = run("d2", "RUNNING", "Bake", ended_at=None)
    assert violations(GOOD, [DEPLOYED, running]) == ("d2 has not ended: it is in Bake",)


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (run(), "Deployed"),
        (run(status="FAILED", state="RolledBack"), "RolledBack"),
        (run(status="FAILED", state="Plan"), "Stopped"),
        (run(status="ABORTED", state="Deployed"), "Stopped"),
        (run(status="TIMED_OUT", state="Bake"), "Stopped"),
    ],
)
def test_the_true_outcome_is_the_end_state(ended: Run, outcome: str) -> None:
    assert outcome_of(ended) == outcome


def test_a_record_written_just_before_the_stop_may_say_how_it_would_have_ended() -> None:
    stopped = run(status="ABORTED", state="Rollback outcome?", before=["Complete"])
    assert violations(GOOD, [stopped]) == ()
    assert len(violations(GOOD, [run(status="ABORTED", state="Bake")])) == 1


def test_a_failed_rollback_excuses_the_services_and_is_not_hidden() -> None:
    snapshot = replace(
        GOOD, services={"api": service(OLD)}, history=({"execution": "d1", "outcome": "RollbackFailed"},)
    )
    examination = examine(snapshot, [run(status="FAILED", state="RollbackFailed")])
    assert examination.violations == ()
    assert len(examination.excused) == 2
    assert examination.person_needed == ("d1 ended as RollbackFailed: action needed",)


def test_a_failed_rollback_does_not_excuse_the_lock() -> None:
    snapshot = replace(GOOD, lock="arn:d1", history=({"execution": "d1", "outcome": "RollbackFailed"},))
    found = examine(snapshot, [run(status="FAILED", state="RollbackFailed")]).violations
    assert found == ("the lock is held by arn:d1",)


def test_a_later_deployment_ends_the_excuse() -> None:
    history = ({"execution": "d0", "outcome": "RollbackFailed"}, *GOOD.history)
    snapshot = replace(GOOD, services={"api": service(running=0)}, history=history)
    examination = examine(snapshot, [run("d0", "FAILED", "RollbackFailed", ended_at=1.0), DEPLOYED])
    assert examination.person_needed == ()
    assert examination.violations == ("api: 0 of 2 tasks run",)

"""What counts as drift, which tag an image has, when an environment is frozen: tables."""

from pathlib import Path

import pytest

from lambdas.release.history import Release, parse_timestamp
from lambdas.release.rollout import Deployment, ServiceFacts
from stepship.environment.drift import ServiceStatus, drift
from stepship.environment.freeze import freeze_now
from stepship.environment.tags import tags_of
from stepship.views.rollout_view import ServiceState, service_states

OLD, NEW = (f"1.dkr/shop@sha256:{digit * 64}" for digit in "ab")


def release(tag: str, **images: str) -> Release:
    return Release(f"r-{tag}", tag, {}, images, "2026-01-05T09:00:00Z", "e")


def facts(running: int = 2, desired: int = 2, state: str = "COMPLETED", status: str = "ACTIVE") -> ServiceFacts:
    primary = Deployment("d", "PRIMARY", "td:2", desired, 0, running, rollout_state=state)
    return ServiceFacts("shop-api", "shop", status, "td:2", desired, running, deployments=(primary,))


LIVE = release("v2", api=NEW)


@pytest.mark.parametrize(
    ("found", "image", "pinned", "live", "deploying", "expected"),
    [
        (facts(), NEW, NEW, LIVE, False, []),
        (None, None, NEW, LIVE, False, ["ECS does not know it: deploy its stack, or correct its catalog parameter"]),
        (facts(), "python:3", "python:3", None, False, ["nothing was released yet: it runs what its stack has"]),
        (facts(), NEW, OLD, LIVE, False, ["runs bbbbbbbbbbbb, its parameter names aaaaaaaaaaaa"]),
        (facts(), OLD, OLD, LIVE, False, ["not on the live release, which has bbbbbbbbbbbb"]),
        (facts(), OLD, NEW, LIVE, True, []),
        (facts(), NEW, NEW, release("v2"), False, ["has joined since r-v2: deploy to bring it to that image"]),
        (facts(1), NEW, NEW, LIVE, False, ["1 of 2 tasks do not run"]),
        (facts(state="IN_PROGRESS"), NEW, NEW, LIVE, False, ["a rollout is under way that no deployment has started"]),
        (facts(status="DRAINING"), NEW, NEW, LIVE, False, ["it is DRAINING"]),
        (facts(), None, None, LIVE, False, ["not on the live release, which has bbbbbbbbbbbb"]),
    ],
)
def test_drift(
    found: ServiceFacts | None,
    image: str | None,
    pinned: str | None,
    live: Release | None,
    deploying: bool,
    expected: list[str],
) -> None:
    assert list(drift(ServiceStatus("api", 1, found, image, pinned), live, deploying=deploying)) == expected


def test_the_tag_of_an_image_is_that_of_the_release_that_brought_it() -> None:
    # v3 moved the worker alone: what the api runs is still v2.
    tags = tags_of([release("v3", api=NEW, worker="1.dkr/shop@sha256:" + "c" * 64), release("v2", api=NEW, worker=NEW)])
    assert (tags.of(NEW), tags.of("x@sha256:" + "c" * 64), tags.of(OLD)) == ("v2", "v3", None)
    assert tags.name(NEW) == "v2 (bbbbbbbbbbbb)"
    assert tags.name(OLD) == "shop@sha256:aaaaaaaaaaaa"
    assert tags.name("public.ecr.aws/docker/library/python:3.13") == "python:3.13"
    assert tags.name(None) == "nothing known"


def test_an_image_that_is_released_again_under_another_tag_has_the_newest() -> None:
    assert tags_of([release("stable", api=NEW), release("v2", api=NEW)]).of(NEW) == "stable"


@pytest.mark.parametrize(
    ("text", "is_frozen"),
    [
        ('[freeze]\ntime_zone = "UTC"\nwindows = ["mon 08:00 - mon 12:00"]\n', True),
        ('[freeze]\ntime_zone = "UTC"\nwindows = ["fri 16:00 - mon 08:00"]\n', False),
        ('[freeze]\ntime_zone = "Moon/Crater"\nwindows = ["mon 08:00 - mon 12:00"]\n', False),
        ('[freeze]\ntime_zone = "UTC"\nwindows = ["always"]\n', False),
        ("no toml", False),
        (None, False),
    ],
)
def test_a_freeze_is_read_where_there_is_a_config(tmp_path: Path, text: str | None, is_frozen: bool) -> None:
    file = tmp_path / "dev.toml"
    if text is not None:
        file.write_text(text)
    assert (freeze_now(file, parse_timestamp("2026-01-05T09:00:00Z")) is not None) is is_frozen


PLANNED = {
    "waves": [["api"], ["worker"]],
    "services": {n: {"wave": w, "desired": 2} for n, w in (("api", 1), ("worker", 2))},
}
VERDICT = {"status": "inProgress", "reason": "1 of 2 tasks run", "running": 1, "desired": 2}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, []),
        ({"plan": {"nothingToDo": True}}, []),
        ({"plan": PLANNED}, [("waits", 2), ("waits", 2)]),
        ({"plan": PLANNED, "wave": {"index": 0}}, [("inProgress", 0), ("waits", 2)]),
        (
            {"plan": PLANNED, "wave": {"index": 0}, "rollout": {"wave": 0, "services": {"api": VERDICT}}},
            [("inProgress", 1), ("waits", 2)],
        ),
        (
            {"plan": PLANNED, "wave": {"index": 1}, "rollout": {"wave": 0, "services": {"api": VERDICT}}},
            [("steady", 2), ("inProgress", 0)],
        ),
        ({"plan": PLANNED, "wave": {"index": 0}, "rollback": {}}, [("rolls back", 0), ("rolls back", 0)]),
    ],
)
def test_how_the_services_stand_is_read_from_the_state(
    state: dict[str, object], expected: list[tuple[str, int]]
) -> None:
    found: list[ServiceState] = service_states(state)
    assert [(each.status, each.running) for each in found] == expected

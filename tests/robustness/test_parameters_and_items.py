"""What others write into Parameter Store and into the releases table: read, or refused with its name and the fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.release.catalog import MIGRATION, parse_catalog
from lambdas.release.codec import encode
from lambdas.release.errors import AwsError, InvalidRegistration, leaves
from lambdas.release.history import DeploymentRecord, Listed, Release
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from tests.lambdas.handlers.flow import Flow, StepError, writes
from tests.robustness.refusals import attempt
from tests.stepship.conftest import Desk

OURS = {leaf.__name__ for leaf in leaves()}
FIXED = settings(derandomize=True, max_examples=150)
FEW = settings(derandomize=True, max_examples=12)
PATH = "/v3-backend/dev/services/"
SMALL = (SimulatedService("api", wave=1, desired=1),)
ENTRY = {
    **dict.fromkeys(("cluster", "repository"), "v3-backend-dev"),
    **dict.fromkeys(("service", "family", "container"), "v3-backend-dev-api"),
    "wave": 1,
}

texts = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "arn:aws:ecs:us-east-1:123456789012:service/c/s", "f:3", "x" * 300, "a b", "\n"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**300) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def entries(draw: st.DrawFn) -> str:
    """A catalog parameter: text, JSON, or a good one with something else in its place."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.text(max_size=30) | anything.map(json.dumps) | st.sampled_from(["NaN", "9" * 5000, "[" * 4096]))
    key = draw(st.sampled_from([*ENTRY, "subnets", "securityGroups"]))
    return json.dumps({**ENTRY, key: draw(anything)})


@FIXED
@given(name=st.sampled_from(["api", MIGRATION]), value=entries())
def test_a_registry_parameter_is_read_or_refused_with_its_name_and_the_fix(name: str, value: str) -> None:
    catalog, error = attempt(lambda: parse_catalog({PATH + name: value}), InvalidRegistration)
    if error is not None:
        assert str(error).startswith(f"{PATH}{name}: ")
        assert str(error).endswith("correct the parameter, or deploy the stack that publishes it")
        assert len(str(error)) < 1000
        return
    for each in catalog.services:
        assert each.service.isascii()
        assert ":" not in each.service + each.family + each.container


@pytest.fixture
def simulated() -> Iterator[SimulatedEnvironment]:
    with SimulatedEnvironment(services=SMALL, recovery=False) as simulated:
        simulated.push("v1")
        yield simulated


def outcome(flow: Flow, state: str) -> str | None:
    """Call a step that only looks; returns the message of its error, which is one of ours."""
    start = len(flow.simulated.aws.calls)
    _, error = attempt(lambda: flow.call(state), StepError)
    assert error is None or error.error_type in OURS, error
    assert writes(flow.simulated.aws.calls[start:]) == []
    return error.message if error else None


def test_steps_and_commands_say_which_registration_is_wrong(simulated: SimulatedEnvironment) -> None:
    flow = Flow(simulated, {"imageTag": "v1", "dryRun": True}, "registrations").run_to("Plan")
    ssm, name = simulated.aws.client("ssm"), f"{PATH}zeta"

    @FEW
    @given(value=entries().filter(lambda text: 0 < len(text) < 4096 and text.isprintable()))
    def each(value: str) -> None:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
        for state in ("Verify image", "Plan"):
            message = outcome(flow, state)
            assert message is None or "zeta" in message or "v3-backend-dev" in message
        typed = Desk(simulated)("status")
        assert typed.exit_code == 0 or (typed.exit_code == 1 and name in typed.stderr)

    each()


def test_the_tag_and_the_pinned_images_may_hold_any_text(simulated: SimulatedEnvironment) -> None:
    """They are kept to be put back, and compared; nothing reads more from them."""
    flow = Flow(simulated, {"imageTag": "v1", "dryRun": True}, "values").run_to("Plan")
    ssm, names = simulated.aws.client("ssm"), (simulated.identity.tag_parameter, f"{simulated.identity.images_path}api")

    @FEW
    @given(value=st.text(st.characters(codec="utf-8"), min_size=1, max_size=50).filter(str.strip))
    def each(value: str) -> None:
        for name in names:
            ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
        plan = flow.call("Plan")
        assert {p["previous"] for p in plan["parameters"] if p["name"] in names} == {value}
        assert Desk(simulated)("status").exit_code == 0

    each()


# Items of the table.

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:old"
TIME = "2026-01-05T09:00:00Z"
ITEMS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "lock": ({"pk": "lock", "sk": "lock"}, "holder", {"execution": EXECUTION, "kind": "deploy", "startedAt": 1.0}),
    "journal": ({"pk": "lock", "sk": "lock"}, "journal", {}),
    "paused": ({"pk": "paused", "sk": "paused"}, "document", {"by": "a", "reason": "b", "at": 1.0}),
    "live": ({"pk": "live", "sk": "live"}, "document", {"releaseId": "r-1"}),
    "release": (
        {"pk": "release", "sk": "r-1"},
        "document",
        encode(Release("r-1", "v1", {"api": "arn:td"}, {"api": "image"}, TIME, EXECUTION)),
    ),
    "history": ({"pk": "history", "sk": f"{TIME}#old"}, "document", {}),
}


def remove(simulated: SimulatedEnvironment, key: dict[str, str]) -> None:
    item = {name: {"S": value} for name, value in key.items()}
    simulated.aws.client("dynamodb").delete_item(TableName=simulated.identity.table, Key=item)


def put(simulated: SimulatedEnvironment, key: dict[str, str], attribute: str, text: str) -> None:
    item = {name: {"S": value} for name, value in key.items()} | {attribute: {"S": text}}
    if key["pk"] == "lock":
        item |= {"version": {"N": "1"}, "token": {"N": "1"}}
    simulated.aws.client("dynamodb").put_item(TableName=simulated.identity.table, Item=item)


def test_an_item_is_read_or_named_with_the_fix(simulated: SimulatedEnvironment) -> None:
    @settings(derandomize=True, max_examples=250)
    @given(kind=st.sampled_from(sorted(ITEMS)), data=st.data())
    def each(kind: str, data: st.DataObject) -> None:
        check_item(simulated, kind, data)

    each()


def check_item(simulated: SimulatedEnvironment, kind: str, data: st.DataObject) -> None:
    key, attribute, good = ITEMS[kind]
    changed = dict(good)
    for field in data.draw(st.sets(st.sampled_from(sorted(good)), max_size=2)) if good else ():
        del changed[field]
    is_swapped = data.draw(st.booleans())
    if good and is_swapped:
        changed[data.draw(st.sampled_from(sorted(good)))] = data.draw(anything)
    text = data.draw(st.sampled_from([json.dumps(changed), "", "{", "[]", "null", "5", "[" * 5000, "NaN"]))
    put(simulated, key, attribute, text)
    table = simulated.table
    reads = {
        "lock": table.read_lock,
        "journal": table.read_journal,
        "paused": table.paused,
        "live": table.live,
        "release": lambda: table.release("r-1"),
        "history": lambda: table.history(5),
    }
    found, error = attempt(reads[kind], AwsError)
    if kind == "history":
        assert error is None
        assert isinstance(found, Listed)
        error = AwsError(found.unreadable[0]) if found.unreadable else None
        assert (error is None) is (len(found) == 1)
    remove(simulated, key)
    if error is not None:
        assert key["pk"] in str(error)
        assert str(error).endswith(("correct the item, or delete it if it is not needed", f"has no {attribute}"))


def test_a_record_that_an_older_version_wrote_is_still_read(simulated: SimulatedEnvironment) -> None:
    """The fields that came later have defaults."""
    old = {
        "execution": EXECUTION,
        "action": "deploy",
        "outcome": "Deployed",
        "startedAt": TIME,
        "endedAt": TIME,
        "requestedBy": None,
        "reason": None,
        "releaseId": None,
        "imageTag": "v1",
        "report": {"outcome": "Deployed"},
    }
    assert len(old) < len(fields(DeploymentRecord))
    put(simulated, {"pk": "history", "sk": f"{TIME}#old"}, "document", json.dumps(old))
    assert simulated.table.history(1)[0].image_tag == "v1"
    assert Desk(simulated)("history").exit_code == 0


def test_a_deploy_before_a_broken_item_is_rejected_with_its_name(simulated: SimulatedEnvironment) -> None:
    for kind in ("paused", "live", "lock"):
        key, attribute, _ = ITEMS[kind]
        put(simulated, key, attribute, "{")
        run = simulated.run({"imageTag": "v1"}, f"before-a-broken-{kind}")
        typed = Desk(simulated)("status")
        remove(simulated, key)
        cause = json.loads(run.cause or "")
        assert (cause["outcome"], cause["errorType"]) == ("Rejected", "AwsError")
        assert f"item {key['pk']} / {key['sk']}: {attribute} cannot be read" in cause["message"]
        assert (typed.exit_code, typed.stdout) == (1, "")
        assert f"item {key['pk']} / {key['sk']}" in typed.stderr

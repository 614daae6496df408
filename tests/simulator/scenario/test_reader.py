"""A scenario file that cannot be used is one clear error: file, key, fix."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from simulator.environment.simulated_environment import Delivery
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from simulator.scenario.play import run_scenario
from simulator.scenario.reader import ScenarioError, read_scenario

GOOD: dict[str, Any] = {"description": "d", "images": {"v1": {}}, "steps": [{"deploy": "v1"}]}


def step(**keys: object) -> dict[str, Any]:
    return {**GOOD, "steps": [{"deploy": "v1", **keys}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"steps": []}, "scenario: description is missing; say in one sentence what the scenario shows"),
        ({**GOOD, "step": []}, "scenario: step is unknown; did you mean steps?"),
        (step(deploy=1.1), "scenario: steps[0].deploy is 1.1; give the tag to deploy"),
        (
            step(expect={"outcome": "Deploid"}),
            'scenario: steps[0].expect.outcome is "Deploid"; write Deployed, Nothing',
        ),
        (step(rollback="previous"), "scenario: steps[0] is deploy and rollback at once; write exactly one of deploy,"),
        ({**GOOD, "steps": [{"name": "x"}]}, "scenario: steps[0] does nothing; write exactly one of deploy, rollback,"),
        (step(name="recovery-1"), "scenario: steps[0].name is recovery-1; give another name: recoveries are called so"),
        (step(at=float("inf")), "scenario: steps[0].at is inf; give a number"),
        (step(at=1e9), "scenario: steps[0].at is 1000000000.0; give seconds, 0 to 604800 (a week)"),
        (step(about=date(2026, 1, 5)), "scenario: steps[0].about is a date; quote it"),
        ({**GOOD, "images": {1.1: {}}}, 'scenario: images has the key 1.1, which is no text; quote it: "1.1"'),
        (step(at=1, after=2), "scenario: steps[0] has at and after; keep one of them"),
        (step(overlap=1), "scenario: steps[0].overlap has no step before it; leave it out"),
        (
            step(stop={"state": "Check rolout"}),
            "scenario: steps[0].stop.state is Check rolout, which is no state; did you",
        ),
        (step(stop={}), "scenario: steps[0].stop needs a state or a time; write {state: Check rollout, nth: 2}, or"),
        (step(approve={}, reject={}), "scenario: steps[0] is approved and rejected; keep approve or reject"),
        (
            step(faults=[{}]),
            "scenario: steps[0].faults[0] needs call or function, one of them; write - {call: throttle",
        ),
        (
            step(faults=[{"function": "kill", "service": "ecs"}]),
            "scenario: steps[0].faults[0].service belongs to a call;",
        ),
        (
            step(faults=[{"call": "lost", "error": "E"}]),
            "scenario: steps[0].faults[0].error belongs to a function; leave",
        ),
        (
            step(faults=[{"call": "lost", "step": "Bake"}]),
            "scenario: steps[0].faults[0].step is Bake, which has no function",
        ),
        ({**GOOD, "config": {"rollout": {"bake": 1}}}, "scenario: config: [rollout] bake is unknown"),
        (
            {**GOOD, "images": {"v1": {"services": {"wrker": {}}}}},
            "scenario: images.v1.services.wrker is no service; the",
        ),
        (
            {**GOOD, "images": {"v1": {"architectures": ["arm64", "amd64"]}}},
            "scenario: images.v1.architectures names sev",
        ),
        ({**GOOD, "expect": {"images": {"web": "v1"}}}, "scenario: expect.images.web is no service; the services are"),
        (
            {**GOOD, "steps": [{"rollback": "first"}]},
            "scenario: steps[0].rollback is first, which no earlier step is name",
        ),
        (
            {**GOOD, "steps": [{"infrastructure": {"service": "api"}}]},
            "scenario: steps[0].infrastructure changes nothing; add memory, desired, image, deregister or newer_field",
        ),
        (
            {**GOOD, "steps": [{"infrastructure": {"service": "api", "deregister": "replaced"}}]},
            "scenario: steps[0].infrastructure.deregister is replaced, and nothing is; add memory or image",
        ),
        (
            {**GOOD, "steps": [{"infrastructure": {"service": "api", "memory": 512, "delete": True}}]},
            "scenario: steps[0].infrastructure.delete deletes nothing; add deregister",
        ),
        (
            {**GOOD, "steps": [{"interrupt": {"service": "web", "kind": "spot"}}]},
            "scenario: steps[0].interrupt.service is web, which is no service; the services are",
        ),
        (
            {**GOOD, "steps": [{"interrupt": {"service": "api", "kind": "fire"}}]},
            'scenario: steps[0].interrupt.kind is "fire"; write spot, host, maintenance or user',
        ),
        (
            {**GOOD, "steps": [{"interrupt": {"service": "api", "kind": "spot"}, "expect": {}}]},
            "scenario: steps[0].expect belongs to an execution; leave it out of an interrupt step",
        ),
        (
            {**GOOD, "steps": [{"infrastructure": {"service": "web", "memory": 512}}]},
            "scenario: steps[0].infrastructure.service is web, which is no service; the services are",
        ),
        (
            {**GOOD, "steps": [{"infrastructure": {"service": "api", "image": "v7"}}]},
            "scenario: steps[0].infrastructure.image is v7, which is no image; add it to images",
        ),
        (
            {**GOOD, "steps": [{"infrastructure": {"service": "api", "memory": 512}, "expect": {}}]},
            "scenario: steps[0].expect belongs to an execution; leave it out of an infrastructure step",
        ),
        (
            {**GOOD, "steps": [{"name": "a", "deploy": "v1"}, {"name": "a", "deploy": "v1"}]},
            "scenario: steps[1].name is a, which an earlier step has; give another name",
        ),
    ],
)
def test_a_bad_scenario_names_key_and_fix(document: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(document)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere.yaml: cannot be read: No such file or directory; give the path"):
        read_scenario(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"steps: [", r"bad.yaml: is not YAML: .* line 1"),
        (b"\xff\xfe\x00", r"bad.yaml: is not text in UTF-8"),
        (b"- deploy: v1", r"bad.yaml: file is \[\{.*; write a mapping with description, images, steps and expect"),
    ],
)
def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(ScenarioError, match=message):
        read_scenario(file)


def test_a_fault_names_a_step_by_its_state() -> None:
    scenario = read_scenario(step(faults=[{"call": "throttle", "service": "ecs", "step": "Deploy wave", "times": 3}]))
    expected = CallFault(CallAction.THROTTLE, service="ecs", function="v3-backend-dev-deploy-wave", times=3)
    assert scenario.steps[0].faults == (expected,)


def test_config_overrides_one_key_and_keeps_the_rest() -> None:
    settings = read_scenario({**GOOD, "config": {"rollout": {"bake_seconds": 30}}}).settings
    assert (settings.rollout.bake_seconds, settings.rollout.poll_seconds) == (30, 1)


def redriving(**step: object) -> dict[str, object]:
    stopped = {"name": "bad", "deploy": "v1", "stop": {"after": 5}}
    return {"description": "d", "images": {"v1": {}}, "steps": [stopped, {"name": "again", "redrive": "bad", **step}]}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (redriving(redrive="worse"), "steps[1].redrive is worse, which no earlier step is named"),
        (redriving(request={"force": True}), "steps[1].request belongs to a new execution"),
        (redriving(deploy="v1"), "is deploy and redrive at once"),
        ({**redriving(), "recovery": "sometimes"}, "recovery is"),
        ({**redriving(), "recovery": {"often": 2}}, "recovery.often is unknown"),
    ],
)
def test_a_redrive_or_a_delivery_that_cannot_be_is_told(document: dict[str, object], said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        read_scenario(document)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("entry", "delivery"),
    [
        (True, Delivery()),
        (False, Delivery(times=0)),
        ("dropped", Delivery(times=0)),
        ("doubled", Delivery(times=2)),
        ({"after": 600}, Delivery(after_seconds=600)),
        ({"times": 3, "without_error": True}, Delivery(times=3, says_error=False)),
    ],
)
def test_how_an_event_is_delivered(entry: object, delivery: Delivery) -> None:
    assert read_scenario({**redriving(), "recovery": entry}).recovery == delivery


def test_a_redrive_of_one_that_has_succeeded_is_a_mismatch() -> None:
    document = redriving()
    document["steps"] = [{"name": "bad", "deploy": "v1", "request": {"dryRun": True}}, {"redrive": "bad"}]
    result = run_scenario(document)
    assert result.mismatches == ("redrive-2: bad is SUCCEEDED; redrive one that has ended badly",)

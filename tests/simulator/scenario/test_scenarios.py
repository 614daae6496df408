"""Every file under simulator/scenarios is an executable test."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.scenario.play import FOLDER, run_scenario
from tests.least_privilege.policies import Role, Template
from tests.least_privilege.witness import Witness

FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def roles(templates: dict[str, dict[str, Any]]) -> dict[str, Role]:
    """What each function may do in the template of the environment that the scenarios play in."""
    return Template(templates["dev"]).roles_of_functions()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scenario_ends_as_it_says_and_does_only_what_is_allowed(file: Path, roles: dict[str, Role]) -> None:
    seen = Witness()
    result = run_scenario(file, seen)
    assert result.mismatches == ()
    assert result.examination.violations == ()
    assert seen.refusals(roles) == []


def test_there_are_many_scenarios() -> None:
    assert len(FILES) >= 14


@pytest.mark.parametrize("name", ["stopped-in-the-middle", "two-at-once", "throttled"])
def test_two_runs_of_a_scenario_give_the_same_json(name: str) -> None:
    first, second = (json.dumps(run_scenario(FOLDER / f"{name}.yaml").document) for _ in range(2))
    assert first == second


def test_the_json_has_what_scripts_read() -> None:
    document = run_scenario(FOLDER / "crash-at-start.yaml").document
    good, bad = document["deployments"]
    assert good["status"] == "SUCCEEDED"
    assert good["output"]["outcome"] == "Deployed"
    assert (bad["status"], bad["error"]) == ("FAILED", "RolledBack")
    assert bad["cause"]["explanation"]["logLines"][-1] == "KeyError: 'QUEUE_URL'"
    assert bad["states"][-1] == "RolledBack"
    assert bad["durations"]["Wait for rollout"] == 3
    assert bad["durations"]["Check rollout"] > 40
    assert bad["apiCalls"]["ecs:UpdateService"] == 6
    assert set(document["world"]) == {"services", "parameters", "lock", "history"}
    assert document["world"]["lock"] is None
    assert [record["outcome"] for record in document["world"]["history"]] == ["Deployed", "RolledBack"]


def test_all_that_differs_from_the_expectation_is_told() -> None:
    document = {"description": "d", "images": {"v1": {}}, "steps": [{"deploy": "v1"}], "migration": False}
    expect = {
        "tag": "v2",
        "images": {"api": "v2"},
        "memory": {"api": 1024},
        "history": ["RolledBack"],
        "violations": ["the lock"],
        "person_needed": True,
    }
    assert sorted(run_scenario({**document, "expect": expect}).mismatches) == [
        "/v3-backend/dev/compute/currentImageTag is v1, not v2",
        "api: image is v1, not v2",
        "api: memory is 512, not 1024",
        "invariant: no violation says 'the lock'",
        "no execution ended as RollbackFailed",
        "the history is Deployed, not RolledBack",
    ]


def test_an_outcome_that_differs_and_a_fault_that_never_hits_are_told() -> None:
    step = {"deploy": "v1", "faults": [{"function": "kill", "step": "Roll back"}], "expect": {"outcome": "Rejected"}}
    result = run_scenario({"description": "d", "images": {"v1": {}}, "steps": [step], "migration": False})
    assert result.mismatches[0].startswith("deploy-1: outcome is Deployed, not Rejected (r-2026")
    assert result.mismatches[1] == "a fault never hit: function: kill, function: v3-backend-dev-roll-back"

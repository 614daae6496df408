from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from statemachine import triggers

FOLDER = Path(__file__).parents[2] / "statemachine"
SCHEMA = json.loads((FOLDER / "input.schema.json").read_text())
EXAMPLES = sorted((FOLDER / "examples").glob("*.json"))
validate = fastjsonschema.compile(SCHEMA, use_default=False)

DIGEST = "sha256:" + "0" * 64
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:v3-backend-dev-deploy:3f0c2a4e"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_valid(example: Path) -> None:
    validate(json.loads(example.read_text()))


def test_there_is_an_example_of_every_way_to_start() -> None:
    assert {example.stem for example in EXAMPLES} == {
        "deploy",
        "deploy-one-service-by-digest",
        "dry-run",
        "rollback",
        "rollback-to-release",
        "recovery",
    }


@pytest.mark.parametrize("name", SCHEMA["properties"])
def test_each_field_is_described_and_has_valid_examples(name: str) -> None:
    field = SCHEMA["properties"][name]
    assert field["description"].endswith(".")
    assert field["examples"]
    for example in field["examples"]:
        fastjsonschema.validate(field, example)


@pytest.mark.parametrize(
    "given",
    [
        {"imageTag": "sha-1"},
        {"imageDigest": DIGEST},
        {"imageTag": "v1.2_3-rc", "imageDigest": DIGEST, "services": ["api", "worker"], "force": True},
        {"action": "rollback"},
        {"action": "rollback", "services": ["api"], "dryRun": True},
        {"action": "rollback", "takeover": EXECUTION},
    ],
)
def test_valid_inputs(given: dict[str, Any]) -> None:
    validate(given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], "data must be object"),
        ({}, "data"),
        ({"action": "deploy"}, "data"),
        ({"imageTag": "sha-1", "tag": "x"}, "tag"),
        ({"action": "roll"}, "data.action"),
        ({"imageTag": "-x"}, "data.imageTag"),
        ({"imageTag": "x" * 129}, "data.imageTag"),
        ({"imageTag": "sha-1\n"}, "data.imageTag"),
        ({"imageTag": 1}, "data.imageTag"),
        ({"imageDigest": "sha256:0"}, "data.imageDigest"),
        ({"imageDigest": DIGEST.upper()}, "data.imageDigest"),
        ({"imageTag": "sha-1", "releaseId": "r"}, "data.releaseId"),
        ({"imageTag": "sha-1", "takeover": EXECUTION}, "data.takeover"),
        ({"action": "rollback", "imageTag": "sha-1"}, "data.imageTag"),
        ({"action": "rollback", "imageDigest": DIGEST}, "data.imageDigest"),
        ({"action": "rollback", "takeover": "arn:aws:lambda:x"}, "data.takeover"),
        ({"imageTag": "sha-1", "services": []}, "data.services"),
        ({"imageTag": "sha-1", "services": ["api", "api"]}, "data.services"),
        ({"imageTag": "sha-1", "services": ["Api"]}, "data.services[0]"),
        ({"imageTag": "sha-1", "dryRun": "yes"}, "data.dryRun"),
        ({"imageTag": "sha-1", "reason": "x" * 257}, "data.reason"),
    ],
)
def test_an_invalid_input_is_refused_and_the_field_named(given: object, named: str) -> None:
    with pytest.raises(fastjsonschema.JsonSchemaValueException) as raised:
        validate(given)
    assert named in raised.value.message


@pytest.mark.parametrize("template", [triggers.STOPPED_EXECUTION_INPUT, triggers.PUSHED_IMAGE_INPUT])
def test_what_a_rule_starts_the_machine_with_is_valid(template: dict[str, str]) -> None:
    event = {"<arn>": EXECUTION, "<status>": "ABORTED", "<tag>": "sha-1", "<digest>": DIGEST}
    filled = dict(template)
    for word, value in event.items():
        filled = {key: text.replace(word, value) for key, text in filled.items()}
    validate(filled)

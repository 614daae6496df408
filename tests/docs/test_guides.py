"""The guides say what is: links lead somewhere, inputs are valid, the config of ``adopt.md`` deploys."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml

import config

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs").rglob("*.md"))
WORKFLOWS = ROOT / ".github" / "workflows"
INPUT = re.compile(r"(?:--input '|`)(\{\"[^`']*\})")


def inputs() -> list[tuple[str, str]]:
    return [(guide.name, text) for guide in GUIDES for text in INPUT.findall(guide.read_text())]


@pytest.mark.parametrize(("guide", "text"), inputs())
def test_an_input_in_a_guide_is_one_that_the_machine_takes(guide: str, text: str) -> None:
    schema = json.loads((ROOT / "statemachine" / "input.schema.json").read_text())
    document = {key: "v1" if value == "…" else value for key, value in json.loads(text).items()}
    fastjsonschema.validate(schema, document)


def test_the_guides_show_inputs() -> None:
    assert len(inputs()) > 6


def test_the_config_of_the_adoption_guide_deploys_one_stack_without_the_others(tmp_path: Path) -> None:
    import cdk_app

    guide = (ROOT / "docs" / "how-to" / "adopt.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    written = tomllib.loads((ROOT / "config" / "dev.toml").read_text())
    merged = merge(written, tomllib.loads(example))
    (tmp_path / "dev.toml").write_text(toml(merged))
    settings = config.load("dev", tmp_path)
    assert settings.services["web"].service == "web"  # type: ignore[union-attr]
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk_app.build({**flags, "aws:cdk:bundling-stacks": [], "environment": "dev"}, folder=tmp_path)
    stack = app.synth().get_stack_by_name("shop-dev-deployment-coordinator")
    assert not stack.dependencies or {each.id for each in stack.dependencies} <= {f"{stack.stack_name}.assets"}
    assert "shop-dev-deployment-coordinator" in guide
    assert "/shop/dev/services/web" in json.dumps(stack.template)


def test_the_accepted_finding_of_the_deploy_guide_is_one_that_the_config_takes(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    (example,) = re.findall(r"```toml\n\[image\]\n(.*?)```", guide, re.DOTALL)
    written = (ROOT / "config" / "production.toml").read_text()
    (tmp_path / "production.toml").write_text(written.replace("accepted_findings = []\n", example))
    (accepted,) = config.load("production", tmp_path).image.accepted_findings
    assert f"accepted: {accepted.id} until {accepted.until}" in " ".join(guide.split())
    assert f"accepted no longer: {accepted.id} (until {accepted.until})" in guide


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {**below, **above}
    return {
        key: merge(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in both.items()
    }


def toml(document: dict[str, Any], path: str = "") -> str:
    plain = {key: value for key, value in document.items() if not isinstance(value, dict)}
    lines = [f"[{path}]"] if path and plain else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    tables = (toml(value, f"{path}.{key}".lstrip(".")) for key, value in document.items() if isinstance(value, dict))
    return "\n".join([*lines, *tables]) + "\n"


@pytest.mark.parametrize(
    "variable", ["DEPLOYMENT_METHOD_DEV", "DEPLOYMENT_METHOD_STAGING", "DEPLOYMENT_METHOD_PRODUCTION"]
)
def test_the_variables_of_the_migration_guide_are_those_of_the_workflow(variable: str) -> None:
    assert variable in (ROOT / "docs" / "how-to" / "migrate.md").read_text()
    assert variable in (WORKFLOWS / "deploy-code.yml").read_text()


def test_the_workflows_that_the_rollback_guide_names_have_those_names_and_fields() -> None:
    guide = (ROOT / "docs" / "how-to" / "rollback.md").read_text()
    infra = yaml.safe_load((WORKFLOWS / "deploy-infra.yml").read_text())
    code = yaml.safe_load((WORKFLOWS / "rollback-code.yml").read_text())
    assert f"*{infra['name']}*" in guide
    assert f"*{code['name']}*" in guide
    assert "image_tag" in infra[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads `on` as true
    assert "`image_tag`" in guide


@pytest.mark.parametrize("key", ["[circuit_breaker] alarms", "[bootstrap] keep_images"])
def test_config_keys_that_the_guides_name_exist(key: str) -> None:
    from config.rules import RULES

    assert key in RULES
    assert any(f"`{key}`" in guide.read_text() for guide in GUIDES)

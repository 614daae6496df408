"""docs/reference/simulator.md says what is true: its example runs, its keys are all keys, its commands exist."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from simulator.scenario.play import run_scenario
from simulator.scenario.reader import SCHEMA_FILE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reference" / "simulator.md").read_text(encoding="utf-8")


def keys(schema: Any) -> set[str]:
    """Return every property name in the schema."""
    if isinstance(schema, list):
        return {key for item in schema for key in keys(item)}
    if not isinstance(schema, dict):
        return set()
    named = set(schema.get("properties", {}))
    return named.union(*(keys(value) for value in schema.values()))


def values(schema: Any) -> set[str]:
    """Return every word that an enumeration of the schema allows."""
    if isinstance(schema, list):
        return {value for item in schema for value in values(item)}
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("enum", ())).union(*(values(value) for value in schema.values()))


def test_the_example_runs_as_it_says() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    result = run_scenario(yaml.safe_load(example))
    assert result.mismatches == ()
    (shown,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    bad = next(each for each in result.document["deployments"] if each["name"] == "bad")
    assert list(bad) == list(json.loads(shown))


def test_every_key_of_a_scenario_is_documented() -> None:
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]*)`", prose))))
    assert keys(json.loads(SCHEMA_FILE.read_text())) - words == set()


def test_every_outcome_of_a_task_and_every_fault_is_documented() -> None:
    definitions = json.loads(SCHEMA_FILE.read_text())["definitions"]
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]*)`", TEXT))))
    assert values([definitions["behavior"], definitions["fault"]]) - words == set()


def test_every_file_that_it_names_exists() -> None:
    links = re.findall(r"\]\(\.\./\.\./([^)]+)\)", TEXT) + re.findall(r"(?:--scenario) (\S+)", TEXT)
    assert links
    assert not [link for link in links if not (ROOT / link).is_file()]

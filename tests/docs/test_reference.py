"""The reference pages say what the code says: keys, fields, events, names. ``make docs`` writes them again."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from config.rules import RULES
from lambdas.release.errors import StepshipError, leaves
from lambdas.release.history import Outcome, Report
from statemachine.triggers import OWN_FAILURES
from stepship.executions.outcomes import EXIT_CODES
from tools.documentation import config_page, errors_page, input_page, names_page, picture

ROOT = Path(__file__).parents[2]
EVENTS = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
INPUT = input_page.PAGE.read_text(encoding="utf-8")
CAMEL = re.compile(r"_([a-z])")


def test_the_config_page_has_every_key_as_the_files_have_it() -> None:
    text = config_page.PAGE.read_text(encoding="utf-8")
    assert config_page.page(text) == text, "run `make docs`"
    assert not [key for key in RULES if f"| `{key.rpartition(' ')[2]}` |" not in text]
    empty = [line for line in text.splitlines() if re.match(r"\| `\w+` \|  \|", line)]
    assert not empty, "each key says what it is"


def test_the_input_page_has_every_field_and_example() -> None:
    assert input_page.page(INPUT) == INPUT, "run `make docs`"


def test_the_errors_page_has_every_error_type_and_says_what_it_means() -> None:
    text = errors_page.PAGE.read_text(encoding="utf-8")
    assert errors_page.page(text) == text, "run `make docs`"
    assert {name.strip("`") for name, *_ in errors_page.rows()} >= {
        leaf.__name__ for leaf in leaves() if leaf.__module__ == StepshipError.__module__
    }
    assert all(meaning.endswith(".") for _, meaning, _ in errors_page.rows())


@pytest.mark.parametrize("outcome", Outcome)
def test_the_input_page_has_every_outcome_with_its_exit_code(outcome: Outcome) -> None:
    (row,) = [line for line in INPUT.splitlines() if line.startswith(f"| `{outcome}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3] == str(EXIT_CODES.get(outcome, 1))
    states = json.loads((ROOT / "statemachine" / "deployment.asl.json").read_text())["States"]
    wanted = {"Succeed": "SUCCEEDED", "Fail": "FAILED"}
    assert cells[2] == (wanted[states[outcome]["Type"]] if outcome in states else "ABORTED or TIMED_OUT")


def test_the_names_page_has_every_name_of_the_templates(app_templates: dict[str, dict[str, Any]]) -> None:
    text = names_page.PAGE.read_text(encoding="utf-8")
    assert names_page.page(text, app_templates) == text, "run `make docs`"


def test_the_events_page_has_every_event_that_an_outcome_publishes() -> None:
    published = {f"Deployment{outcome}" for outcome in Outcome if outcome != Outcome.STOPPED}
    assert set(re.findall(r"`(Deployment[A-Z]\w+)`", EVENTS)) - {"DeploymentDuration"} == published
    assert set(OWN_FAILURES) == {each.removeprefix("Deployment") for each in re.findall(r'"(Deployment\w+)"', EVENTS)}


def test_the_events_page_has_every_field_of_a_detail() -> None:
    ended = EVENTS.partition("### How a deployment ended")[2].partition("###")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", ended, re.MULTILINE))))
    source = (ROOT / "lambdas" / "completion.py").read_text(encoding="utf-8")
    written = set(re.findall(r'^            "(\w+)": ', source, re.MULTILINE))
    report = {CAMEL.sub(lambda letter: letter[1].upper(), each.name) for each in fields(Report)}
    assert named == written | report


def test_the_events_page_has_every_field_of_a_question() -> None:
    asked = EVENTS.partition("### A question to a person")[2].partition("###")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", asked, re.MULTILINE))))
    source = (ROOT / "lambdas" / "handlers" / "request_approval.py").read_text(encoding="utf-8")
    assert named == set(re.findall(r'^            "(\w+)": ', source, re.MULTILINE))


def test_the_picture_is_what_the_demo_draws() -> None:
    assert picture.picture() == picture.FILE.read_text(encoding="utf-8"), "run `make picture`"


def test_the_picture_loads_nothing() -> None:
    text = picture.FILE.read_text(encoding="utf-8")
    assert re.findall(r"https?://\S+?(?=[\"'\s])", text) == ["http://www.w3.org/2000/svg"]
    assert "@font-face" not in text


def test_ecs_exec_is_not_promised_where_aws_says_that_it_does_not_work() -> None:
    (row,) = (
        line for line in (ROOT / "docs/reference/config.md").read_text().splitlines() if "`execute_command`" in line
    )
    assert "AWS does not support it where the root file system is read-only" in row

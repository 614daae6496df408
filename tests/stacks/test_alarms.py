"""No alarm is for nobody: each one of all stacks tells the topic of alerts, which lets it, and is on the dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

import config
from stacks.alarms import ALARMS, alarm_names
from stacks.names import Names
from stacks.stages import parts
from tests.stacks.synthesis import Template, flat, of_kind, only, resources

UNTOLD: dict[str, str] = {}
"""Alarms that tell nobody, by the ends of their names, and why: there is none. Those by which target tracking scales
are made by it and stand in no template."""


def alarms(app_templates: Mapping[str, Template], environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (part, properties) of all alarms of an environment."""
    prefix = f"v3-backend-{environment}-"
    for stack, template in app_templates.items():
        if stack.startswith(prefix):
            for alarm in resources(template, "AWS::CloudWatch::Alarm"):
                yield stack.removeprefix(prefix), alarm


@pytest.mark.parametrize("environment", [*config.environments(), "own"])
def test_every_alarm_tells_whoever_is_on_call(environment: str, app_templates: dict[str, Template]) -> None:
    coordinator = app_templates[f"v3-backend-{environment}-deployment-coordinator"]
    (topic,) = (
        name
        for name, each in of_kind(coordinator, "AWS::SNS::Topic").items()
        if each["Properties"]["TopicName"] == f"v3-backend-{environment}-deploy-alerts"
    )
    arn = f"arn:<AWS::Partition>:sns:<AWS::Region>:<AWS::AccountId>:v3-backend-{environment}-deploy-alerts"
    found = list(alarms(app_templates, environment))
    assert found
    for part, alarm in found:
        if alarm["AlarmName"].removeprefix(f"v3-backend-{environment}-") in UNTOLD:
            continue
        (action,) = alarm["AlarmActions"]
        wanted = f"<{topic}>" if part == "deployment-coordinator" else arn
        assert flat(action) == wanted, alarm["AlarmName"]
        assert alarm.get("ActionsEnabled", True) is True


@pytest.mark.parametrize("environment", config.environments())
def test_the_topic_lets_each_alarm_of_its_environment_publish_and_no_other_ones(
    environment: str, app_templates: dict[str, Template]
) -> None:
    coordinator = app_templates[f"v3-backend-{environment}-deployment-coordinator"]
    sources = [
        flat(statement["Condition"]["ArnLike"]["aws:SourceArn"])
        for policy in resources(coordinator, "AWS::SNS::TopicPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement.get("Principal") == {"Service": "cloudwatch.amazonaws.com"} and "ArnLike" in statement["Condition"]
    ]
    (source,) = sources
    begin = "arn:<AWS::Partition>:cloudwatch:<AWS::Region>:<AWS::AccountId>:alarm:"
    for _, alarm in alarms(app_templates, environment):
        assert fnmatchcase(begin + alarm["AlarmName"], source)
    assert not fnmatchcase(f"{begin}v3-backend-other-api-5xx", source)
    assert not fnmatchcase(f"{begin}somebody-else", source)


def test_a_team_with_its_own_cluster_gets_no_right_for_alarms_that_are_not_there(
    app_templates: dict[str, Template],
) -> None:
    policies = resources(app_templates["v3-backend-own-deployment-coordinator"], "AWS::SNS::TopicPolicy")
    assert policies
    assert "ArnLike" not in json.dumps(policies)


@pytest.mark.parametrize("environment", config.environments())
def test_every_alarm_is_on_the_dashboard(environment: str, app_templates: dict[str, Template]) -> None:
    body = flat(
        only(app_templates[f"v3-backend-{environment}-monitoring"], "AWS::CloudWatch::Dashboard")["DashboardBody"]
    )
    shown = {
        arn.rsplit(":alarm:", 1)[-1]
        for widget in json.loads(body)["widgets"]
        if widget["type"] == "alarm"
        for arn in widget["properties"]["alarms"]
    }
    assert shown >= {alarm["AlarmName"] for _, alarm in alarms(app_templates, environment)}


@pytest.mark.parametrize("environment", config.environments())
def test_the_list_of_alarms_is_what_the_stacks_make(environment: str, app_templates: dict[str, Template]) -> None:
    settings = config.load(environment)
    made = [(part, alarm["AlarmName"]) for part, alarm in alarms(app_templates, environment)]
    listed = [(part, Names(settings).alarm(name)) for part, names in ALARMS.items() for name in names]
    assert sorted(made) == sorted(listed)
    assert sorted(alarm_names(settings)) == sorted(name for _, name in made)
    assert set(ALARMS) <= set(parts())

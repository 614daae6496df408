"""The guide has the reader ask for as many builds as the pipelines start at once."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter

import config
from stacks.delivery.pipeline_plan import BUILDS_PLACE, GUIDE, builds, builds_at_once
from tests.stacks.delivery.test_pipelines import PARTS, stages, template_of
from tests.stacks.synthesis import Template, resources


def started_at_once(template: Template) -> int:
    """Return how many builds one run order of one stage has, where it has the most."""
    counted = Counter(
        (name, action["RunOrder"])
        for name, stage in stages(template).items()
        for action in stage["Actions"]
        if action["ActionTypeId"]["Provider"] == "CodeBuild"
    )
    return max(counted.values())


def test_the_number_of_builds_is_that_of_the_templates(app_templates: dict[str, Template]) -> None:
    for environment in config.environments():
        templates = [template_of(app_templates, environment, part) for part in PARTS]
        assert builds_at_once(config.load(environment)) == sum(started_at_once(each) for each in templates)
        for project in (each for template in templates for each in resources(template, "AWS::CodeBuild::Project")):
            # The quota of the guide is that of this machine.
            machine = project["Environment"]
            assert (machine["Type"], machine["ComputeType"]) == ("ARM_CONTAINER", "BUILD_GENERAL1_SMALL")


def test_a_pipeline_that_is_off_starts_nothing() -> None:
    dev = config.load("dev")
    page_off = dataclasses.replace(dev, frontend_pipeline=dataclasses.replace(dev.frontend_pipeline, enabled=False))
    both_off = dataclasses.replace(page_off, pipeline=dataclasses.replace(dev.pipeline, enabled=False))
    assert 0 == builds_at_once(both_off) < builds_at_once(page_off) < builds_at_once(dev)


def test_the_guide_has_the_reader_ask_for_them() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert BUILDS_PLACE.findall(text) == [builds()], "python -m stacks.delivery.pipeline_plan writes it again"
    number = re.search(r"\*\*(\d+)\*\*", builds())
    assert number
    assert int(number[1]) == max(builds_at_once(config.load(each)) for each in config.environments())
    assert "*Concurrently running builds for ARM/Small environment*" in text

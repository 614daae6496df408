"""The stages are an order in which everything can be deployed, and no stack holds another one fast."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from typing import Any

import pytest

import config
from stacks.stages import STAGES, Part, Stage, StageError, batches, check, chosen, parts
from tests.stacks.synthesis import ROOT, check_tags, parameters_read

Json = dict[str, Any]


def of(environment: str, templates: dict[str, Json]) -> dict[str, Json]:
    """Return the templates of one environment by part."""
    prefix = f"v3-backend-{environment}-"
    return {name.removeprefix(prefix): each for name, each in templates.items() if name.startswith(prefix)}


def written(template: Json) -> set[str]:
    """Return the names of the parameters that a stack creates."""
    names = set()
    for each in template["Resources"].values():
        if each["Type"] == "AWS::SSM::Parameter":
            names.add(each["Properties"]["Name"])
        if each["Type"] == "Custom::SeededParameters":
            names |= {parameter["Name"] for parameter in each["Properties"]["Parameters"]}
    return names


@pytest.mark.parametrize("environment", config.environments())
def test_what_a_stack_reads_is_written_by_exactly_one_stack_that_is_deployed_before_it(
    environment: str, app_templates: dict[str, Json]
) -> None:
    stacks, known = of(environment, app_templates), parts(chosen(config.load(environment)))
    assert set(known) == set(stacks)
    for part, template in stacks.items():
        for name in parameters_read(template):
            writers = [other for other, each in stacks.items() if name in written(each)]
            assert len(writers) == 1, f"{part} reads {name}, which {writers or 'nobody'} writes"
            assert writers[0] in before(part, known)


def before(part: str, known: dict[str, Part]) -> set[str]:
    """Return everything that is deployed before a stack, near and far."""
    found = set(known[part].earlier)
    for each in known[part].earlier:
        found |= before(each, known)
    return found


def test_the_coordinator_can_be_deployed_alone(app_templates: dict[str, Json]) -> None:
    assert parts()["deployment-coordinator"].needs == ()
    assert parameters_read(app_templates["v3-backend-dev-deployment-coordinator"]) == set()


def test_there_are_five_stages_in_this_order() -> None:
    names = [stage.name for stage in STAGES]
    assert names == ["bootstrap", "infrastructure", "data", "application", "frontend"]


def test_the_stages_can_be_read_without_the_cdk() -> None:
    code = "import sys, stacks.stages; sys.exit(any(name in sys.modules for name in ('aws_cdk', 'jsii')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def stages(*each: tuple[Part, ...]) -> tuple[Stage, ...]:
    return tuple(Stage(f"stage-{number}", "A purpose", stacks) for number, stacks in enumerate(each))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (stages((Part("a", needs=("b",)), Part("b", needs=("a",)))), "these need each other: a → b → a|b → a → b"),
        (stages((Part("a", needs=("a",)),)), "these need each other: a → a"),
        (stages((Part("a", needs=("b",)),), (Part("b"),)), r"a \(stage-0\) needs b, of the later stage stage-1"),
        (stages((Part("a", needs=("b",)),)), "a needs b, which is in no stage"),
        (stages((Part("a"),), (Part("a"),)), "a stands in stage-0 and in stage-1"),
    ],
)
def test_an_order_that_cannot_be_is_refused(wrong: tuple[Stage, ...], message: str) -> None:
    with pytest.raises(StageError, match=rf"^stacks/stages\.py: .*({message})"):
        check(wrong)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(StageError, match=r"a needs x, .*; b needs y, "):
        check(stages((Part("a", needs=("x",)), Part("b", needs=("y",)))))


def without(settings: config.EnvironmentConfig, *sections: str) -> config.EnvironmentConfig:
    """Return the settings with sections switched off."""
    off = {name: dataclasses.replace(getattr(settings, name), enabled=False) for name in sections}
    return dataclasses.replace(settings, **off)


def test_the_page_is_a_search_form_and_needs_what_answers_it() -> None:
    off = without(config.load("dev"), "search")
    with pytest.raises(
        StageError, match=r"frontend \(\[frontend\]\) needs search-lambda: give \[search\] enabled = true"
    ):
        chosen(off)


def test_what_is_switched_on_needs_what_is_switched_on() -> None:
    off = without(config.load("dev"), "search", "frontend", "frontend_pipeline")
    there = parts(chosen(off))
    assert not [part for part in there.values() if part.section == "search"]
    wrong = (*STAGES, Stage("more", "A purpose", (Part("shop", needs=("search-service",)),)))
    with pytest.raises(StageError, match=r"^dev: shop \(\[platform\]\) needs search-service: give \[search\] enabled"):
        chosen(off, wrong)


def test_without_the_platform_there_is_the_coordinator_alone(app_templates: dict[str, Json]) -> None:
    dev = config.load("dev")
    (stage,) = chosen(dataclasses.replace(dev, platform=dataclasses.replace(dev.platform, enabled=False)))
    assert [part.name for part in stage.stacks] == ["deployment-coordinator"]
    assert set(of("own", app_templates)) == {"deployment-coordinator"}


def test_every_section_that_switches_something_on_is_one_of_the_config() -> None:
    dev = config.load("dev")
    sections = {part.section for part in parts().values() if part.section}
    assert all(isinstance(getattr(dev, section).enabled, bool) for section in sections)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_batches_hold_everything_once_and_after_what_it_needs(stage: Stage) -> None:
    found = batches(stage)
    assert sorted(name for batch in found for name in batch) == sorted(part.name for part in stage.stacks)
    place = {name: number for number, batch in enumerate(found) for name in batch}
    for part in stage.stacks:
        for need in set(part.earlier) & set(place):
            assert place[need] < place[part.name]


def test_a_stack_in_no_stage_and_a_part_without_a_stack_are_refused() -> None:
    from cdk_app import STACKS, kinds
    from stacks.infrastructure.network_stack import NetworkStack

    with pytest.raises(StageError, match=r"^NetworkStack \(network\) is in no stage of stacks/stages\.py$"):
        kinds(stages(()), (NetworkStack,))
    without = tuple(kind for kind in STACKS if kind is not NetworkStack)
    with pytest.raises(StageError, match=r"^network of stacks/stages\.py has no class in cdk_app\.py$"):
        kinds(STAGES, without)


def test_every_stack_that_there_is_a_file_for_is_assembled() -> None:
    from cdk_app import STACKS
    from stacks.environment_stack import EnvironmentStack

    files = {file.relative_to(ROOT).with_suffix("") for file in (ROOT / "stacks").rglob("*_stack.py")}
    found = {
        kind
        for file in files
        for kind in vars(importlib.import_module(".".join(file.parts))).values()
        if isinstance(kind, type) and issubclass(kind, EnvironmentStack) and kind is not EnvironmentStack
    }
    assert found == set(STACKS)


def test_the_guide_shows_the_stages() -> None:
    from stacks.stages_table import GUIDE, PLACE, table

    found = PLACE.search(GUIDE.read_text(encoding="utf-8"))
    assert found
    assert found[0] == table(), "python -m stacks.stages_table writes it again"


def test_no_stack_exports_or_imports_anything(app_templates: dict[str, Json]) -> None:
    for name, template in app_templates.items():
        assert "Fn::ImportValue" not in json.dumps(template), name
        assert not [each for each in template.get("Outputs", {}).values() if "Export" in each], name


def test_no_two_stacks_write_the_same_parameter(app_templates: dict[str, Json]) -> None:
    # The dev config of the tests has services of its own: a team with its own cluster, which has no service stacks.
    for environment in ("staging", "production"):
        names = [name for template in of(environment, app_templates).values() for name in written(template)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("environment", config.environments())
def test_every_resource_that_can_be_tagged_says_whose_it_is(environment: str, app_templates: dict[str, Json]) -> None:
    for template in of(environment, app_templates).values():
        check_tags(template, config.load(environment))


@pytest.mark.parametrize("environment", config.environments())
def test_nothing_is_kept_for_ever(environment: str, app_templates: dict[str, Json]) -> None:
    for part, template in of(environment, app_templates).items():
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            needed = {
                "AWS::Logs::LogGroup": "RetentionInDays",
                "AWS::S3::Bucket": "LifecycleConfiguration",
                "AWS::ECR::Repository": "LifecyclePolicy",
            }.get(resource["Type"])
            assert needed is None or properties.get(needed), f"{part}: {name} has no {needed}"


def test_stacks_are_the_same_for_any_account(app_templates: dict[str, Json]) -> None:
    for template in app_templates.values():
        assert "123456789012" not in json.dumps(template)


@pytest.mark.parametrize("environment", config.environments())
def test_only_production_is_protected_from_being_taken_down(environment: str) -> None:
    import aws_cdk as cdk

    from cdk_app import add_stacks

    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    for stack in add_stacks(app, config.load(environment)):
        assert bool(stack.termination_protection) is (environment == "production")


def test_a_pipeline_that_runs_when_it_is_created_finds_the_lock() -> None:
    """Its builds take the lock, and without the coordinator's table there is none: they would meet whoever deploys."""
    order = [batch for stage in STAGES for batch in batches(stage)]
    place = {part: number for number, batch in enumerate(order) for part in batch}
    assert place["deployment-coordinator"] < place["cicd"] < place["frontend-cicd"]

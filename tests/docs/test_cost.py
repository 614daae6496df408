"""``docs/reference/cost.md`` says what the config costs, and counts what the templates have."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import config
from config import EnvironmentConfig
from stacks.cost.estimate import FREE, Line, actions, deploy, lines, states, total, total_at_limits
from stacks.cost.prices import AS_OF, PRICES, Evidence
from stacks.cost.table import GUIDE, PLACE, document
from stacks.stages import chosen, parts

ROOT = Path(__file__).parents[2]

Json = dict[str, Any]


def changed(settings: EnvironmentConfig, section: str, **values: Any) -> EnvironmentConfig:
    return dataclasses.replace(settings, **{section: dataclasses.replace(getattr(settings, section), **values)})


def units(found: tuple[Line, ...], price: str, *names: str) -> float:
    """Return how many units of a price are counted, over all parts or over those that are named."""
    return sum(line.count for line in found if line.price == price and (not names or line.part in names))


def test_the_document_says_what_the_config_costs() -> None:
    found = PLACE.search(GUIDE.read_text(encoding="utf-8"))
    assert found
    assert found[0] == document(), "python -m stacks.cost.table writes it again"


def test_the_document_can_be_written_without_the_cdk() -> None:
    code = "import sys, stacks.cost.table; sys.exit(any(name in sys.modules for name in ('aws_cdk', 'jsii', 'boto3')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("environment", config.environments())
def test_each_part_has_a_line_or_a_reason_why_it_costs_nothing(environment: str) -> None:
    settings = config.load(environment)
    found = lines(settings)
    paid = {line.part for line in found if line.dollars}
    there = set(parts(chosen(settings)))
    assert {line.part for line in found} <= there
    assert there - paid <= set(FREE)


def test_no_reason_stands_for_a_part_that_is_not_there() -> None:
    assert set(FREE) <= set(parts())


@pytest.mark.parametrize(
    ("section", "values", "price", "units_more"),
    [
        ("network", {"nat_gateways": 2}, "nat", 730),
        ("network", {"nat_gateways": 0}, "nat", -730),
        ("network", {"interface_endpoints": ("logs",)}, "endpoint", 2 * 730),
        ("compute", {"certificate_arn": "arn"}, "ipv4", 2 * 730),
        ("compute", {"spot": False}, "vcpu", (0.25 * 3 + 0.5) * 730),
        ("compute", {"container_insights": "disabled"}, "metric", -76),
        ("api", {"min_tasks": 3}, "spot-vcpu", 2 * 0.25 * 730),
        ("api", {"memory": 2048}, "spot-gb", 1.5 * 730),
        ("search", {"memory": 4096}, "spot-gb", 3 * 730),
        ("aurora", {"min_acu": 2}, "acu", 2 * 730),
        ("aurora", {"backup_days": 7}, "aurora-backup", 1),
        ("bootstrap", {"keep_images": 300}, "ecr", 5),
        ("bootstrap", {"creates_repository": False}, "ecr", -10),
        ("logs", {"archive_days": 60}, "s3", 1),
    ],
)
def test_another_config_is_another_price(section: str, values: Json, price: str, units_more: float) -> None:
    before, after = lines(config.load("dev")), lines(changed(config.load("dev"), section, **values))
    assert units(after, price) - units(before, price) == pytest.approx(units_more)
    assert total(after) != pytest.approx(total(before), abs=1e-6)


@pytest.mark.parametrize(
    ("section", "values", "dollars_more"),
    [
        ("api", {"max_tasks": 3}, 0.25 * 730 * 0.01619 + 0.5 * 730 * 0.00178),
        ("aurora", {"max_acu": 3}, 730 * 0.12),
        ("aurora", {"readers": 1}, 2 * 730 * 0.12),
        ("dynamodb", {"max_write_units": 101}, 730 * 3600 * 0.625e-6),
        ("dynamodb", {"max_read_units": 201}, 730 * 3600 * 0.125e-6),
    ],
)
def test_another_limit_costs_nothing_at_rest(section: str, values: Json, dollars_more: float) -> None:
    before, after = lines(config.load("dev")), lines(changed(config.load("dev"), section, **values))
    assert total(after) == pytest.approx(total(before))
    assert total_at_limits(after) - total_at_limits(before) == pytest.approx(dollars_more)


def test_what_is_switched_off_costs_nothing() -> None:
    dev = config.load("dev")
    # The page is a search form: it goes with the search.
    pageless = changed(changed(dev, "frontend", enabled=False), "frontend_pipeline", enabled=False)
    without = lines(changed(pageless, "search", enabled=False))
    assert not [line for line in without if line.part.startswith("search")]
    assert units(without, "metric") == units(lines(dev), "metric") - 6 - 11
    alone = lines(changed(dev, "platform", enabled=False))
    assert {line.part for line in alone} == {"deployment-coordinator"}


def test_a_worked_example() -> None:
    # stacks/cost/estimate.py, _tasks: three tasks of one vCPU and 2 GiB.
    found = [line for line in lines(config.load("production")) if line.part == "api-service"]
    assert sum(line.dollars for line in found if line.what.startswith("tasks")) == pytest.approx(86.51, abs=0.01)


def test_what_a_deploy_costs_follows_the_config() -> None:
    dev = config.load("dev")
    assert deploy(changed(dev, "rollout", timeout_seconds=1200)).machine > deploy(dev).machine
    assert deploy(changed(dev, "rollout", bake_seconds=600)).machine > deploy(dev).machine
    assert deploy(changed(dev, "api", min_tasks=2)).tasks > deploy(dev).tasks
    assert deploy(changed(dev, "pipeline", enabled=False)).pipeline == 0
    assert actions(config.load("production")) == actions(dev) + 1, "it shows the changes; the answer is free"


@pytest.mark.parametrize("environment", config.environments())
def test_stepship_itself_costs_what_the_comparison_says(environment: str) -> None:
    page = ROOT / "docs" / "explanation" / "comparison.md"
    compared = " ".join(page.read_text(encoding="utf-8").split())
    assert "(less than a dollar a month at rest), less than a cent for each wave of a deploy" in compared
    settings = config.load(environment)
    assert sum(line.dollars for line in lines(settings) if line.part == "deployment-coordinator") < 1
    waves = len({settings.api.wave, settings.worker.wave, settings.scheduler.wave})
    assert deploy(settings).machine / waves < 0.01


def test_the_states_are_all_states_of_the_machine() -> None:
    # Nothing but a state has a type in the language of the machine.
    assert states() == (ROOT / "statemachine" / "deployment.asl.json").read_text().count('"Type": "')


def test_each_price_has_its_page_and_its_evidence() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert f"as of {AS_OF}" in text
    for price in PRICES.values():
        assert price.dollars > 0
        assert f"]({price.url})" in text
    assert text.count(Evidence.MEMORY.value) > sum(price.evidence == Evidence.MEMORY for price in PRICES.values())


KINDS = {
    "nat": "AWS::EC2::NatGateway",
    "alb": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "zone": "AWS::ServiceDiscovery::PrivateDnsNamespace",
    "key": "AWS::KMS::Key",
    "dashboard": "AWS::CloudWatch::Dashboard",
    "efs": "AWS::EFS::FileSystem",
    "dynamodb-gb": "AWS::DynamoDB::Table",
    "firehose": "AWS::KinesisFirehose::DeliveryStream",
}
"""Price to what has to be in the templates as often as it is counted."""


@pytest.mark.parametrize("environment", config.environments())
def test_what_is_counted_is_what_the_templates_have(environment: str, app_templates: dict[str, Json]) -> None:
    settings = config.load(environment)
    found = lines(settings)
    resources = [
        resource
        for name, template in app_templates.items()
        if name.startswith(f"v3-backend-{environment}-")
        for resource in template["Resources"].values()
    ]

    def of(kind: str) -> list[Json]:
        return [each.get("Properties", {}) for each in resources if each["Type"] == kind]

    for price, kind in KINDS.items():
        count = units(found, price) / (730 if PRICES[price].unit == "hour" else 1)
        assert count == len(of(kind)), kind
    # RDS makes the master user's secret, in no template of ours.
    assert units(found, "secret") == len(of("AWS::SecretsManager::Secret")) + len(of("AWS::RDS::DBCluster"))
    assert units(found, "acu") == settings.aurora.min_acu * len(of("AWS::RDS::DBInstance")) * 730
    endpoints = [each for each in of("AWS::EC2::VPCEndpoint") if each["VpcEndpointType"] == "Interface"]
    assert units(found, "endpoint") == len(endpoints) * settings.network.availability_zones * 730
    assert units(found, "alarm") == _alarms(of)
    assert len({line.part for line in found if line.what == "tasks, vCPU"}) == len(of("AWS::ECS::Service"))
    assert len(of("AWS::ECR::Repository")) == len([line for line in found if line.price == "ecr"])


def _alarms(of: Any) -> int:
    """Count the metrics of all alarms, with the two that target tracking makes for each policy."""

    def metrics(found: list[Json]) -> int:
        return sum("MetricStat" in each for each in found) or 1

    ours = sum(metrics(each.get("Metrics", [])) for each in of("AWS::CloudWatch::Alarm"))
    policies = [
        each["TargetTrackingScalingPolicyConfiguration"].get("CustomizedMetricSpecification", {}).get("Metrics", [])
        for each in of("AWS::ApplicationAutoScaling::ScalingPolicy")
    ]
    return ours + sum(2 * metrics(each) for each in policies)

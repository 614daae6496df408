"""1, 10 and 100 services, 1, 10 and 100 environments, and a long night: against the quotas of the AWS APIs."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

import config
from config.history import EVENTS_FOR_RETRIES, EVENTS_OF_A_LOOK, MAX_EVENTS, most_events
from lambdas.release.plan import MAX_STATE_BYTES
from simulator.ecs.images import ImageBehavior
from simulator.environment.account import account
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.quotas import QUOTAS, Quota
from tests.simulator.quick import few_looks
from tools.benchmarks.scale import COUNTS, Figures, measure_environments, measure_longest, measure_services

THROTTLING_WORDS = ("Throttl", "Rate exceeded", "Sandbox.Timedout", "RequestLimitExceeded")
LINEAR = 1.1
"""Each of ten times as many may take so much more than one does now."""


# With few looks, what the quotas refuse are the writes and the plan.


@pytest.fixture(scope="module")
def by_services() -> dict[int, tuple[Figures, Figures]]:
    return {count: measure_services(count, settings=few_looks()) for count in COUNTS}


@pytest.fixture(scope="module")
def by_environments() -> dict[int, Figures]:
    return {count: measure_environments(count, settings=few_looks()) for count in COUNTS}


@pytest.mark.parametrize("count", COUNTS)
def test_any_number_of_services_goes_out_or_wholly_back(
    by_services: dict[int, tuple[Figures, Figures]], count: int
) -> None:
    # That the invariant holds is checked where it is measured.
    deployed, returned = by_services[count]
    assert (deployed.outcomes, returned.outcomes) == (("Deployed",), ("RolledBack",))


@pytest.mark.parametrize("count", COUNTS)
def test_any_number_of_environments_deploys_at_once(by_environments: dict[int, Figures], count: int) -> None:
    expected = ("Deployed",) if count == 1 else ("Deployed", "RolledBack")
    assert by_environments[count].outcomes == expected
    assert by_environments[count].functions == count


def test_what_is_throttled_is_told_nobody(
    by_services: dict[int, tuple[Figures, Figures]], by_environments: dict[int, Figures]
) -> None:
    figures = [*(each for pair in by_services.values() for each in pair), *by_environments.values()]
    assert sum(each.throttled for each in figures) > 1000, "the quotas were never used up: this proves nothing"
    assert not [word for each in figures for word in THROTTLING_WORDS if word in each.told]


@pytest.mark.parametrize("way", [0, 1], ids=["deploy", "way back"])
def test_calls_grow_no_faster_than_services(by_services: dict[int, tuple[Figures, Figures]], way: int) -> None:
    one, ten, hundred = (by_services[count][way].calls / count for count in COUNTS)
    assert hundred <= ten * LINEAR <= one * LINEAR**2


def test_calls_grow_no_faster_than_environments(by_environments: dict[int, Figures]) -> None:
    one, ten, hundred = (by_environments[count].calls / count for count in COUNTS)
    assert ten <= one * LINEAR
    assert hundred <= ten * LINEAR
    # All begin in the same moment; what is refused is asked for again, less often than once for each that is served.
    assert by_environments[100].throttled < by_environments[100].calls


@pytest.mark.parametrize("count", COUNTS)
def test_payloads_stay_below_what_the_plan_has_made_room_for(
    by_services: dict[int, tuple[Figures, Figures]], count: int
) -> None:
    for figures in by_services[count]:
        assert figures.payload_bytes <= figures.planned_bytes <= MAX_STATE_BYTES


def test_a_deployment_that_would_outgrow_its_state_is_refused_before_anything_is_written() -> None:
    name = "a-service-with-a-name-as-long-as-the-input-schema-allows-{:03d}"
    services = [SimulatedService(name.format(n), desired=0) for n in range(120)]
    with SimulatedEnvironment(services=services, migration=False, settings=few_looks()) as simulated:
        simulated.push("v1")
        run = simulated.run({"imageTag": "v1"}, "too-large")
        assert run.state == "Rejected"
        assert '\\"services\\" in the input' in str(run.cause)
        assert not simulated.aws.calls.of("ssm", "PutParameter")
        assert simulated.run({"imageTag": "v1", "services": [services[0].name]}, "a-part").state == "Deployed"
        assert simulated.violations() == ()


def test_a_step_that_needs_longer_than_its_function_lives_goes_on_where_it_was() -> None:
    slow = [replace(each, burst=1, per_second=0.3) if "PutParameter" in each.operations else each for each in QUOTAS]
    services = [SimulatedService(f"s{n}", desired=1) for n in range(30)]
    with SimulatedEnvironment(services=services, migration=False, quotas=slow) as simulated:
        simulated.push("v1")
        run = simulated.run({"imageTag": "v1"}, "slow")
        assert run.state == "Deployed"
        visit = next(visit for visit in run.states if visit.state == "Update image tag")
        assert (visit.exited_at or 0) - visit.entered_at > 100, "its function lives for 60 s"
        writes = [call.params["Name"] for call in simulated.aws.calls.of("ssm", "PutParameter") if call.error is None]
        assert len(writes) == len(set(writes)) == len(services) + 1
        assert simulated.violations() == ()


def test_environments_that_roll_back_together_all_come_back() -> None:
    with account(8, lambda _: [SimulatedService("api", desired=1)], settings=few_looks()) as worlds:
        worlds[0].push("bad", ImageBehavior(outcome="crash"))
        runs = [simulated.start({"imageTag": "bad"}, f"bad-{number}") for number, simulated in enumerate(worlds)]
        worlds[0].aws.run_until_idle()
        assert {run.state for run in runs} == {"RolledBack"}
        assert [violation for simulated in worlds for violation in simulated.violations()] == []


def test_the_longest_deployment_stays_inside_its_history() -> None:
    longest = measure_longest()
    assert longest.outcomes == ("RolledBack",)
    assert longest.seconds > 11.5 * 3600
    assert longest.events <= most_events(config.load("production")) <= MAX_EVENTS - EVENTS_FOR_RETRIES
    assert longest.payload_bytes <= MAX_STATE_BYTES


def test_a_look_is_as_many_events_as_the_check_of_the_config_counts() -> None:
    dev = config.load("dev")
    histories = []
    # Longer than a function holds: every look is a visit.
    for polls in (120, 31):
        with SimulatedEnvironment(
            services=[SimulatedService("api", desired=1)],
            migration=False,
            settings=replace(dev, rollout=replace(dev.rollout, poll_seconds=polls)),
        ) as simulated:
            simulated.push("v1", ImageBehavior(start_seconds=100))
            run = simulated.run({"imageTag": "v1"}, "v1")
            histories.append((run.path.count("Check rollout"), len(simulated.aws.history(run))))
    (few, short), (many, long) = histories
    assert many > few
    assert long - short == (many - few) * EVENTS_OF_A_LOOK


def test_an_operation_without_a_quota_is_an_error() -> None:
    with SimulatedEnvironment(quotas=[Quota("ecs", (), 1000, 1000, "only this")]) as simulated:
        run = simulated.run({"imageTag": "v1"}, "v1")
    assert run.state == "Rejected"
    assert "has no quota in simulator/faults/quotas.py" in str(run.cause)


def test_a_dry_run_of_138_services_shows_what_its_state_has_room_for() -> None:
    services = [SimulatedService(f"service-{n}", desired=0) for n in range(138)]
    with SimulatedEnvironment(services=services, migration=False, settings=few_looks()) as simulated:
        simulated.push("v1")
        run = simulated.run({"imageTag": "v1", "dryRun": True}, "many")
        assert run.state in ("Planned", "Rejected"), run.cause
        if run.state == "Rejected":
            assert '\\"services\\" in the input' in str(run.cause)
        assert simulated.violations() == ()
        part = simulated.run({"imageTag": "v1", "dryRun": True, "services": [s.name for s in services[:90]]}, "part")
        assert part.state == "Planned"
        plan = part.output["plan"]
        assert len(plan["services"]) == 90
        assert re.fullmatch(r"and \d+ more OK.*", plan["checks"][-1]["detail"])


@pytest.mark.parametrize("dry_run", [True, False])
def test_long_names_of_secrets_do_not_outgrow_a_plan(dry_run: bool) -> None:
    services = [SimulatedService(f"service-{n}", desired=1) for n in range(12)]
    with SimulatedEnvironment(services=services, migration=False, settings=few_looks()) as simulated:
        ecs = simulated.aws.client("ecs")
        for service in services:
            name = f"v3-backend-dev-{service.name}"
            task = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
            keys = ("family", "containerDefinitions", "networkMode", "requiresCompatibilities", "cpu", "memory")
            request = {key: task[key] for key in (*keys, "taskRoleArn", "executionRoleArn")}
            # Of another account: the preflight may not look, so every one of them is SKIP.
            request["containerDefinitions"][0]["secrets"] = [
                {"name": f"S{n}", "valueFrom": f"arn:aws:secretsmanager:eu-west-1:999999999999:secret:{'x' * 480}-{n}"}
                for n in range(40)
            ]
            revision = ecs.register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"]
            ecs.update_service(cluster="v3-backend-dev", service=name, taskDefinition=revision)
        simulated.aws.clock.sleep(900)
        simulated.push("v1")
        run = simulated.run({"imageTag": "v1", "dryRun": dry_run}, "long")
        assert run.state in ("Planned", "Deployed", "Rejected"), (run.error, run.cause)
        assert run.error != "States.DataLimitExceeded"
        if run.state == "Rejected":
            assert "PreflightFailed" in str(run.cause)
            assert "more" in json.loads(str(run.cause))["message"]

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import FrozenInstanceError

import pytest

import config
from lambdas.aws.gateway import Gateway
from lambdas.dependencies import Dependencies, SystemClock, dependencies_of_this_function
from lambdas.release.policies import Identity, LockPolicy, RolloutPolicy
from statemachine.steps import ACQUIRE_LOCK, STEPS, Step

GATEWAYS = (
    *("releases", "parameters", "images", "ecs", "logs", "alarms"),
    *("roles", "secrets", "objects", "events", "executions"),
)
SETTINGS = config.load("dev")
ENVIRON = ACQUIRE_LOCK.environment(SETTINGS.identity, SETTINGS.policies)


@pytest.fixture
def dependencies() -> Dependencies:
    return Dependencies(ENVIRON, SystemClock())


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_is_made_once(dependencies: Dependencies, name: str) -> None:
    gateway = getattr(dependencies, name)
    assert isinstance(gateway, Gateway)
    assert getattr(dependencies, name) is gateway


def test_every_gateway_is_wired() -> None:
    from lambdas.aws import (  # noqa: F401 (their subclasses are counted)
        cloudwatch,
        ecr,
        ecs,
        events,
        executions,
        iam,
        logs,
        releases_table,
        s3,
        secrets,
        ssm,
    )

    ours = {kind for kind in Gateway.__subclasses__() if kind.__module__.startswith("lambdas.")}
    dependencies = Dependencies(ENVIRON, SystemClock())
    assert {type(getattr(dependencies, name)) for name in GATEWAYS} == ours


def test_the_table_is_the_one_of_the_environment(dependencies: Dependencies) -> None:
    assert dependencies.identity == Identity("v3-backend", "dev", "v3-backend-dev-releases")
    assert dependencies.releases.table == "v3-backend-dev-releases"


def test_a_function_has_the_policies_that_it_was_deployed_with_and_no_others(dependencies: Dependencies) -> None:
    assert dependencies.policy(LockPolicy) == SETTINGS.policies[LockPolicy]
    with pytest.raises(KeyError, match="STEPSHIP_ROLLOUT"):
        dependencies.policy(RolloutPolicy)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)
def test_every_step_is_given_the_policies_that_it_names(step: Step) -> None:
    made = Dependencies(step.environment(SETTINGS.identity, SETTINGS.policies), SystemClock())
    assert [made.policy(kind) for kind in step.policies] == [SETTINGS.policies[kind] for kind in step.policies]


def test_dependencies_cannot_be_replaced(dependencies: Dependencies) -> None:
    with pytest.raises(FrozenInstanceError):
        dependencies.clock = SystemClock()  # type: ignore[misc]


def test_the_clock_of_the_machine_tells_unix_seconds() -> None:
    assert SystemClock().now() == pytest.approx(time.time(), abs=5)


def test_a_process_has_one_set_of_dependencies() -> None:
    assert dependencies_of_this_function() is dependencies_of_this_function()


def test_importing_a_handler_does_not_load_boto3() -> None:
    """Cold starts are paid per deploy: a step loads what it needs when it needs it."""
    code = "import sys, lambdas.handlers.check_rollback; print('boto3' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"

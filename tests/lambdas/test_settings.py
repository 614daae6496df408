from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.policies import (
    ApprovalPolicy,
    CircuitBreakerPolicy,
    FreezePolicy,
    Identity,
    ImagePolicy,
    LockPolicy,
    MachinePolicy,
    MigrationPolicy,
    Policy,
    RolePolicy,
    RolloutPolicy,
)
from lambdas.settings import dump_identity, dump_policy, read_identity, read_policy, variable

POLICIES = (
    ImagePolicy,
    LockPolicy,
    RolloutPolicy,
    CircuitBreakerPolicy,
    MigrationPolicy,
    ApprovalPolicy,
    FreezePolicy,
    MachinePolicy,
    RolePolicy,
)
IDENTITY = Identity("v3-backend", "dev", "v3-backend-dev-releases")


@pytest.mark.parametrize("kind", POLICIES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_function_reads_what_the_construct_dumps(kind: type[Policy], data: st.DataObject) -> None:
    policy = data.draw(st.from_type(kind))
    assert read_policy(kind, dump_policy(policy)) == policy


def test_the_sections_are_all_there_are_and_none_has_two_types() -> None:
    assert set(POLICIES) == set(Policy.__subclasses__())
    assert len({kind.section for kind in POLICIES}) == len(POLICIES)


def test_a_section_s_variable_is_its_name() -> None:
    assert variable(CircuitBreakerPolicy) == "STEPSHIP_CIRCUIT_BREAKER"


def test_a_dump_is_the_same_json_every_time() -> None:
    assert dump_policy(LockPolicy(1800, 15)) == {"STEPSHIP_LOCK": '{"poll_seconds": 15, "wait_timeout_seconds": 1800}'}


def test_a_list_is_read_as_what_the_type_says() -> None:
    read = read_policy(CircuitBreakerPolicy, {"STEPSHIP_CIRCUIT_BREAKER": '{"failed_tasks": 3, "alarms": ["a", "b"]}'})
    assert read == CircuitBreakerPolicy(3, ("a", "b"))


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="STEPSHIP_LOCK"):
        read_policy(LockPolicy, {})


@pytest.mark.parametrize(
    "values",
    [{"poll_seconds": 1}, {"poll_seconds": 1, "wait_timeout_seconds": 2, "new": 3}],
    ids=["a key is missing", "a key is unknown"],
)
def test_another_version_s_keys_are_an_error(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        read_policy(LockPolicy, {"STEPSHIP_LOCK": json.dumps(values)})


def test_an_identity_is_read_as_it_was_dumped() -> None:
    assert read_identity(dump_identity(IDENTITY)) == IDENTITY


@pytest.mark.parametrize("missing", sorted(dump_identity(IDENTITY)))
def test_each_part_of_the_identity_is_needed(missing: str) -> None:
    variables = dump_identity(IDENTITY)
    del variables[missing]
    with pytest.raises(KeyError, match=missing):
        read_identity(variables)


def test_the_names_are_those_of_the_contract() -> None:
    assert len(fields(Identity)) == len(dump_identity(IDENTITY))
    assert IDENTITY.tag_parameter == "/v3-backend/dev/compute/currentImageTag"
    assert IDENTITY.images_path == "/v3-backend/dev/images/"
    assert IDENTITY.services_path == "/v3-backend/dev/services/"

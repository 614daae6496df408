"""An environment that was destroyed, with its repository, and is deployed again: its parameters name what is gone."""

from __future__ import annotations

import pytest
import typer

import config
from lambdas.aws.ssm import ParameterStore
from lambdas.release.errors import RepositoryNotFound
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.commands.infra_deploy import InfraRequest, deploy
from stepship.errors import CommandError
from stepship.infra.images import gone
from stepship.infra.tools import Tools
from tests.stepship.infra_environment import FakeCdk, session_in, statuses

IDENTITY = config.load("dev").identity
API, TAG = f"{IDENTITY.images_path}api", IDENTITY.tag_parameter
GONE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend@sha256:{'0' * 64}"
HERE = GONE.replace("0" * 64, "1" * 64)


@pytest.fixture
def left(simulated: SimulatedEnvironment) -> ParameterStore:
    parameters = ParameterStore()
    parameters.put(API, GONE)
    parameters.put(TAG, "v1")
    return parameters


def test_an_image_that_is_gone_is_found_before_the_first_stack(
    simulated: SimulatedEnvironment, left: ParameterStore, cdk: FakeCdk, tools: Tools
) -> None:
    with pytest.raises(CommandError, match=f"delete-parameters --names {API}"):
        deploy(session_in(simulated), InfraRequest(), tools)
    assert (cdk.asked, statuses(), left.get([API])) == ([], {}, {API: GONE})


@pytest.mark.parametrize("yes", [True, False])
def test_the_parameters_are_offered_to_be_deleted(
    simulated: SimulatedEnvironment,
    left: ParameterStore,
    tools: Tools,
    yes: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(typer, "confirm", lambda *_args, **_kwargs: yes)
    session = session_in(simulated, asks=True)
    if yes:
        assert deploy(session, InfraRequest(), tools) == 0
    else:
        with pytest.raises(CommandError, match="begin with the placeholder"):
            deploy(session, InfraRequest(), tools)
    assert left.get([API, TAG]) == ({API: None, TAG: None} if yes else {API: GONE, TAG: "v1"})


def test_an_environment_that_stands_is_not_asked(simulated: SimulatedEnvironment, cdk: FakeCdk, tools: Tools) -> None:
    assert deploy(session_in(simulated), InfraRequest(), tools) == 0
    ParameterStore().put(API, GONE)
    assert deploy(session_in(simulated), InfraRequest(), tools) == 0


def exists(repository: str, digest: str) -> bool:
    if repository == "no-such":
        raise RepositoryNotFound(repository)
    return digest in HERE


@pytest.mark.parametrize(
    ("image", "is_gone"),
    [
        (GONE, True),
        (HERE, False),
        (HERE.replace("v3-backend", "no-such"), True),
        (GONE.replace("us-east-1", "eu-west-1"), False),
        (GONE.replace("123456789012", "210987654321"), False),
        ("public.ecr.aws/docker/library/python:3.13-alpine", False),
        (f"ghcr.io/a/b@sha256:{'0' * 64}", False),
        ("", False),
    ],
)
def test_only_an_image_of_the_own_registry_is_judged(image: str, is_gone: bool) -> None:
    found = gone({"/x/images/api": image}, exists, "123456789012", "us-east-1")
    assert found == ({"/x/images/api": image} if is_gone else {})

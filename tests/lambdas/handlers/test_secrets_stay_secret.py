"""No value of a secret or of an environment variable leaves ECS: not in a log, a state, an event, or the table."""

from __future__ import annotations

import json

import pytest

from simulator.images import ImageBehavior
from simulator.world import LOGS, World
from tests.lambdas.handlers.flow import Flow, Json, table_items
from tests.lambdas.handlers.surroundings import DEPLOY, ROLLBACK, change_definition, deployed

CANARY = "canary-6f1d2b"


def plant(world: World) -> None:
    """Put the canary wherever a value may be."""
    secrets, ssm = world.aws.client("secretsmanager"), world.aws.client("ssm")
    arn = secrets.create_secret(Name="v3-backend/dev/canary", SecretString=CANARY)["ARN"]
    ssm.put_parameter(Name="/v3-backend/dev/canary", Value=CANARY, Type="SecureString")
    references = [{"name": "A", "valueFrom": arn}, {"name": "B", "valueFrom": "/v3-backend/dev/canary"}]

    def change(new: Json) -> None:
        new["containerDefinitions"][0]["environment"] = [{"name": "PASSWORD", "value": CANARY}]
        new["containerDefinitions"][0]["secrets"] = references

    for service in ("api", "worker", "scheduler", "migration"):
        change_definition(world, service, change)


@pytest.mark.parametrize(
    ("behavior", "end"),
    [(ImageBehavior(), "Deployed"), (ImageBehavior("crash", logs=("bye",)), "RolledBack")],
    ids=["deployed", "rolled back"],
)
def test_the_value_of_a_secret_is_nowhere_to_be_read(world: World, behavior: ImageBehavior, end: str) -> None:
    plant(world)
    deployed(world, "v0", "zero")
    world.push("v1", behavior)
    flow = Flow(world, DEPLOY, "one")
    assert flow.run_to_end() == end
    back = Flow(world, ROLLBACK, "two")
    back.run_to_end()

    assert world.aws.calls.of("ecs", "RegisterTaskDefinition")[0].params["containerDefinitions"][0]["environment"]
    places = {
        "logs": "".join(LOGS.lines),
        "states": json.dumps([flow.state, flow.results, back.state, back.results]),
        "events": str([call.params for call in world.aws.calls.of("events")]),
        "table": str(table_items(world)),
    }
    assert all(places.values())
    assert [place for place, text in places.items() if CANARY in text] == []


def test_a_step_that_breaks_does_not_log_what_it_had_in_hand(world: World) -> None:
    plant(world)
    world.push("v1")
    flow = Flow(world, DEPLOY).run_to("Register task definitions")
    del flow.state["plan"]["services"]["api"]["family"]
    assert flow.fails().error_type == "TypeError"
    assert "step broke" in "".join(LOGS.lines)
    assert CANARY not in "".join(LOGS.lines)


def test_secrets_are_looked_up_and_never_read(world: World) -> None:
    plant(world)
    deployed(world, "v0", "zero")
    assert world.aws.calls.of("secretsmanager", "GetSecretValue") == []
    asked = [call.params for call in world.aws.calls.of("ssm") if call.operation.startswith("GetParameter")]
    assert asked
    assert not [params for params in asked if params.get("WithDecryption")]

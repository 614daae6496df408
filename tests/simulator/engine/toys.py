"""Small state machines and a table, for the tests of the simulator."""

from collections.abc import Iterator
from typing import Any

import boto3

from simulator.engine.machine import SimulatedAws
from simulator.engine.runs import Run

DONE = {"Type": "Succeed"}


def task(name: str, **fields: Any) -> dict[str, Any]:
    """Return a Task state that invokes a function; without ``Next`` it is the last."""
    state = {"Type": "Task", "Resource": SimulatedAws.function_arn(name), **fields}
    return state if "Next" in state else {**state, "End": True}


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    """Return a definition that starts at the first of its states."""
    return {"StartAt": next(iter(states)), "States": states}


def run_machine(aws: SimulatedAws, definition: dict[str, Any], given: object = None, name: str = "run") -> Run:
    """Deploy a machine, run it once to its end, and return the run."""
    aws.deploy_machine("toy", definition)
    run = aws.start({} if given is None else given, name)
    aws.run_until_idle()
    return run


def simulated(**settings: Any) -> Iterator[SimulatedAws]:
    """Yield a world with a DynamoDB table ``table`` whose key is ``id``."""
    with SimulatedAws(**settings) as aws:
        aws.client("dynamodb").create_table(
            TableName="table",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield aws


def put(key: str, **fields: str) -> None:
    """Write an item, as a handler would: with a plain client."""
    item = {"id": {"S": key}} | {name: {"S": value} for name, value in fields.items()}
    boto3.client("dynamodb").put_item(TableName="table", Item=item)


def keys(aws: SimulatedAws) -> set[str]:
    """Return the keys of all items."""
    return {item["id"]["S"] for item in aws.client("dynamodb").scan(TableName="table")["Items"]}


def put_all(count: int, prefix: str = "") -> None:
    """Write that many items, one call each."""
    for number in range(count):
        put(f"{prefix}{number}")


def history(aws: SimulatedAws, arn: str) -> list[str]:
    """Return the types of the events in an execution's history."""
    return [event["type"] for event in aws.client("stepfunctions").get_execution_history(executionArn=arn)["events"]]


def approval(**fields: Any) -> dict[str, Any]:
    """Return a machine that waits for a task token."""
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token", "input.$": "$"}},
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.error"}],
        "Next": "Done",
        **fields,
    }
    return machine(Approve=state, Caught=DONE, Done=DONE)


def asked(aws: SimulatedAws, definition: dict[str, Any]) -> list[str]:
    """Start a machine that asks for approval; return the list that its tokens go to."""
    tokens: list[str] = []
    aws.functions["ask"] = lambda event, _: tokens.append(event["token"])
    aws.deploy_machine("toy", definition)
    aws.start({"limit": 3600}, "run")
    return tokens

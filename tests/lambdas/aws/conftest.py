"""A simulated account for each test, and a way to make a gateway's calls as a function makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.ecs.backend import installed
from simulator.ecs.context import EcsContext
from simulator.engine.local_lambda import Function
from simulator.engine.machine import SimulatedAws

Inside = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def aws() -> Iterator[SimulatedAws]:
    aws = SimulatedAws()
    with installed(EcsContext(aws.clock)), aws:
        yield aws


@pytest.fixture
def inside(aws: SimulatedAws) -> Inside:
    """Run something inside a Lambda function: its AWS calls are recorded, and faults hit them."""

    def run(act: Callable[[], Any]) -> Any:
        ended: list[Any] = []

        def handle(event: object, context: object) -> None:
            try:
                ended.append((act(), None))
            except Exception as error:  # noqa: BLE001 (raised again below)
                ended.append((None, error))

        aws.functions["probe"] = Function(handle, timeout_seconds=900)
        aws.client("lambda").invoke(FunctionName="probe", Payload="{}")
        result, error = ended[0]
        if error is not None:
            raise error
        return result

    return run

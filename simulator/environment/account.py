"""One AWS account with many environments, which share its quotas, its repository and its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import config
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.quotas import QUOTAS, Quota


@contextmanager
def account(
    environments: int,
    services: Callable[[int], Sequence[SimulatedService]],
    *,
    settings: config.EnvironmentConfig | None = None,
    migration: bool = False,
    quotas: Sequence[Quota] = QUOTAS,
) -> Iterator[list[SimulatedEnvironment]]:
    """Build an account with so many environments, each with its own machine, table, lock and cluster.

    Parameters
    ----------
    services
        What runs in the environment of this number, counted from 0.
    settings
        What all of them are made from; ``config.load("dev")`` when None.
    migration
        Whether they have a migration task.
    """
    base = settings or config.load("dev")
    with ExitStack() as stack:
        worlds: list[SimulatedEnvironment] = []
        for number in range(environments):
            simulated = SimulatedEnvironment(
                services=services(number),
                settings=environment(base, f"e{number:03d}"),
                migration=migration,
                quotas=quotas,
                beside=worlds[0] if worlds else None,
            )
            worlds.append(stack.enter_context(simulated))
        yield worlds


def environment(base: config.EnvironmentConfig, name: str) -> config.EnvironmentConfig:
    """Return another environment's config with the same policies: all that names the environment is renamed."""
    prefix, path = f"{base.app}-{name}", f"{base.app}/{name}/"
    alarms = tuple(alarm.replace(f"{base.app}-{base.environment}", prefix, 1) for alarm in base.circuit_breaker.alarms)
    return replace(
        base,
        environment=name,
        circuit_breaker=replace(base.circuit_breaker, alarms=alarms),
        permissions=replace(
            base.permissions,
            clusters=(prefix,),
            role_path=f"/{path}",
            secret_prefix=path,
            log_group_prefix=f"/{path}",
        ),
    )

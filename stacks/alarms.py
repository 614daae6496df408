"""Which alarms there are, as data: no CDK in here. The dashboard shows them; a test compares them with the stacks."""

from __future__ import annotations

from config import EnvironmentConfig
from stacks.names import Names
from stacks.stages import chosen, parts

ALARMS: dict[str, tuple[str, ...]] = {
    "deployment-coordinator": ("undelivered-events", "unrecovered-executions"),
    "api-service": ("api-5xx", "api-unreachable"),
    "worker-service": ("worker-queue-age", "worker-dead-jobs"),
    "search-service": ("search-memory",),
    "search-lambda": ("search-dead-changes",),
    "api-gateway": ("http-api-5xx",),
}
"""The alarms of each part, as ``Names.alarm`` takes them. Those that target tracking makes for itself are not ours."""


def alarm_names(settings: EnvironmentConfig) -> tuple[str, ...]:
    """Return the names of all alarms that an environment has, in the order of the stages.

    Parameters
    ----------
    settings
        The environment; a part that it has switched off has no alarm.

    Raises
    ------
    stacks.stages.StageError
        The environment has chosen what cannot be deployed.
    """
    names = Names(settings)
    return tuple(names.alarm(each) for part in parts(chosen(settings)) for each in ALARMS.get(part, ()))

"""How a deployment grows with its services, and an account with its environments: ``python -m tools.benchmarks.scale``.

The real state machine and handlers run in the simulator, against the default quotas of the AWS APIs
(``simulator/faults/quotas.py``), in virtual time. Nothing here depends on the machine that runs it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import config
from config.history import MAX_EVENTS, most_events
from lambdas.release.codec import decode
from lambdas.release.plan import Plan, bytes_to_come
from simulator.ecs.images import ImageBehavior
from simulator.engine.runs import Run
from simulator.engine.stepfunctions import MAX_INPUT_BYTES
from simulator.environment.account import account
from simulator.environment.platform import SimulatedService
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.quotas import QUOTAS
from statemachine.events import Event, EventKind
from tools.benchmarks.document import table
from tools.benchmarks.machine import measured_here

COUNTS = (1, 10, 100)
DOLLARS_PER_TRANSITION = 0.025 / 1000
"""AWS Step Functions pricing, Standard workflows, us-east-1."""

WAVES = 2
BROKEN = "broken"
ONE_IN = 10
"""Of the environments that deploy at once, one in so many deploys a release that crashes."""

APPROVAL_HOURS = 10


@dataclass(frozen=True)
class Figures:
    """What the executions of one measurement took, together or at most.

    Attributes
    ----------
    outcomes
        The state in which each ended, each once.
    calls, throttled
        AWS calls that were served, and attempts that a quota refused, of all executions.
    payload_bytes
        The largest input or output of any state.
    planned_bytes
        The most that a plan has made room for (``lambdas.release.plan.check_size``).
    events
        The longest history.
    transitions
        Of all executions.
    seconds
        The longest execution, in virtual time.
    functions
        The most that ran at once.
    told
        Everything that a person reads of a failure: Cause, and records in the history table.
    """

    count: int
    outcomes: tuple[str, ...]
    calls: int
    throttled: int
    payload_bytes: int
    planned_bytes: int
    events: int
    transitions: int
    seconds: float
    functions: int
    told: str

    @property
    def dollars(self) -> float:
        """What Step Functions costs for all of it."""
        return self.transitions * DOLLARS_PER_TRANSITION


def services(count: int) -> list[SimulatedService]:
    """Return services in two waves, with names as long as people give them; the last one's image may be broken."""
    return [SimulatedService(f"billing-service-{n:03d}", wave=1 + n * WAVES // count) for n in range(count)]


def measure_services(count: int, *, settings: config.EnvironmentConfig | None = None) -> tuple[Figures, Figures]:
    """Deploy so many services of one environment, then a release whose last service crashes.

    Returns
    -------
    tuple
        The deploy; the deploy after which all services return.
    """
    there = services(count)
    with SimulatedEnvironment(services=there, settings=settings, quotas=QUOTAS) as simulated:
        simulated.push("v1")
        simulated.push(BROKEN, per_service={there[-1].name: ImageBehavior(outcome="crash")})
        deployed = figures(count, [simulated], [simulated.run({"imageTag": "v1"}, "good")])
        returned = figures(count, [simulated], [simulated.run({"imageTag": BROKEN}, "bad")])
        _require_sound([simulated])
        return deployed, returned


def measure_environments(count: int, *, settings: config.EnvironmentConfig | None = None) -> Figures:
    """Deploy one service in each of so many environments of one account, all in the same moment.

    In every tenth environment it is a release that crashes.
    """
    with account(count, lambda _: services(1), settings=settings) as worlds:
        aws = worlds[0].aws
        worlds[0].push("v1")
        worlds[0].push(BROKEN, ImageBehavior(outcome="crash"))
        at = aws.clock.now() + 1
        runs = []
        for number, simulated in enumerate(worlds):
            tag = BROKEN if number % ONE_IN == ONE_IN - 1 else "v1"
            runs.append(simulated.start({"imageTag": tag}, f"deploy-{number:03d}", at=at))
        aws.run_until_idle()
        _require_sound(worlds)
        return figures(count, worlds, runs)


def measure_longest() -> Figures:
    """Deploy with production's intervals, and let everything take its time: lock, approval, migration, rollouts, bake.

    Another deployment holds the lock for most of the time that this one may wait; a person answers after ten hours;
    the migration and both waves need nearly all of their time; an alarm fires at the end of the bake, and the rollback
    is as slow.
    """
    production = config.load("production")
    slow = replace(
        production,
        image=replace(production.image, scan_required=False),
        approval=replace(production.approval, timeout_seconds=(APPROVAL_HOURS + 1) * 3600),
        machine=replace(production.machine, timeout_seconds=(APPROVAL_HOURS + 6) * 3600),
    )
    start = slow.rollout.timeout_seconds - 2.0 * slow.rollout.poll_seconds - 10
    migration = ImageBehavior(run_seconds=slow.migration.timeout_seconds - 2.0 * slow.migration.poll_seconds)
    there = [SimulatedService("api", wave=1, desired=1), SimulatedService("worker", wave=2, desired=1)]
    with SimulatedEnvironment(services=there, settings=slow, quotas=QUOTAS) as simulated:
        for tag in ("v1", "v2"):
            simulated.push(tag, ImageBehavior(start_seconds=start), per_service={"migration": migration})
        clock = simulated.aws.clock
        first = simulated.start({"imageTag": "v1"}, "first")
        simulated.aws.wait_for(lambda: simulated.asks(first))
        wait = slow.lock.wait_timeout_seconds - 2 * slow.lock.poll_seconds
        second = simulated.start({"imageTag": "v2"}, "longest")
        clock.sleep(wait)
        simulated.reject(first)
        simulated.aws.wait_for(lambda: simulated.asks(second))
        clock.sleep(APPROVAL_HOURS * 3600.0)
        simulated.approve(second)
        simulated.aws.wait_for(lambda: second.state == "Bake")
        clock.sleep(slow.rollout.bake_seconds - 2.0 * slow.rollout.bake_poll_seconds)
        alarm = slow.circuit_breaker.alarms[0]
        simulated.aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="it fires")
        simulated.settle()
        _require_sound([simulated])
        return figures(1, [simulated], [second])


def figures(count: int, worlds: Sequence[SimulatedEnvironment], runs: Sequence[Run]) -> Figures:
    """Read from the account what these executions took.

    Parameters
    ----------
    count
        What was counted: services, or environments.
    runs
        Executions with names of their own.
    """
    aws = worlds[0].aws
    names = {run.name for run in runs}
    calls = [call for call in aws.calls if call.execution in names]
    sizes = [0]
    after_plan = [0]
    running = most = 0
    for event in aws.events:
        running += (event.kind == EventKind.LAMBDA_INVOKED) - (
            event.kind in (EventKind.LAMBDA_RETURNED, EventKind.LAMBDA_FAILED)
        )
        most = max(most, running)
        if event.execution in names and event.kind in (EventKind.STATE_ENTERED, EventKind.STATE_EXITED):
            size = len(str(event.detail.get("input") or event.detail.get("output") or "").encode())
            sizes.append(size)
            if event.state == "Plan" and event.kind == EventKind.STATE_EXITED:
                after_plan.append(_planned_bytes(event, size))
    records = [record for simulated in worlds for record in simulated.table.history(1000)]
    return Figures(
        count=count,
        outcomes=tuple(sorted({run.state for run in runs})),
        calls=sum(call.attempts > call.faults.count(CallAction.THROTTLE) for call in calls),
        throttled=sum(call.faults.count(CallAction.THROTTLE) for call in calls),
        payload_bytes=max(sizes),
        planned_bytes=max(after_plan),
        events=max(len(aws.history(run)) for run in runs),
        transitions=sum(len(run.states) for run in runs),
        seconds=max((run.ended_at or 0.0) - (run.started_at or 0.0) for run in runs),
        functions=most,
        told=json.dumps([[run.cause, run.output] for run in runs]) + "".join(map(repr, records)),
    )


def _planned_bytes(event: Event, state_bytes: int) -> int:
    state = json.loads(str(event.detail["output"]))
    return state_bytes + bytes_to_come(decode(Plan, state["plan"]))


def _require_sound(worlds: Iterable[SimulatedEnvironment]) -> None:
    broken = [violation for simulated in worlds for violation in simulated.violations()]
    if broken:
        raise RuntimeError(f"the invariant does not hold: {broken[0]}")


def section() -> str:
    """Measure, and return the section of ``docs/explanation/benchmarks.md``."""
    begin = time.monotonic()
    pairs = [measure_services(count) for count in COUNTS]
    deployed, returned = [good for good, _ in pairs], [bad for _, bad in pairs]
    environments = [measure_environments(count) for count in COUNTS]
    longest = measure_longest()
    return f"""## Scale

{measured_here(time.monotonic() - begin)}

The real state machine and handlers in the simulator, against the default quotas of the AWS APIs
(`simulator/faults/quotas.py`: RegisterTaskDefinition 20 and 1 a second, PutParameter 3 a second, …), in virtual time.
What is refused is tried again later: none of it reached an outcome, a Cause or the history of deployments, and the
invariant held after each run. `python -m tools.benchmarks.scale` measures it again.

### 1, 10 and 100 services in one environment

A deploy of all services in {WAVES} waves with a migration, then a release whose last service crashes: all go back.

{_services_table(deployed, returned)}

{_chart("AWS calls by services", COUNTS, "calls", [f.calls for f in deployed], [f.calls for f in returned])}

{_chart("Largest payload by services", COUNTS, "KiB", [f.payload_bytes // 1024 for f in deployed])}

AWS allows {MAX_INPUT_BYTES:,} bytes; `Plan` refuses, before anything is written, what would not fit.

### 1, 10 and 100 environments of one account at once

All start in the same moment, one service each, and share the account's quotas.
One in {ONE_IN} deploys a release that crashes.

{_environments_table(environments)}

{_chart("AWS calls by environments", COUNTS, "calls", [f.calls for f in environments])}

{_chart("Longest deployment by environments", COUNTS, "s", [round(f.seconds) for f in environments])}

### History

AWS ends an execution at {MAX_EVENTS:,} events. This is the longest deployment that production's intervals allow, with
{APPROVAL_HOURS} hours until somebody approves: it waits for the lock, migrates, rolls out {WAVES} waves until just
before the deadline, bakes, and goes back when an alarm fires.

{_longest_table(longest)}
"""


def _longest_table(longest: Figures) -> str:
    bound = most_events(config.load("production"))
    rows = [
        ("ended as", ", ".join(longest.outcomes)),
        ("hours", f"{longest.seconds / 3600:.1f}"),
        ("events", f"{longest.events:,}"),
        ("bound that the config check computes for production", f"{bound:,}"),
        ("state transitions", f"{longest.transitions:,}"),
        ("AWS calls", f"{longest.calls:,}"),
    ]
    return table(("the longest deployment", "figure"), rows)


def _services_table(deployed: Sequence[Figures], returned: Sequence[Figures]) -> str:
    rows = [
        [name, str(f.count), *_cells(f)]
        for name, all_of in (("deploy", deployed), ("rollback", returned))
        for f in all_of
    ]
    return table(("", "services", *_COLUMNS), rows)


def _environments_table(measured: Sequence[Figures]) -> str:
    rows = [[str(f.count), *_cells(f), str(f.functions)] for f in measured]
    return table(("environments", *_COLUMNS, "functions at once"), rows)


_COLUMNS = ("calls", "calls each", "refused attempts", "largest payload", "events", "transitions", "virtual s", "$")


def _cells(f: Figures) -> list[str]:
    return [
        f"{f.calls:,}",
        f"{f.calls / f.count:.1f}",
        f"{f.throttled:,}",
        f"{f.payload_bytes:,} B",
        f"{f.events:,}",
        f"{f.transitions:,}",
        f"{f.seconds:.0f}",
        f"{f.dollars:.5f}",
    ]


def _chart(title: str, counts: Sequence[int], unit: str, *lines: Sequence[int]) -> str:
    x = ", ".join(f'"{count}"' for count in counts)
    body = "\n".join(f"    line [{', '.join(map(str, line))}]" for line in lines)
    return f"""```mermaid
xychart-beta
    title "{title}"
    x-axis [{x}]
    y-axis "{unit}"
{body}
```"""


if __name__ == "__main__":
    print(section())

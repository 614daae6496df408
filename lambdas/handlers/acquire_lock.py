"""``Acquire lock``: one deployment at a time; busy is a verdict, not an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aws_lambda_powertools import Logger

from lambdas.aws.executions import ExecutionFacts, machine_of
from lambdas.completion import refuse_recorded
from lambdas.dependencies import Dependencies
from lambdas.handler import Handler, Invocation
from lambdas.release.errors import Throttled
from lambdas.release.lock import LEASE_MARGIN_SECONDS, Claim, Kind, Lock, LockDecision, LockTry, claim_of, decide_lock
from lambdas.release.policies import LockPolicy, MachinePolicy
from lambdas.release.recovery import (
    RECOVERY_TRIES,
    REQUESTED_BY,
    ended_by_itself,
    may_run,
    recovery_input,
    recovery_names,
)
from lambdas.release.request import STOPPED_EXECUTION
from lambdas.release.results import LockResult
from lambdas.release.verdicts import LockStatus

TRIES = 5
"""How often a lost race for the item is run again at once."""


def acquire_lock(call: Invocation, dependencies: Dependencies, logger: Logger) -> LockResult:
    """Try once to get the lock.

    Raises
    ------
    LockTimeout, RecoveryRefused, UnfinishedRollback
    AlreadyRecorded
        This execution was stopped, somebody else recorded what became of it, and it was redriven.
    """
    for _ in range(TRIES):
        lock = dependencies.releases.read_lock()
        facts = _facts(lock, call, dependencies)
        me = facts[call.execution]
        if me is not None and me.was_redriven(call.entered_at):
            refuse_recorded(call, dependencies, me)
        attempt = _attempt(lock, call, dependencies, facts)
        decision = decide_lock(lock, attempt)
        if decision.lock is None or dependencies.releases.swap_lock(lock, decision.lock):
            logger.info("lock", status=decision.status, reason=decision.reason)
            waits = decision.status == LockStatus.BUSY and attempt.running[call.execution]
            if waits and attempt.claim.kind == Kind.ROLLBACK and lock.owner:
                _end_open_question(lock.owner.execution, call, dependencies, logger)
            if decision.recover:
                decision = replace(decision, reason=_start_recovery(decision.recover, call, dependencies, logger))
            return _result(decision, lock.token)
    raise Throttled(f"the lock item changed {TRIES} times while it was read")


def _facts(lock: Lock, call: Invocation, dependencies: Dependencies) -> dict[str, ExecutionFacts | None]:
    """Ask Step Functions about everybody that the lock names, about whom to recover from, and about this execution."""
    takeover = call.request.takeover
    asked = {call.execution, *lock.executions, *([takeover] if takeover else [])}
    return {execution: dependencies.executions.describe(execution) for execution in sorted(asked)}


def _attempt(
    lock: Lock, call: Invocation, dependencies: Dependencies, facts: Mapping[str, ExecutionFacts | None]
) -> LockTry:
    policy, longest = dependencies.policy(LockPolicy), dependencies.policy(MachinePolicy).timeout_seconds
    claim = claim_of(call.request, call.execution, call.started_at, call.state.pushed_image)
    now, takeover = dependencies.clock.now(), call.request.takeover
    started = {each.execution: each.started_at for each in (*lock.claims, claim) if each.is_execution}
    # Lambda may run a function once more, after its execution has ended.
    me, stopped = facts[call.execution], facts.get(takeover or "")
    return LockTry(
        claim=claim,
        takeover=takeover,
        running={each: may_run(_status(facts[each]), now - at, longest) for each, at in started.items()},
        now=now,
        lease_seconds=call.remaining_seconds + LEASE_MARGIN_SECONDS,
        wait_timeout_seconds=policy.wait_timeout_seconds,
        poll_seconds=policy.poll_seconds,
        may_take_over_journal=call.request.force and not call.request.services,
        takeover_ended=ended_by_itself(stopped.status, stopped.error) if stopped else None,
        told_of_end=call.request.requested_by in (STOPPED_EXECUTION, REQUESTED_BY),
        redriven=me is not None and me.was_redriven(call.entered_at),
    )


def _status(facts: ExecutionFacts | None) -> str | None:
    return facts.status if facts else None


def _start_recovery(holder: Claim, call: Invocation, dependencies: Dependencies, logger: Logger) -> str:
    """Start the recovery from a dead holder of whose end no event has told; returns what is being waited for."""
    for name in recovery_names(holder.name):
        if dependencies.executions.start(machine_of(call.execution), name, recovery_input(holder.execution)):
            logger.info("recovery started", execution=holder.execution, recovery=name)
            return f"{holder.name} was stopped; {name} rolls it back first"
    return (
        f"{holder.name} was stopped, and {RECOVERY_TRIES} recoveries have ended without rolling it back: run a rollback"
    )


def _end_open_question(holder: str, call: Invocation, dependencies: Dependencies, logger: Logger) -> None:
    """End the question for approval of a deploy that a rollback waits for: that deploy has written nothing yet."""
    token = dependencies.releases.approval_token(holder)
    if token and dependencies.executions.refuse(token, call.execution, "a rollback goes before an unanswered question"):
        logger.info("question ended", execution=holder)


def _result(decision: LockDecision, token: int) -> LockResult:
    return LockResult(
        status=decision.status,
        reason=decision.reason,
        token=decision.lock.token if decision.lock else token,
        wait_seconds=decision.wait_seconds,
        inherited=decision.inherited,
        dead_holders=decision.dead_holders,
    )


handler = Handler(acquire_lock)

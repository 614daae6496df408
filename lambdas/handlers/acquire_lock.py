"""``Acquire lock``: one deployment at a time; busy is a verdict, not an error."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import LEASE_MARGIN_SECONDS, Handler, Invocation
from lambdas.release.errors import Throttled
from lambdas.release.lock import Kind, LockDecision, LockTry, claim_of, decide_lock
from lambdas.release.policies import LockPolicy
from lambdas.release.results import LockResult
from lambdas.release.verdicts import LockStatus

TRIES = 5
"""How often a lost race for the item is run again at once."""


def acquire_lock(call: Invocation, dependencies: Dependencies, logger: Logger) -> LockResult:
    """Try once to get the lock.

    Raises
    ------
    LockTimeout, RecoveryRefused, UnfinishedRollback
    """
    policy = dependencies.policy(LockPolicy)
    claim = claim_of(call.request, call.execution, call.started_at)
    for _ in range(TRIES):
        lock = dependencies.releases.read_lock()
        # This one too: Lambda may run a function once more, after its execution has ended.
        executions = {call.execution, *lock.executions}
        now = dependencies.clock.now()
        decision = decide_lock(
            lock,
            LockTry(
                claim=claim,
                takeover=call.request.takeover,
                running={execution: dependencies.executions.is_running(execution) for execution in sorted(executions)},
                now=now,
                lease_seconds=call.remaining_seconds + LEASE_MARGIN_SECONDS,
                wait_timeout_seconds=policy.wait_timeout_seconds,
                poll_seconds=policy.poll_seconds,
                may_take_over_journal=call.request.force and not call.request.services,
            ),
        )
        if decision.lock is None or dependencies.releases.swap_lock(lock, decision.lock):
            logger.info("lock", status=decision.status, reason=decision.reason)
            if decision.status == LockStatus.BUSY and claim.kind == Kind.ROLLBACK and lock.owner:
                _end_open_question(lock.owner.execution, call, dependencies, logger)
            return _result(decision, lock.token)
    raise Throttled(f"the lock item changed {TRIES} times while it was read")


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

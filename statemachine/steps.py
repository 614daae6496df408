"""The steps as data: read by the construct that deploys them and by the simulator that runs them.

Nothing here imports the CDK, so the simulator needs no Node and no synthesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from lambdas.settings import dump_identity, dump_policy


@dataclass(frozen=True)
class Step:
    """One Task state and the Lambda function behind it.

    Attributes
    ----------
    state
        The state's name, as a person reads it in the console.
    handler
        The module in ``lambdas/handlers``.
    key
        Under which the execution's state keeps the result, such as ``lock`` for ``$.lock``; empty for the first
        step, whose result is the whole state (``lambdas/release/results.py``).
    timeout_seconds
        The function's timeout. It bounds how long a stopped execution can still write, and so the
        lease of the lock (docs/explanation/decisions/0003-lease-outlives-the-last-write.md).
    policies
        The sections of the config that the function reads.
    """

    state: str
    handler: str
    key: str
    timeout_seconds: int
    policies: tuple[type[Policy], ...] = ()

    @property
    def result_path(self) -> str:
        """Where the state machine keeps the result: ``$.lock``."""
        return f"$.{self.key}" if self.key else "$"

    @property
    def slug(self) -> str:
        """The last part of the function's name: ``verify-image``."""
        return self.handler.replace("_", "-")

    @property
    def entry_point(self) -> str:
        """The handler as Lambda names it: ``lambdas.handlers.verify_image.handler``."""
        return f"lambdas.handlers.{self.handler}.handler"

    def function_name(self, identity: Identity) -> str:
        """The function's name in an environment: ``v3-backend-dev-verify-image``."""
        return f"{identity.app}-{identity.environment}-{self.slug}"

    def environment(self, identity: Identity, policies: Mapping[type[Policy], Policy]) -> dict[str, str]:
        """Return the function's environment variables."""
        return {
            **dump_identity(identity),
            "POWERTOOLS_SERVICE_NAME": self.slug,
            "POWERTOOLS_METRICS_NAMESPACE": "Stepship",
            **{name: value for kind in self.policies for name, value in dump_policy(policies[kind]).items()},
        }


VERIFY_IMAGE = Step("Verify image", "verify_image", "", 60, (ImagePolicy,))
ACQUIRE_LOCK = Step("Acquire lock", "acquire_lock", "lock", 30, (LockPolicy, MachinePolicy))
PLAN = Step(
    "Plan",
    "plan",
    "plan",
    120,
    (RolloutPolicy, CircuitBreakerPolicy, MigrationPolicy, ApprovalPolicy, FreezePolicy, RolePolicy),
)
REQUEST_APPROVAL = Step("Wait for approval", "request_approval", "approval", 30)
UPDATE_IMAGE_TAG = Step("Update image tag", "update_image_tag", "tag", 60, (ApprovalPolicy, FreezePolicy))
REGISTER_TASK_DEFINITIONS = Step("Register task definitions", "register_task_definitions", "registered", 120)
RUN_MIGRATION = Step("Run migration", "run_migration", "migration", 60)
DEPLOY_WAVE = Step("Deploy wave", "deploy_wave", "wave", 60)
CHECK_ROLLOUT = Step("Check rollout", "check_rollout", "rollout", 60)
CHECK_HEALTH = Step("Check health", "check_health", "health", 60)
COMPLETE = Step("Complete", "complete", "report", 60)
ROLL_BACK = Step("Roll back", "roll_back", "rollback", 60)
CHECK_ROLLBACK = Step("Check rollback", "check_rollback", "restored", 60)
RECORD_FAILURE = Step("Record failure", "record_failure", "report", 60)
RECORD_OUTCOME = Step("Record outcome", "record_outcome", "report", 60)

STEPS: tuple[Step, ...] = (
    VERIFY_IMAGE,
    ACQUIRE_LOCK,
    PLAN,
    REQUEST_APPROVAL,
    UPDATE_IMAGE_TAG,
    REGISTER_TASK_DEFINITIONS,
    RUN_MIGRATION,
    DEPLOY_WAVE,
    CHECK_ROLLOUT,
    CHECK_HEALTH,
    COMPLETE,
    ROLL_BACK,
    CHECK_ROLLBACK,
    RECORD_FAILURE,
    RECORD_OUTCOME,
)
"""All steps, in the order of the diagram."""


def machine_name(identity: Identity) -> str:
    """The state machine's name: ``v3-backend-dev-deploy``."""
    return f"{identity.app}-{identity.environment}-deploy"

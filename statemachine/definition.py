"""The flow of a deployment as a CDK chain, read top to bottom like the diagram in README.md.

JSONPath without variables: every state keeps its input and adds one key of its own. The first state is
the exception: it replaces the input by the validated request, because an execution may be started with
any JSON, and only an object can get a key added (docs/explanation/decisions/0002-first-state-replaces-the-input.md).

Every retry is written here. Steps are idempotent, so a function that died half-way is simply run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lambdas.release import errors
from lambdas.release.history import Outcome
from lambdas.release.verdicts import HealthStatus, LockStatus, MigrationStatus, RollbackStatus, Status
from statemachine import steps
from statemachine.steps import Step

SCAN_POLL_SECONDS = 15
"""Time between two looks at an image scan; ECR's basic scan takes seconds to a few minutes."""

QUEUE_SECONDS = 15
"""What a state may take beyond its function's timeout: a cold start, and Lambda's own queueing."""

SERVICE_ERRORS = [
    # Step Functions Developer Guide, "Handle transient Lambda service exceptions".
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
]
THROTTLED_TRIES = 20
LAST_TRIES = 3
"""Tries after the first, 5, 10 and 20 seconds later: somebody may be repairing a permission at this moment."""

FUNCTION_DIED = ["Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError", "States.Timeout"]


BEFORE_THE_FIRST_WRITE = (errors.PlanStale, errors.ApprovalRejected, errors.DeploysPaused, errors.Frozen)
"""What `Update image tag` refuses before it has written anything: there is nothing to roll back."""


def names(*classes: type[errors.StepshipError]) -> list[str]:
    """Return the names under which Step Functions sees these errors."""
    return [error.__name__ for error in classes]


def deployment_flow(
    scope: Construct, functions: Mapping[Step, lambda_.IFunction], *, scan_wait_seconds: int
) -> sfn.IChainable:
    """Build the flow.

    Parameters
    ----------
    scope
        The construct that owns the states.
    functions
        The Lambda function of every step.
    scan_wait_seconds
        How long ``Verify image`` waits for a running image scan.

    Returns
    -------
    aws_cdk.aws_stepfunctions.IChainable
        The first state, with all others reachable from it.
    """

    def task(step: Step, *, with_input: bool = False) -> tasks.LambdaInvoke:
        state = tasks.LambdaInvoke(
            scope,
            step.state,
            lambda_function=functions[step],
            payload=sfn.TaskInput.from_object(_payload(with_input=with_input)),
            payload_response_only=True,
            result_path=step.result_path,
            task_timeout=sfn.Timeout.duration(cdk.Duration.seconds(step.timeout_seconds + QUEUE_SECONDS)),
            retry_on_service_exceptions=False,
        )
        _retry_transient(state)
        _retry_dead_function(state, FUNCTION_DIED)
        return state

    def wait(name: str, seconds_path: str) -> sfn.Wait:
        return sfn.Wait(scope, name, time=sfn.WaitTime.seconds_path(seconds_path))

    def fail(outcome: Outcome) -> sfn.Fail:
        return sfn.Fail(scope, str(outcome), error=str(outcome), cause_path="States.JsonToString($.report)")

    def succeed(outcome: Outcome) -> sfn.Succeed:
        return sfn.Succeed(scope, str(outcome), output_path="$.report")

    def choice(name: str) -> sfn.Choice:
        return sfn.Choice(scope, name)

    # Before the first write.
    verify_image = task(steps.VERIFY_IMAGE, with_input=True)
    verify_image.add_retry(
        errors=names(errors.ScanInProgress),
        interval=cdk.Duration.seconds(SCAN_POLL_SECONDS),
        backoff_rate=1,
        max_attempts=max(1, scan_wait_seconds // SCAN_POLL_SECONDS),
    )
    acquire_lock = task(steps.ACQUIRE_LOCK)
    plan = task(steps.PLAN)
    wait_for_approval = tasks.LambdaInvoke(
        scope,
        steps.REQUEST_APPROVAL.state,
        lambda_function=functions[steps.REQUEST_APPROVAL],
        integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
        payload=sfn.TaskInput.from_object({**_payload(), "taskToken": sfn.JsonPath.task_token}),
        result_path=steps.REQUEST_APPROVAL.result_path,
        task_timeout=sfn.Timeout.at("$.plan.approval.timeoutSeconds"),
        retry_on_service_exceptions=False,
    )
    _retry_transient(wait_for_approval)
    # Not `States.Timeout`: here it means that nobody answered.
    _retry_dead_function(wait_for_approval, [name for name in FUNCTION_DIED if name != "States.Timeout"])

    # From the first write on.
    update_image_tag = task(steps.UPDATE_IMAGE_TAG)
    register = task(steps.REGISTER_TASK_DEFINITIONS)
    run_migration = task(steps.RUN_MIGRATION)
    deploy_wave = task(steps.DEPLOY_WAVE)
    check_rollout = task(steps.CHECK_ROLLOUT)
    check_health = task(steps.CHECK_HEALTH)
    complete = task(steps.COMPLETE)

    # Rolling back, and the last words.
    roll_back = task(steps.ROLL_BACK)
    check_rollback = task(steps.CHECK_ROLLBACK)
    record_failure = task(steps.RECORD_FAILURE)
    record_outcome = task(steps.RECORD_OUTCOME, with_input=True)

    # The flow.
    wait_for_lock = wait("Wait for lock", "$.lock.waitSeconds")
    wait_for_migration = wait("Wait for migration", "$.plan.migration.pollSeconds")
    wait_for_rollout = wait("Wait for rollout", "$.plan.rollout.pollSeconds")
    bake = wait("Bake", "$.plan.rollout.bakePollSeconds")
    wait_for_rollback = wait("Wait for rollback", "$.plan.rollout.pollSeconds")
    approval_needed = choice("Approval needed?")
    dry_run = choice("Dry run?")
    migration_needed = choice("Migration needed?")
    more_waves = choice("More waves?")
    outcome = choice("Outcome?")
    deployed = succeed(Outcome.DEPLOYED)
    rejected = fail(Outcome.REJECTED)
    rollback_failed = fail(Outcome.ROLLBACK_FAILED)

    verify_image.next(acquire_lock).next(
        choice("Lock held?")
        .when(_is("$.lock.status", LockStatus.HELD), plan)
        .when(_is("$.lock.status", LockStatus.BUSY), wait_for_lock.next(acquire_lock))
        .otherwise(record_outcome)
    )
    plan.next(choice("Nothing to do?").when(_yes("$.plan.nothingToDo"), record_outcome).otherwise(dry_run))
    dry_run.when(_yes("$.request.dryRun"), record_outcome).otherwise(approval_needed)
    approval_needed.when(_yes("$.plan.approval.required"), wait_for_approval.next(update_image_tag)).otherwise(
        update_image_tag
    )

    update_image_tag.next(register).next(migration_needed)
    migration_needed.when(_yes("$.plan.migration.needed"), run_migration).otherwise(deploy_wave)
    run_migration.next(
        choice("Migration done?")
        .when(_is("$.migration.status", MigrationStatus.SUCCEEDED), deploy_wave)
        .when(_is("$.migration.status", MigrationStatus.RUNNING), wait_for_migration.next(run_migration))
        .otherwise(roll_back)
    )

    deploy_wave.next(wait_for_rollout).next(check_rollout).next(
        choice("Rollout done?")
        .when(_is("$.rollout.status", Status.STEADY), more_waves)
        .when(_is("$.rollout.status", Status.IN_PROGRESS), wait_for_rollout)
        .otherwise(roll_back)
    )
    more_waves.when(_yes("$.rollout.moreWaves"), deploy_wave).otherwise(bake)
    bake.next(check_health).next(
        choice("Healthy?")
        .when(_is("$.health.status", HealthStatus.HEALTHY), complete)
        .when(_is("$.health.status", HealthStatus.BAKING), bake)
        .otherwise(roll_back)
    )
    complete.next(deployed)

    roll_back.next(wait_for_rollback).next(check_rollback).next(
        choice("Rolled back?")
        .when(_is("$.restored.status", RollbackStatus.STEADY), record_failure)
        .when(_is("$.restored.status", RollbackStatus.NEXT_WAVE), roll_back)
        .otherwise(wait_for_rollback)
    )
    record_failure.next(
        choice("Rollback outcome?")
        .when(_is("$.report.outcome", Outcome.ROLLED_BACK), fail(Outcome.ROLLED_BACK))
        # `Complete` had taken effect and only its answer was lost.
        .when(_is("$.report.outcome", Outcome.DEPLOYED), deployed)
        # It was stopped, another execution has taken its work over, and it was redriven.
        .when(_is("$.report.outcome", Outcome.REJECTED), rejected)
        .otherwise(rollback_failed)
    )
    record_outcome.next(
        outcome.when(_is("$.report.outcome", Outcome.NOTHING_TO_DO), succeed(Outcome.NOTHING_TO_DO))
        .when(_is("$.report.outcome", Outcome.PLANNED), succeed(Outcome.PLANNED))
        .when(_is("$.report.outcome", Outcome.SUPERSEDED), succeed(Outcome.SUPERSEDED))
        # A recovery that could not begin.
        .when(_is("$.report.outcome", Outcome.ROLLBACK_FAILED), rollback_failed)
        .otherwise(rejected)
    )

    # The ways out of it. A state's error is kept under the key of its own, and no error goes nowhere.
    verify_image.add_catch(record_outcome, result_path="$")
    _catch_all([acquire_lock, plan, wait_for_approval], record_outcome)
    update_image_tag.add_catch(record_outcome, errors=names(*BEFORE_THE_FIRST_WRITE), result_path="$.error")
    _retry_whatever(roll_back, but_not=(errors.LeaseLost, errors.NothingToReturnTo))
    for state in (check_rollback, record_failure, record_outcome):
        _retry_whatever(state)
    # The steps that write. One that only looks renews no lease, and so cannot lose it.
    for state in (update_image_tag, register, run_migration, deploy_wave, complete):
        state.add_catch(record_failure, errors=names(errors.LeaseLost), result_path="$.error")
    _catch_all(
        [update_image_tag, register, run_migration, deploy_wave, check_rollout, check_health, complete], roll_back
    )
    roll_back.add_catch(record_failure, result_path="$.rollbackError")
    check_rollback.add_catch(record_failure, result_path="$.rollbackError")
    record_failure.add_catch(
        _unreported(scope, "Failure not recorded", Outcome.ROLLBACK_FAILED, "Record failure").next(rollback_failed),
        result_path="$.reportError",
    )
    record_outcome.add_catch(
        _unreported(scope, "Outcome not recorded", Outcome.REJECTED, "Record outcome").next(rejected),
        result_path="$.reportError",
    )
    return verify_image


def _payload(*, with_input: bool = False) -> dict[str, object]:
    """Return what every function is called with. The raw input travels only where it is needed."""
    execution = {
        "arn": sfn.JsonPath.string_at("$$.Execution.Id"),
        "startedAt": sfn.JsonPath.string_at("$$.Execution.StartTime"),
    }
    if with_input:
        execution["input"] = sfn.JsonPath.string_at("$$.Execution.Input")
    return {
        "execution": execution,
        "step": sfn.JsonPath.string_at("$$.State.Name"),
        "enteredAt": sfn.JsonPath.string_at("$$.State.EnteredTime"),
        "state": sfn.JsonPath.string_at("$"),
    }


def _retry_transient(state: tasks.LambdaInvoke) -> None:
    """Retry what passes by itself: 2 s, 4 s, 8 s, … at most 30 s apart, each with full jitter.

    A quota is shared by all that happens in the account, so being throttled takes as long as others need, and is no
    reason to fail. Worked example: 100 environments at once register 400 task definitions, at one a second, in seven
    minutes. A function of 60 s waits for 50 s of them; 20 tries, the later ones 30 s apart on average, are 25 minutes.
    """
    state.add_retry(
        errors=[*names(errors.AwsUnavailable), *SERVICE_ERRORS],
        interval=cdk.Duration.seconds(2),
        backoff_rate=2,
        max_delay=cdk.Duration.seconds(30),
        max_attempts=6,
        jitter_strategy=sfn.JitterType.FULL,
    )
    state.add_retry(
        errors=[*names(errors.Throttled), "Lambda.TooManyRequestsException"],
        interval=cdk.Duration.seconds(2),
        backoff_rate=2,
        max_delay=cdk.Duration.seconds(60),
        max_attempts=THROTTLED_TRIES,
        jitter_strategy=sfn.JitterType.FULL,
    )


def _retry_dead_function(state: tasks.LambdaInvoke, errors_of_death: list[str]) -> None:
    """Run a step again whose function died on its way: it finds what it had done, and goes on from there."""
    state.add_retry(
        errors=errors_of_death,
        interval=cdk.Duration.seconds(5),
        backoff_rate=2,
        max_attempts=2,
        jitter_strategy=sfn.JitterType.FULL,
    )


def _retry_whatever(state: tasks.LambdaInvoke, *, but_not: Sequence[type[errors.StepshipError]] = ()) -> None:
    """Try a step of the rollback again, whatever it failed of: giving up is the worst that it can do.

    ``but_not`` are the errors of this step that trying again never helps.
    """
    if but_not:
        state.add_retry(errors=names(*but_not), max_attempts=0)
    state.add_retry(errors=["States.ALL"], interval=cdk.Duration.seconds(5), backoff_rate=2, max_attempts=LAST_TRIES)


def _catch_all(states: Sequence[tasks.LambdaInvoke], handler: sfn.IChainable) -> None:
    for state in states:
        state.add_catch(handler, errors=["States.ALL"], result_path="$.error")


def _unreported(scope: Construct, name: str, outcome: Outcome, step: str) -> sfn.Pass:
    """Stand in for the report of a last step that could not write one."""
    return sfn.Pass(
        scope,
        name,
        parameters={
            "outcome": str(outcome),
            "step": step,
            "errorType": sfn.JsonPath.string_at("$.reportError.Error"),
            "message": sfn.JsonPath.string_at("$.reportError.Cause"),
            # The CDK leaves out a plain null.
            "explanation": sfn.JsonPath.string_to_json("null"),
            "release": sfn.JsonPath.string_to_json("null"),
        },
        result_path="$.report",
    )


def _is(path: str, value: StrEnum) -> sfn.Condition:
    return sfn.Condition.string_equals(path, str(value))


def _yes(path: str) -> sfn.Condition:
    return sfn.Condition.boolean_equals(path, True)

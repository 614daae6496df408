"""An execution that a test walks by hand, state by state, through the committed definition.

The functions are invoked as Step Functions invokes them (the payload, the result path, the retries and the
catches are those of ``statemachine/deployment.asl.json``), but a test may stop before any state, break something,
and call a step as often as it likes. A real execution, which only waits, stands behind it: so Step Functions says
RUNNING when another deployment asks whether it lives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from simulator.engine.runs import Run
from simulator.environment.simulated_environment import DEFINITION_FILE, SimulatedEnvironment
from simulator.faults.api_call import ApiCall
from statemachine.steps import STEPS, machine_name

Json = dict[str, Any]

DEFINITION: Json = json.loads(DEFINITION_FILE.read_text())
STATES: Json = DEFINITION["States"]
FUNCTION_OF = {step.state: step for step in STEPS}
MAX_STATES = 400
TOKEN = "task-token-1"

WRITES = frozenset(
    {
        "DeleteParameter",
        "PutEvents",
        "PutItem",
        "PutParameter",
        "RegisterTaskDefinition",
        "RunTask",
        "StopTask",
        "TransactWriteItems",
        "UpdateItem",
        "UpdateService",
    }
)
"""Everything else that handlers call only reads."""


class StepError(Exception):
    """A function failed: what Step Functions sees of it."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message


class Flow:
    """One deployment, walked by hand.

    Parameters
    ----------
    request
        The execution input, any JSON.
    """

    def __init__(self, simulated: SimulatedEnvironment, request: object, name: str = "one") -> None:
        waits = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 10_000_000, "End": True}}}
        machine = simulated.aws.deploy_machine(machine_name(simulated.identity), waits)
        self.simulated = simulated
        self.request = request
        self.execution: Run = simulated.aws.start(request, name, machine=machine)
        self.started_at = self.entered_at = simulated.aws.clock.now()
        self.at: str = DEFINITION["StartAt"]
        self.state: Any = request
        self.retried: list[str] = []
        self.results: list[Json] = []

    @property
    def arn(self) -> str:
        return self.execution.arn

    @property
    def ended(self) -> bool:
        return STATES[self.at]["Type"] in ("Succeed", "Fail")

    def wait(self, seconds: float) -> None:
        self.simulated.aws.clock.sleep(seconds)

    # --- walking

    def run_to(self, *states: str) -> Flow:
        """Walk until one of the states is next; fails when the execution ends somewhere else."""
        for _ in range(MAX_STATES):
            if self.at in states:
                return self
            assert not self.ended, f"ended in {self.at}: {self.state.get('report')}"
            self.step()
        raise AssertionError(f"still in {self.at} after {MAX_STATES} states")

    def run_to_end(self) -> str:
        """Walk until the execution ends; returns the name of the end state."""
        while not self.ended:
            self.step()
        return self.at

    def step(self) -> None:
        """Do one state."""
        body = STATES[self.at]
        self.entered_at = self.simulated.aws.clock.now()
        if self.at == "Wait for approval":
            self.answer_approval()
        elif body["Type"] == "Task":
            self._do_task(body)
        elif body["Type"] == "Wait":
            self.wait(_look_up(self.state, body["SecondsPath"]))
            self.at = body["Next"]
        elif body["Type"] == "Choice":
            self.at = next((c["Next"] for c in body["Choices"] if _matches(c, self.state)), body["Default"])
        else:
            raise AssertionError(f"{self.at}: {body['Type']}")

    def call(self, state_name: str | None = None, *, state: object = None) -> Json:
        """Invoke the function of a state, and keep nothing; StepError when it fails."""
        name = state_name or self.at
        event = self.payload(name, state=state)
        function = FUNCTION_OF[name].function_name(self.simulated.identity)
        answer = self.simulated.aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        result: Json = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise StepError(result["errorType"], result["errorMessage"])
        self.results.append(result)
        return result

    def fails(self, state_name: str | None = None, *, state: object = None) -> StepError:
        """Invoke the function of a state and return its error."""
        try:
            result = self.call(state_name, state=state)
        except StepError as error:
            return error
        raise AssertionError(f"{state_name or self.at} did not fail: {result}")

    def payload(self, name: str, *, state: object = None) -> Json:
        """Build what Step Functions would send."""
        context = {
            "$$.Execution.Id": self.arn,
            "$$.Execution.StartTime": _timestamp(self.started_at),
            "$$.Execution.Input": self.request,
            "$$.State.Name": name,
            "$$.State.EnteredTime": _timestamp(self.entered_at),
            "$$.Task.Token": TOKEN,
            "$": self.state if state is None else state,
        }
        parameters = STATES[name]["Parameters"]
        filled: Json = _fill(parameters.get("Payload", parameters), context)
        return filled

    def _do_task(self, body: Json) -> None:
        left = {index: retry["MaxAttempts"] for index, retry in enumerate(body["Retry"])}
        while True:
            try:
                result = self.call()
            except StepError as error:
                index = next((i for i, r in enumerate(body["Retry"]) if error.error_type in r["ErrorEquals"]), -1)
                if left.get(index, 0):
                    left[index] -= 1
                    self.retried.append(error.error_type)
                    self.wait(body["Retry"][index]["IntervalSeconds"])
                    continue
                self.catch(error)
                return
            self._keep(result, body["ResultPath"])
            self.at = body["Next"]
            return

    def catch(self, error: StepError) -> None:
        """Go where the state's Catch leads."""
        cause = {"errorMessage": error.message, "errorType": error.error_type, "stackTrace": []}
        for catch in STATES[self.at]["Catch"]:
            if error.error_type in catch["ErrorEquals"] or "States.ALL" in catch["ErrorEquals"]:
                self._keep({"Error": error.error_type, "Cause": json.dumps(cause)}, catch["ResultPath"])
                self.at = catch["Next"]
                return
        raise AssertionError(f"{self.at} does not catch {error}")

    def _keep(self, result: object, path: str) -> None:
        if path == "$":
            self.state = result
        else:
            self.state = {**self.state, path.removeprefix("$."): result}

    def answer_approval(self) -> None:
        """Ask for the approval and let somebody approve."""
        self.call()
        self.state = {**self.state, "approval": {"approvedBy": "somebody"}}
        self.at = STATES[self.at]["Next"]

    # --- what others do

    def stop(self) -> None:
        """Stop the execution behind it, as a person does in the console."""
        self.simulated.aws.client("stepfunctions").stop_execution(executionArn=self.arn)

    def lose_lock(self) -> None:
        """Let somebody else have taken the lock over."""
        self.simulated.aws.client("dynamodb").update_item(
            TableName=self.simulated.identity.table,
            Key={"pk": {"S": "lock"}, "sk": {"S": "lock"}},
            UpdateExpression="SET holderExecution = :other, holder = :claim ADD #token :one, version :one",
            ExpressionAttributeNames={"#token": "token"},
            ExpressionAttributeValues={
                ":other": {"S": f"{self.arn}-other"},
                ":claim": {"S": json.dumps({"execution": f"{self.arn}-other", "kind": "rollback", "startedAt": 1.0})},
                ":one": {"N": "1"},
            },
        )


def writes(calls: list[ApiCall]) -> list[str]:
    """Return the writing operations among the calls, also those that failed."""
    return [call.operation for call in calls if call.operation in WRITES]


def table_items(simulated: SimulatedEnvironment) -> dict[str, Mapping[str, Any]]:
    """Return every item of the table by ``pk/sk``."""
    items = simulated.aws.client("dynamodb").scan(TableName=simulated.identity.table)["Items"]
    return {f"{item['pk']['S']}/{item['sk']['S']}": item for item in items}


def footprint(simulated: SimulatedEnvironment) -> Json:
    """Return everything that a deployment may have written, so that two moments can be compared.

    Of the lock item lease and version are left out: every try renews them.
    """
    ecs, cluster = simulated.aws.client("ecs"), simulated.platform.cluster
    items = {
        key: {name: value for name, value in item.items() if name not in ("leaseExpiresAt", "version", "expiresAt")}
        for key, item in table_items(simulated).items()
    }
    tasks = [
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in ecs.list_tasks(cluster=cluster, family=f"{cluster}-migration", desiredStatus=status)["taskArns"]
    ]
    names = [f"{cluster}-{service.name}" for service in simulated.platform.services][:10]
    described = ecs.describe_services(cluster=cluster, services=names)["services"] if names else []
    return {
        "items": items,
        "parameters": _parameters(simulated),
        "revisions": ecs.list_task_definitions()["taskDefinitionArns"],
        "migrations": sorted(tasks),
        "services": {
            each["serviceName"]: sorted(
                (d["id"], d["taskDefinition"]) for d in each["deployments"] if d["status"] == "PRIMARY"
            )
            for each in described
        },
    }


def _parameters(simulated: SimulatedEnvironment) -> dict[str, tuple[str, int]]:
    client = simulated.aws.client("ssm")
    found: dict[str, tuple[str, int]] = {}
    token: dict[str, str] = {}
    while True:
        page = client.get_parameters_by_path(Path="/", Recursive=True, **token)
        found.update({each["Name"]: (each["Value"], each["Version"]) for each in page["Parameters"]})
        if not page.get("NextToken"):
            return found
        token = {"NextToken": page["NextToken"]}


def _look_up(state: Any, path: str) -> Any:
    for part in path.removeprefix("$").split("."):
        if part:
            state = state[part]
    return state


def _matches(rule: Mapping[str, Any], state: Any) -> bool:
    expected = rule["StringEquals"] if "StringEquals" in rule else rule["BooleanEquals"]
    return bool(_look_up(state, rule["Variable"]) == expected)


def _timestamp(seconds: float) -> str:
    """Write a time as Step Functions does."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _fill(template: Any, context: Mapping[str, object]) -> Any:
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): context[value] if key.endswith(".$") else _fill(value, context)
        for key, value in template.items()
    }

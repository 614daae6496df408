"""What AWS itself says of the definition and of the policies: ``TestState`` and IAM Access Analyzer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.acceptance.world.surroundings import World

Json = dict[str, Any]

OTHER = "something that no rule knows"
REPORT = {"outcome": "RolledBack", "message": 'a "quoted" word, and a line\nbreak'}

CONTEXT: Json = {
    "Execution": {
        "Id": "arn:aws:states:us-east-1:111122223333:execution:accept:one",
        "Name": "one",
        "Input": {"imageTag": "v1"},
        "StartTime": "2026-11-27T12:00:00Z",
        "RedriveCount": 0,
    },
    "Task": {"Token": "a-token"},
}
"""Of ``$$``: what the definition reads of it."""

SURROUNDINGS: Json = {
    "plan": {
        "approval": {"timeoutSeconds": 60},
        "migration": {"pollSeconds": 1},
        "rollout": {"pollSeconds": 1, "bakePollSeconds": 1},
    },
    "lock": {"waitSeconds": 1},
    "report": REPORT,
    "reportError": {"Error": "Lambda.Unknown", "Cause": "it was killed"},
}
"""What states read of their input: numbers that they wait, and the report that they end with."""

BAD_FINDINGS = ("ERROR", "SECURITY_WARNING")


@dataclass(frozen=True)
class Case:
    """One way out of one state.

    Attributes
    ----------
    state, why
        Which state, and what is tried.
    given
        Its input.
    mock
        What its task answers, or fails with.
    tries
        How often the retrier has tried before.
    expected
        Of the answer of TestState: its keys with their values.
    """

    state: str
    why: str
    expected: Json
    given: Json = field(default_factory=lambda: SURROUNDINGS)
    mock: Json | None = None
    tries: int = 0


def cases(definition: Mapping[str, Any]) -> Iterator[Case]:
    """Yield a case for each rule of each Choice, each name of each Catch, and each intrinsic."""
    kinds = {"Choice": _choice, "Task": _task, "Fail": _fail, "Pass": _pass, "Wait": _plain, "Succeed": _succeed}
    for name, state in definition["States"].items():
        yield from kinds[state["Type"]](name, state)


def retries(definition: Mapping[str, Any]) -> Iterator[Case]:
    """Yield a case for each name of each Retry: the first failure is tried again."""
    for name, state in definition["States"].items():
        for retrier in state.get("Retry", ()):
            for error in retrier["ErrorEquals"]:
                yield Case(name, f"{error}, tried again", {"status": "RETRIABLE", "error": error}, mock=_failure(error))


def request(definition: Mapping[str, Any], case: Case) -> Json:
    """Return what TestState is asked."""
    asked: Json = {
        "definition": json.dumps(definition),
        "stateName": case.state,
        "input": json.dumps(case.given),
        "inspectionLevel": "INFO",
        "context": json.dumps({**CONTEXT, "State": {"Name": case.state, "EnteredTime": "2026-11-27T12:00:01Z"}}),
    }
    if case.mock is not None:
        asked["mock"] = {**case.mock, "fieldValidationMode": "NONE"}
        asked["stateConfiguration"] = {"retrierRetryCount": case.tries}
    return asked


def wrong(answer: Mapping[str, Any], case: Case) -> str:
    """Return what is otherwise than expected; empty when nothing is."""
    seen = {key: answer.get(key) for key in case.expected}
    for key in ("output", "cause"):
        if key in seen:
            seen[key] = json.loads(seen[key] or "null")
    return "" if seen == case.expected else f"{case.state}, {case.why}: {seen} and not {case.expected}"


def each_state_goes_where_it_is_drawn(world: World) -> None:
    """Ask TestState about every way out of every state of the machine as it is deployed."""
    _ask(world, cases)


def each_error_is_tried_again(world: World) -> None:
    """Ask TestState about every error that a state has a Retry for."""
    _ask(world, retries)


def _ask(world: World, wanted: Callable[[Mapping[str, Any]], Iterator[Case]]) -> None:
    client = world.cloud.client("stepfunctions")
    definition = json.loads(client.describe_state_machine(stateMachineArn=world.cloud.machine)["definition"])
    problems = [wrong(client.test_state(**request(definition, case)), case) for case in wanted(definition)]
    told = [each for each in problems if each]
    assert told == [], "\n".join(told)


def policies_are_valid(world: World) -> None:
    """Let Access Analyzer read every policy of the coordinator's roles, and who may assume them."""
    iam, analyzer = world.cloud.client("iam"), world.cloud.client("accessanalyzer")
    bad = []
    for role in roles(world):
        trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        documents = [("RESOURCE_POLICY", trust, {"validatePolicyResourceType": "AWS::IAM::AssumeRolePolicyDocument"})]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            documents.append(("IDENTITY_POLICY", document, {}))
        for kind, document, more in documents:
            asked = {"policyDocument": json.dumps(document), "policyType": kind, **more}
            for page in analyzer.get_paginator("validate_policy").paginate(**asked):
                bad += [
                    f"{role}: {each['issueCode']}: {each['findingDetails']}"
                    for each in page["findings"]
                    if each["findingType"] in BAD_FINDINGS
                ]
    assert bad == [], "\n".join(bad)


def roles(world: World) -> list[str]:
    """Return the names of the roles of the coordinator's stack."""
    pages = world.cloud.client("cloudformation").get_paginator("list_stack_resources")
    return [
        each["PhysicalResourceId"]
        for page in pages.paginate(StackName=world.coordinator)
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::IAM::Role"
    ]


def _choice(name: str, state: Mapping[str, Any]) -> Iterator[Case]:
    for rule in state["Choices"]:
        (comparison,) = (key for key in rule if key not in ("Variable", "Next"))
        given = _with(rule["Variable"], rule[comparison])
        yield Case(name, f"{rule['Variable']} is {rule[comparison]!r}", _on(rule["Next"]), given)
    given = SURROUNDINGS
    for rule in state["Choices"]:
        given = _with(rule["Variable"], False if "BooleanEquals" in rule else OTHER, given)
    yield Case(name, "no rule fits", _on(state["Default"]), given)


def _task(name: str, state: Mapping[str, Any]) -> Iterator[Case]:
    yield Case(name, "it answers", _on(state["Next"]), mock={"result": json.dumps(SURROUNDINGS)})
    for catcher in state.get("Catch", ()):
        for error in catcher["ErrorEquals"]:
            plain = "SomethingElse" if error == "States.ALL" else error
            expected = {"status": "CAUGHT_ERROR", "nextState": catcher["Next"]}
            yield Case(name, f"{error} is caught", expected, mock=_failure(plain), tries=_tries(state, plain))


def _fail(name: str, state: Mapping[str, Any]) -> Iterator[Case]:
    yield Case(name, state["CausePath"], {"status": "FAILED", "error": state["Error"], "cause": REPORT})


def _pass(name: str, state: Mapping[str, Any]) -> Iterator[Case]:
    fixed = {key: value for key, value in state["Parameters"].items() if not key.endswith(".$")}
    report = {
        **fixed,
        "errorType": SURROUNDINGS["reportError"]["Error"],
        "message": SURROUNDINGS["reportError"]["Cause"],
        "explanation": None,
        "release": None,
    }
    yield Case(name, "its intrinsics", {**_on(state["Next"]), "output": {**SURROUNDINGS, "report": report}})


def _plain(name: str, state: Mapping[str, Any]) -> Iterator[Case]:
    yield Case(name, "it is over", _on(state["Next"]))


def _succeed(name: str, state: Mapping[str, Any]) -> Iterator[Case]:
    given = _with(state.get("OutputPath", "$"), REPORT) if state.get("OutputPath", "$") != "$" else SURROUNDINGS
    yield Case(name, "it is reached", {"status": "SUCCEEDED"}, given)


def _on(state: str) -> Json:
    return {"status": "SUCCEEDED", "nextState": state}


def _failure(error: str) -> Json:
    return {"errorOutput": {"error": error, "cause": "as it was told to"}}


def _tries(state: Mapping[str, Any], error: str) -> int:
    """Return after how many tries the retrier of an error has given up."""
    fitting = (each for each in state.get("Retry", ()) if error in each["ErrorEquals"])
    return next((int(each.get("MaxAttempts", 3)) for each in fitting), 0)


def _with(path: str, value: Any, given: Json | None = None) -> Json:
    """Return an input that has a value at a path of members, ``$.plan.nothingToDo``."""
    copied: Json = json.loads(json.dumps(SURROUNDINGS if given is None else given))
    *parents, last = path.removeprefix("$.").split(".")
    at = copied
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    return copied

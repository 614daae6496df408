"""Who watches the simulated account and notes what IAM would have been asked for every call of every handler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.engine.runs import Run
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.scenario.play import Scenario, Step
from statemachine.events import Event
from tests.least_privilege.policies import Role, arn
from tests.least_privilege.requests import IamRequest, requests_of, requests_of_runtime


class SimulatedAccount:
    """Looks up in the simulated AWS what a request's ARNs need.

    Parameters
    ----------
    world
        The environment.
    """

    def __init__(self, simulated: SimulatedEnvironment) -> None:
        self._client = simulated.aws.client

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the simulated account and region."""
        return arn(service, resource)

    def role(self, name: str) -> str:
        """Return the ARN of a role."""
        iam = self._client("iam")
        try:
            return str(iam.get_role(RoleName=name)["Role"]["Arn"])
        except iam.exceptions.NoSuchEntityException:
            return f"arn:aws:iam::123456789012:role/{name}"

    def secret(self, name: str) -> str:
        """Return the ARN of a secret; as it was asked for when there is none."""
        secrets = self._client("secretsmanager")
        try:
            return str(secrets.describe_secret(SecretId=name)["ARN"])
        except secrets.exceptions.ResourceNotFoundException:
            return name if name.startswith("arn:") else arn("secretsmanager", f"secret:{name}")

    def task_definition(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return a revision's ARN and its roles."""
        found = self._client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]
        roles = (found.get("taskRoleArn"), found.get("executionRoleArn"))
        return found["taskDefinitionArn"], tuple(role for role in roles if role)


class Witness:
    """Notes the requests of a scenario as its viewer, or of any world by ``note``.

    Attributes
    ----------
    requests
        By the function's name.
    """

    def __init__(self) -> None:
        self.requests: dict[str, set[IamRequest]] = defaultdict(set)
        self._world: SimulatedEnvironment | None = None
        self._seen = 0

    def note(self, simulated: SimulatedEnvironment) -> None:
        """Note every call that the handlers of a world have made."""
        account = SimulatedAccount(simulated)
        known: dict[tuple[Any, ...], list[IamRequest]] = {}
        for call in simulated.aws.calls[self._seen :]:
            if not call.attempts:
                continue  # botocore refused the parameters: nothing was sent
            key = (call.service, call.operation, repr(call.params))
            if key not in known:
                known[key] = requests_of(call.service, call.operation, call.params, account)
            own_log = requests_of_runtime(f"/aws/lambda/{call.function}", account)
            self.requests[call.function].update(known[key], own_log)

    def refusals(self, roles: Mapping[str, Role]) -> list[str]:
        """Return a sentence for each request that the role of its function does not allow."""
        return sorted(
            f"{function} may not do {request}"
            for function in self.requests
            for request in self._refused(function, roles[function])
        )

    def unused(self, roles: Mapping[str, Role]) -> list[str]:
        """Return a sentence for each action on a resource that a role allows and that nothing has used."""
        return sorted(
            f"{function} never used {action} on {resource}"
            for function, role in roles.items()
            for action, resource in role.pairs() - self._used(function, role)
        )

    def not_missed(self, roles: Mapping[str, Role]) -> list[str]:
        """Return a sentence for each statement without which everything would still be allowed."""
        return sorted(
            f"{function} does not need {', '.join(statement.actions)}"
            for function, role in roles.items()
            for statement in role.statements
            if not self._refused(function, role.without(statement))
        )

    def _refused(self, function: str, role: Role) -> list[IamRequest]:
        return [request for request in self.requests[function] if not role.allows(request)]

    def _used(self, function: str, role: Role) -> set[tuple[str, str]]:
        return {pair for request in self.requests[function] for pair in role.used(request)}

    # A scenario's viewer.

    def begin(self, _scenario: Scenario, simulated: SimulatedEnvironment) -> None:
        """Remember the world."""
        self._world, self._seen = simulated, 0

    def phase(self, _steps: Sequence[Step]) -> None:
        """Do nothing: a phase is noted when it is over."""

    def event(self, _event: Event) -> None:
        """Do nothing: calls are recorded elsewhere."""

    def rest(self, _runs: Sequence[Run]) -> None:
        """Note what the phase has called."""
        assert self._world is not None
        self.note(self._world)
        self._seen = len(self._world.aws.calls)

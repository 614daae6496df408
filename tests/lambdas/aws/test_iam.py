from __future__ import annotations

from lambdas.aws.iam import Roles
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

PREFIX = "arn:aws:iam::123456789012:role"


def test_a_role_is_found_by_its_arn_below_any_path(aws: SimulatedAws) -> None:
    aws.client("iam").create_role(RoleName="task", Path="/app/dev/", AssumeRolePolicyDocument="{}")
    assert Roles().exists(f"{PREFIX}/app/dev/task") is True
    assert Roles().exists(f"{PREFIX}/app/dev/other") is False


def test_who_may_not_look_does_not_know(aws: SimulatedAws, inside: Inside) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, service="iam", code="AccessDenied", http_status=403))
    assert inside(lambda: Roles().exists(f"{PREFIX}/task")) is None

from __future__ import annotations

import pytest

from lambdas.aws.iam import Roles
from lambdas.release.errors import AccessDenied
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

PREFIX = "arn:aws:iam::123456789012:role"


def test_a_role_is_found_by_its_name_with_its_path(aws: SimulatedAws) -> None:
    aws.client("iam").create_role(RoleName="task", Path="/app/dev/", AssumeRolePolicyDocument="{}")
    assert Roles().arn("task") == f"{PREFIX}/app/dev/task"
    assert Roles().arn("other") is None


def test_who_may_not_look_is_told(aws: SimulatedAws, inside: Inside) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, service="iam", code="AccessDenied", http_status=403))
    with pytest.raises(AccessDenied):
        inside(lambda: Roles().arn("task"))

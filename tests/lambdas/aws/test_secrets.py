from __future__ import annotations

import pytest

from lambdas.aws.secrets import Secrets
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside


def created(aws: SimulatedAws) -> str:
    return str(aws.client("secretsmanager").create_secret(Name="app/database", SecretString="canary")["ARN"])


@pytest.mark.parametrize("suffix", ["", ":password::", ":password:AWSCURRENT:", "::AWSPREVIOUS:"])
def test_a_secret_is_found_by_its_arn_whatever_part_of_it_is_wanted(aws: SimulatedAws, suffix: str) -> None:
    assert Secrets().exists(created(aws) + suffix) is True


def test_a_secret_that_was_never_there_does_not_exist(aws: SimulatedAws) -> None:
    assert Secrets().exists("arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-AbCdEf") is False


def test_a_secret_that_waits_for_its_deletion_can_no_longer_be_used(aws: SimulatedAws) -> None:
    arn = created(aws)
    aws.client("secretsmanager").delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    assert Secrets().exists(arn) is False


def test_who_may_not_look_does_not_know(aws: SimulatedAws, inside: Inside) -> None:
    arn = created(aws)
    aws.faults.add(CallFault(CallAction.ERROR, service="secretsmanager", code="AccessDeniedException", http_status=400))
    assert inside(lambda: Secrets().exists(arn)) is None


def test_the_value_is_never_read(aws: SimulatedAws, inside: Inside) -> None:
    arn = created(aws)
    inside(lambda: Secrets().exists(arn))
    assert [call.operation for call in aws.calls] == ["DescribeSecret"]

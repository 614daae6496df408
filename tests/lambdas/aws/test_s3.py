from __future__ import annotations

import pytest

from lambdas.aws.s3 import Objects
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

ARN = "arn:aws:s3:::files/web/production.env"


def test_an_object_is_found_by_its_arn(aws: SimulatedAws) -> None:
    assert Objects().exists(ARN) is False
    client = aws.client("s3")
    client.create_bucket(Bucket="files")
    assert Objects().exists(ARN) is False
    client.put_object(Bucket="files", Key="web/production.env", Body=b"A=1", ACL="public-read")
    assert Objects().exists(ARN) is True


@pytest.mark.parametrize("arn", ["arn:aws:s3:::files", "files", ""])
def test_what_names_no_object_is_not_there(aws: SimulatedAws, arn: str) -> None:
    assert Objects().exists(arn) is False


def test_who_may_not_look_does_not_know(aws: SimulatedAws, inside: Inside) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, service="s3", code="403", http_status=403))
    assert inside(lambda: Objects().exists(ARN)) is None

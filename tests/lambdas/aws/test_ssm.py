from __future__ import annotations

import pytest

from lambdas.aws.ssm import ParameterStore
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

ARN = "arn:aws:ssm:us-east-1:123456789012:parameter"
STORE = ParameterStore()


def put(aws: SimulatedAws, *names: str, kind: str = "String") -> None:
    for name in names:
        aws.client("ssm").put_parameter(Name=name, Value=f"value of {name}", Type=kind)


def test_everything_directly_below_a_path_is_found(aws: SimulatedAws) -> None:
    put(aws, *(f"/a/services/{number:02}" for number in range(21)), "/a/services/deep/er", "/a/other")
    found = STORE.below("/a/services/")
    assert len(found) == 21
    assert found["/a/services/20"] == "value of /a/services/20"


def test_nothing_below_a_path_is_no_error(aws: SimulatedAws) -> None:
    assert STORE.below("/nothing/") == {}


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (10, 1), (11, 2), (25, 3)])
def test_values_are_read_ten_at_a_time(aws: SimulatedAws, inside: Inside, count: int, calls: int) -> None:
    names = [f"/p/{number:02}" for number in range(count)]
    put(aws, *names)
    assert inside(lambda: STORE.get(names)) == {name: f"value of {name}" for name in names}
    assert [len(call.params["Names"]) <= 10 for call in aws.calls.of("ssm", "GetParameters")] == [True] * calls


def test_a_parameter_that_does_not_exist_has_no_value(aws: SimulatedAws) -> None:
    put(aws, "/p/a")
    assert STORE.get(["/p/a", "/p/b"]) == {"/p/a": "value of /p/a", "/p/b": None}


def test_a_name_that_is_asked_for_twice_is_read_once(aws: SimulatedAws, inside: Inside) -> None:
    put(aws, "/p/a")
    inside(lambda: STORE.get(["/p/a"] * 30))
    assert len(aws.calls) == 1


@pytest.mark.parametrize("reference", ["/p/a", f"{ARN}/p/a", "plain", f"{ARN}/plain"])
def test_a_reference_may_be_a_name_or_an_arn(aws: SimulatedAws, reference: str) -> None:
    assert STORE.exist([reference]) == {reference: False}
    put(aws, "/p/a", "plain")
    assert STORE.exist([reference]) == {reference: True}


def test_whether_a_secure_parameter_exists_is_asked_without_decrypting_it(aws: SimulatedAws, inside: Inside) -> None:
    put(aws, "/p/secret", kind="SecureString")
    assert inside(lambda: STORE.exist(["/p/secret"])) == {"/p/secret": True}
    assert not any(call.params.get("WithDecryption") for call in aws.calls)


def test_who_may_not_look_does_not_know(aws: SimulatedAws, inside: Inside) -> None:
    denied = CallFault(CallAction.ERROR, service="ssm", code="AccessDeniedException", http_status=400, times=3)
    aws.faults.add(denied)
    assert inside(lambda: STORE.exist(["/p/a", "/p/b"])) == {"/p/a": None, "/p/b": None}


def test_writing_and_deleting_twice_is_harmless(aws: SimulatedAws) -> None:
    for _ in range(2):
        STORE.put("/p/a", "v")
    assert STORE.get(["/p/a"]) == {"/p/a": "v"}
    for _ in range(2):
        STORE.delete("/p/a")
    assert STORE.get(["/p/a"]) == {"/p/a": None}


def test_one_that_may_not_be_looked_up_does_not_hide_the_others(aws: SimulatedAws, inside: Inside) -> None:
    put(aws, "/p/a")
    aws.faults.add(CallFault(CallAction.ERROR, service="ssm", code="AccessDeniedException", http_status=400))
    assert inside(lambda: STORE.exist(["/p/a", "/p/b"])) == {"/p/a": True, "/p/b": False}


def test_a_version_of_a_parameter_is_that_parameter(aws: SimulatedAws) -> None:
    put(aws, "/p/a")
    assert STORE.exist(["/p/a:1", f"{ARN}/p/a:1"]) == {"/p/a:1": True, f"{ARN}/p/a:1": True}


def test_a_parameter_is_looked_up_in_the_region_that_was_asked_for(aws: SimulatedAws) -> None:
    aws.client("ssm").put_parameter(Name="/p/here", Value="v", Type="String")
    assert STORE.in_region("eu-west-1").exist(["/p/here"]) == {"/p/here": False}
    assert STORE.exist(["/p/here"]) == {"/p/here": True}

"""What is refused before anything is made."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from config.rules import RULES
from tools.acceptance.world.account import (
    RUN_ID,
    Account,
    RefusedError,
    Run,
    check_credentials,
    check_names,
    chosen,
    named,
)

ACCOUNT = Account("111122223333", "eu-west-1")


def client(service: str) -> Any:
    return boto3.client(service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.mark.parametrize(
    ("account", "region", "endpoint", "says"),
    [
        ("", "eu-west-1", None, "which account?"),
        ("1234", "eu-west-1", None, "ACCOUNT '1234' is no account"),
        ("1111-2222-3333", "eu-west-1", None, "is no account"),
        ("arn:aws:iam::111122223333:root", "eu-west-1", None, "is no account"),
        ("111122223333", "", None, "which region?"),
        ("111122223333", "Ireland", None, "REGION 'Ireland' is no region"),
        ("111122223333", "eu-west-1a", None, "is no region"),
        ("111122223333", "eu-west-1", "https://emulator.example.com", "is no emulator on this machine"),
        ("111122223333", "eu-west-1", "http://127.0.0.1.example.com:80", "is no emulator on this machine"),
        ("111122223333", "eu-west-1", "http://localhost:4566", "is no emulator on this machine"),
    ],
)
def test_what_is_missing_or_wrong_is_refused_with_the_command_that_is_right(
    account: str, region: str, endpoint: str | None, says: str
) -> None:
    with pytest.raises(RefusedError, match=r".") as refused:
        chosen(account, region, endpoint)

    assert says in str(refused.value)


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-east-1", "ap-southeast-2", "cn-north-1"])
def test_an_account_and_a_region_are_taken(region: str) -> None:
    assert chosen("111122223333", region, None) == Account("111122223333", region)


def test_credentials_of_another_account_are_refused() -> None:
    sts = client("sts")
    with Stubber(sts) as stub:
        stub.add_response("get_caller_identity", {"Account": "444455556666", "Arn": "arn:aws:iam::444455556666:user/a"})

        with pytest.raises(RefusedError, match="of account 444455556666, and ACCOUNT is 111122223333"):
            check_credentials(ACCOUNT, lambda _: sts)


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId"])
def test_credentials_that_aws_refuses_are_refused_with_what_to_do(code: str) -> None:
    sts = client("sts")
    with Stubber(sts) as stub:
        stub.add_client_error("get_caller_identity", code, "The security token is expired")

        with pytest.raises(RefusedError, match=f"{code}.*aws sso login"):
            check_credentials(ACCOUNT, lambda _: sts)


def test_credentials_of_exactly_this_account_are_taken() -> None:
    sts = client("sts")
    with Stubber(sts) as stub:
        stub.add_response("get_caller_identity", {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/a"})

        assert check_credentials(ACCOUNT, lambda _: sts) == "arn:aws:iam::111122223333:user/a"


def names(*, stack: str = "", repository: bool = False, cluster: bool = False) -> dict[str, Any]:
    """Return stubbed clients of an account in which these exist."""
    clients = {service: client(service) for service in ("cloudformation", "ecr", "ecs")}
    stubs = {service: Stubber(each) for service, each in clients.items()}
    made = {"CreationTime": "2026-11-27T00:00:00Z", "StackStatus": "CREATE_COMPLETE"}
    stacks = [{"StackName": "shop-dev-network", **made}, *([{"StackName": stack, **made}] if stack else [])]
    stubs["cloudformation"].add_response("describe_stacks", {"Stacks": stacks})
    if repository:
        stubs["ecr"].add_response("describe_repositories", {"repositories": [{"repositoryName": "accept-a1b2c3"}]})
    else:
        stubs["ecr"].add_client_error("describe_repositories", "RepositoryNotFoundException")
    there = [{"clusterName": "accept-a1b2c3-dev", "status": "ACTIVE" if cluster else "INACTIVE"}]
    stubs["ecs"].add_response("describe_clusters", {"clusters": there})
    for each in stubs.values():
        each.activate()
    return clients


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ({"stack": "accept-a1b2c3-dev-base"}, "stack accept-a1b2c3-dev-base"),
        ({"repository": True}, "repository accept-a1b2c3"),
        ({"cluster": True}, "cluster accept-a1b2c3-dev"),
    ],
)
def test_a_run_whose_names_exist_is_refused(there: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        check_names(Run("a1b2c3"), names(**there).__getitem__)


def test_names_of_others_are_no_reason() -> None:
    check_names(Run("a1b2c3"), names().__getitem__)


def test_a_new_run_has_names_that_every_service_takes() -> None:
    for _ in range(100):
        run = Run.new()
        assert RUN_ID.fullmatch(run.id)
        assert named(run.id) == run
        assert RULES["app"].allows(run.app)
        assert len(f"{run.prefix}-alb") <= 32
        assert len(run.qualifier) <= 10


@pytest.mark.parametrize("wrong", ["A1B2C3", "1a2b3c", "a1b2", "../..", "a1b2c3-dev"])
def test_what_is_no_id_of_a_run_is_refused(wrong: str) -> None:
    with pytest.raises(RefusedError, match="is no id of a run"):
        named(wrong)

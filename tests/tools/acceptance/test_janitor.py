"""The janitor works from names and tags alone, touches nothing of others, and says what it could not destroy."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tools.acceptance.world.account import TAG, Account, Run
from tools.acceptance.world.janitor import KINDS, Left, destroy, found, runs

ACCOUNT, RUN, OTHER = Account("123456789012", "eu-west-1"), Run("a1b2c3"), Run("b2c3d4")


@pytest.fixture
def clients() -> Iterator[Any]:
    with mock_aws():
        yield functools.cache(lambda service: boto3.client(service, region_name="eu-west-1"))


def make(clients: Any, run: Run) -> None:
    """Make what a run leaves that was killed: things of stacks that are gone, of deployments, and of nobody."""
    bucket = f"cdk-{run.qualifier}-assets-{ACCOUNT.number}-{ACCOUNT.region}"
    clients("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": ACCOUNT.region})
    clients("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        clients("s3").put_object(Bucket=bucket, Key="asset.zip", Body=body)
    clients("ecr").create_repository(repositoryName=run.app, tags=run.tags)
    clients("ecs").create_cluster(clusterName=run.prefix)
    clients("logs").create_log_group(logGroupName=f"/aws/lambda/{run.prefix}-plan")
    clients("ssm").put_parameter(Name=f"/{run.app}/dev/images/api", Value="image", Type="String")
    clients("dynamodb").create_table(
        TableName=f"{run.prefix}-releases",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    clients("cloudformation").create_stack(
        StackName=f"{run.prefix}-base",
        TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}',
        Tags=[{"Key": TAG, "Value": run.id}],
    )


def kinds(left: list[Left]) -> set[str]:
    return {each.kind for each in left}


MADE = {"stack", "repository", "bucket", "cluster", "log group", "parameter", "table"}


def test_it_finds_the_runs_and_everything_of_one(clients: Any) -> None:
    for run in (RUN, OTHER):
        make(clients, run)

    assert runs(clients) == [RUN, OTHER]
    assert kinds(found(RUN, ACCOUNT, clients)) == MADE
    assert not [each for each in found(RUN, ACCOUNT, clients) if OTHER.id in each.name]


def test_it_destroys_one_run_and_nothing_of_another(clients: Any) -> None:
    for run in (RUN, OTHER):
        make(clients, run)
    clients("ecr").create_repository(repositoryName="shop")
    others = found(OTHER, ACCOUNT, clients)
    said: list[str] = []

    assert destroy(RUN, ACCOUNT, clients, said.append) == []

    assert found(OTHER, ACCOUNT, clients) == others
    assert [each["repositoryName"] for each in clients("ecr").describe_repositories()["repositories"]] == [
        OTHER.app,
        "shop",
    ]
    assert f"destroyed repository {RUN.app}" in said


def test_a_second_time_there_is_nothing_to_do(clients: Any) -> None:
    make(clients, RUN)
    destroy(RUN, ACCOUNT, clients, lambda _: None)
    said: list[str] = []

    assert destroy(RUN, ACCOUNT, clients, said.append) == []
    assert not [each for each in said if each.startswith("destroyed")]


def test_what_could_not_be_destroyed_is_listed_with_the_reason_and_the_rest_is_gone(clients: Any) -> None:
    make(clients, RUN)
    ecr = clients("ecr")

    def refuse(**_: Any) -> None:
        refusal = {"Error": {"Code": "AccessDeniedException", "Message": "not you"}}
        raise ClientError(refusal, "DeleteRepository")

    ecr.meta.events.register("before-call.ecr.DeleteRepository", refuse)

    (left,) = destroy(RUN, ACCOUNT, clients, lambda _: None)

    assert (left.kind, left.name) == ("repository", RUN.app)
    assert "not you" in left.why


def test_each_kind_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)

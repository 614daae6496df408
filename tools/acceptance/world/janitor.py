"""Destroys what runs have made, whatever happened to them, and lists what it could not.

It works from names and tags alone: a run that was killed has told nobody what it had made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from tools.acceptance.world.account import APP, ENVIRONMENT, RUN_ID, TAG, Account, Clients, Run

OBJECTS = 1000
STACK_SECONDS = 1200


@dataclass(frozen=True)
class Left:
    """Something of a run that is there.

    Attributes
    ----------
    kind, name
        What it is, in words, and what it is called.
    why
        Why it could not be destroyed; empty when nobody has tried.
    """

    kind: str
    name: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Attributes
    ----------
    name
        In words.
    find
        Names of those of a run that are there.
    destroy
        Destroys one, by its name.
    """

    name: str
    find: Callable[[Run, Account, Clients], Iterator[str]]
    destroy: Callable[[str, Clients, float], None]


def runs(clients: Clients) -> list[Run]:
    """Return the runs of which something carries the tag or is a stack, in the account and region."""
    ids = {
        tag["Value"]
        for page in clients("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(TagFilters=[{"Key": TAG}])
        for each in page["ResourceTagMappingList"]
        for tag in each["Tags"]
        if tag["Key"] == TAG
    }
    ids |= {name.removeprefix(APP)[:6] for name in _stack_names(clients) if name.startswith(APP)}
    return [Run(each) for each in sorted(ids) if RUN_ID.fullmatch(each)]


def found(run: Run, account: Account, clients: Clients) -> list[Left]:
    """Return what of a run is there, kind by kind."""
    return [Left(kind.name, name) for kind in KINDS for name in kind.find(run, account, clients)]


def destroy(run: Run, account: Account, clients: Clients, say: Callable[[str], None]) -> list[Left]:
    """Destroy everything of a run; returns what is there after that, with the reason where one was given.

    Parameters
    ----------
    run, account, clients
        Whose.
    say
        Is told of each that is destroyed.
    """
    reasons: dict[tuple[str, str], str] = {}
    for kind in (*KINDS, *(each for each in KINDS if each.name == "stack")):
        for name in list(kind.find(run, account, clients)):
            try:
                kind.destroy(name, clients, 1.0 if account.endpoint else 5.0)
                say(f"destroyed {kind.name} {name}")
            except (ClientError, BotoCoreError, WaiterError) as error:
                reasons[kind.name, name] = str(error)
                say(f"could not destroy {kind.name} {name}: {error}")
    return [
        Left(each.kind, each.name, reasons.get((each.kind, each.name), "")) for each in found(run, account, clients)
    ]


def _stack_names(clients: Clients) -> list[str]:
    """Return the stacks that are there, the newest first: it may need those before it."""
    stacks = [
        each
        for page in clients("cloudformation").get_paginator("describe_stacks").paginate()
        for each in page["Stacks"]
        if each["StackStatus"] != "DELETE_COMPLETE"
    ]
    return [each["StackName"] for each in sorted(stacks, key=lambda each: each["CreationTime"], reverse=True)]


def _stacks(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    return (name for name in _stack_names(clients) if name.startswith(f"{run.app}-"))


def _delete_stack(name: str, clients: Clients, poll_seconds: float) -> None:
    client = clients("cloudformation")
    client.delete_stack(StackName=name)
    patience = {"Delay": poll_seconds, "MaxAttempts": int(STACK_SECONDS / poll_seconds)}
    client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=patience)


def _services(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    """Yield the services that a chapter made itself, beside those of the stacks."""
    try:
        pages = clients("ecs").get_paginator("list_services").paginate(cluster=run.prefix)
        yield from (arn for page in pages for arn in page["serviceArns"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ClusterNotFoundException":
            raise


def _delete_service(arn: str, clients: Clients, _: float) -> None:
    clients("ecs").delete_service(cluster=arn.split("/")[-2], service=arn, force=True)


def _buckets(run: Run, account: Account, clients: Clients) -> Iterator[str]:
    """Yield the bucket of the CDK's bootstrap, which its stack keeps."""
    name = f"cdk-{run.qualifier}-assets-{account.number}-{account.region}"
    return (each["Name"] for each in clients("s3").list_buckets()["Buckets"] if each["Name"] == name)


def _delete_bucket(name: str, clients: Clients, _: float) -> None:
    client = clients("s3")
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions]
        for start in range(0, len(objects), OBJECTS):
            client.delete_objects(Bucket=name, Delete={"Objects": objects[start : start + OBJECTS], "Quiet": True})
    client.delete_bucket(Bucket=name)


def _repositories(run: Run, account: Account, clients: Clients) -> Iterator[str]:
    names = (run.app, f"cdk-{run.qualifier}-container-assets-{account.number}-{account.region}")
    pages = clients("ecr").get_paginator("describe_repositories").paginate()
    return (
        each["repositoryName"] for page in pages for each in page["repositories"] if each["repositoryName"] in names
    )


def _delete_repository(name: str, clients: Clients, _: float) -> None:
    clients("ecr").delete_repository(repositoryName=name, force=True)


def _clusters(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    described = clients("ecs").describe_clusters(clusters=[run.prefix])["clusters"]
    return (each["clusterName"] for each in described if each.get("status") != "INACTIVE")


def _delete_cluster(name: str, clients: Clients, _: float) -> None:
    clients("ecs").delete_cluster(cluster=name)


def _definitions(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    """Yield the revisions that deployments have registered; they belong to no stack."""
    for status in ("ACTIVE", "INACTIVE"):
        families = clients("ecs").get_paginator("list_task_definition_families")
        for page in families.paginate(familyPrefix=f"{run.prefix}-", status="ALL"):
            for family in page["families"]:
                pages = clients("ecs").get_paginator("list_task_definitions")
                for revisions in pages.paginate(familyPrefix=family, status=status):
                    yield from revisions["taskDefinitionArns"]


def _delete_definition(arn: str, clients: Clients, _: float) -> None:
    client = clients("ecs")
    if client.describe_task_definition(taskDefinition=arn)["taskDefinition"]["status"] == "ACTIVE":
        client.deregister_task_definition(taskDefinition=arn)
    client.delete_task_definitions(taskDefinitions=[arn])


def _log_groups(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    """Yield log groups: those of functions that ran when their stack was deleted are made again by Lambda."""
    for beginning in (f"/{run.app}/", f"/aws/lambda/{run.app}-", f"/aws/vendedlogs/states/{run.app}-"):
        pages = clients("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=beginning)
        yield from (each["logGroupName"] for page in pages for each in page["logGroups"])


def _delete_log_group(name: str, clients: Clients, _: float) -> None:
    clients("logs").delete_log_group(logGroupName=name)


def _parameters(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    """Yield parameters: what a code deploy writes belongs to no stack."""
    for path in (f"/{run.app}/{ENVIRONMENT}/", f"/cdk-bootstrap/{run.qualifier}/"):
        pages = clients("ssm").get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
        yield from (each["Name"] for page in pages for each in page["Parameters"])


def _delete_parameter(name: str, clients: Clients, _: float) -> None:
    clients("ssm").delete_parameters(Names=[name])


def _tables(run: Run, _: Account, clients: Clients) -> Iterator[str]:
    pages = clients("dynamodb").get_paginator("list_tables").paginate()
    return (name for page in pages for name in page["TableNames"] if name.startswith(f"{run.app}-"))


def _delete_table(name: str, clients: Clients, _: float) -> None:
    clients("dynamodb").delete_table(TableName=name)


KINDS: tuple[Kind, ...] = (
    Kind("service", _services, _delete_service),
    Kind("stack", _stacks, _delete_stack),
    Kind("repository", _repositories, _delete_repository),
    Kind("bucket", _buckets, _delete_bucket),
    Kind("cluster", _clusters, _delete_cluster),
    Kind("task definition", _definitions, _delete_definition),
    Kind("log group", _log_groups, _delete_log_group),
    Kind("parameter", _parameters, _delete_parameter),
    Kind("table", _tables, _delete_table),
)
"""In the order in which they are destroyed; then stacks once more, for what kept one from its end may be gone."""

"""Deployments that go certain ways, one after the other in one account, with IAM enforced.

A person who answers is played here, and so is whoever repairs the world when a permission was missing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from lambdas.aws.releases_table import LOCK_KEY
from tests.e2e.cloud import Cloud, Json
from tests.e2e.images import MEDIA_TYPE, Behavior, manifest
from tests.e2e.observation import Observer

POLICY = "grants"
"""Name of the one inline policy of a step's role (``statemachine/deployment.py``)."""

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ENDED = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")
"""What Step Functions says of a question that is not open any more."""

LONG_SECONDS = 60
MORE_MEMORY = "2048"


def listed(value: Any) -> list[str]:
    """Return a policy's string or list as a list."""
    return [value] if isinstance(value, str) else list(value)


@dataclass
class Roads:
    """Every way that a test sends a deployment.

    Parameters
    ----------
    cloud, world
        The account, and who looks at it.
    """

    cloud: Cloud
    observer: Observer
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # The ways. Each returns the description of the execution that is looked at.

    def deploy(self) -> Json:
        """A good image, asked about and approved."""
        return self._deploy(None)

    def crash(self) -> Json:
        """The worker ends by itself at its start."""
        return self._deploy({"worker": {"exit_code": 1, "logs": ["KeyError: 'QUEUE_URL'"]}})

    def superseded_while_watched(self) -> Json:
        """While the release is watched, a task of it is stopped, and somebody deploys the service past Stepship.

        A container that crashes is not enough: the emulated ECS does not tell of it in the service's events.
        """
        execution = self.cloud.start(imageTag=self._push(None))
        self._answer_until(execution, lambda: "Bake" in self.cloud.path(execution))
        ecs, name, cluster = (
            self.cloud.client("ecs"),
            self.observer.names.service("scheduler"),
            self.observer.names.cluster,
        )
        (task, *_) = ecs.list_tasks(cluster=cluster, serviceName=name)["taskArns"]
        ecs.stop_task(cluster=cluster, task=task)
        self._deploy_more_memory("scheduler", self.observer.services()["scheduler"]["taskDefinition"])
        return self.finish(execution)

    def migration_fails(self) -> Json:
        """The migration ends with an error."""
        return self._deploy({"migrate": {"exit_code": 3, "logs": ["relation already exists"]}})

    def dry_run(self) -> Json:
        """A plan, and nothing else."""
        return self._deploy(None, dryRun=True)

    def dry_run_of_an_index(self) -> Json:
        """A plan for an image that says for which architectures it is."""
        return self.finish(self.cloud.start(imageTag=self._push_index(), dryRun=True))

    def missing_tag(self) -> Json:
        """A tag that nobody has pushed."""
        return self.finish(self.cloud.start(imageTag="never-pushed"))

    def roll_back(self) -> Json:
        """A person goes back to the release before."""
        return self.finish(self.cloud.start(action="rollback"))

    def outrank(self) -> Json:
        """A rollback finds a deployment that waits for an answer, and ends its question."""
        asked = self.cloud.start(imageTag=self._push(None))
        if not self.cloud.wait_until(lambda: self._asks(asked), f"{asked} asks"):
            return self.finish(asked)
        ended = self.finish(self.cloud.start(action="rollback"))
        if self.cloud.describe(asked)["status"] == "RUNNING":
            self.finish(asked)
        return ended

    def look_after_an_ended_one(self) -> Json:
        """A recovery is asked for an execution that has put the world in order itself."""
        failed = self.missing_tag()
        return self.finish(self.cloud.start(action="rollback", takeover=failed["executionArn"]))

    def recover(self) -> Json:
        """An execution is stopped while its services roll out, and the rule starts a recovery."""
        return self._stop_in("Check rollout", None)

    def recover_without_an_event(self) -> Json:
        """An execution is stopped, no event tells of it, and the next that waits for the lock starts the recovery."""
        events = self.cloud.client("events")
        (rule,) = (
            each["Name"] for each in events.list_rules()["Rules"] if "was stopped" in each.get("Description", "")
        )
        events.disable_rule(Name=rule)
        try:
            execution = self.cloud.start(imageTag=self._push(None))
            self._answer_until(execution, lambda: "Check rollout" in self.cloud.path(execution))
            self.cloud.client("stepfunctions").stop_execution(executionArn=execution)
            self.let_the_lease_end()
            return self.finish(self.cloud.start(imageTag=self._push(None)))
        finally:
            events.enable_rule(Name=rule)

    def recover_from_migration(self) -> Json:
        """An execution is stopped before it has moved a service, and the rule starts a recovery."""
        return self._stop_in("Run migration", {"migrate": {"exit_code": 0, "seconds": LONG_SECONDS}})

    def crash_beside_infrastructure(self) -> Json:
        """Somebody changes a service's memory while a deployment rolls out; the rollback keeps that."""
        before = self.observer.services()["api"]["taskDefinition"]
        execution = self.cloud.start(imageTag=self._push({"worker": {"exit_code": 1}}))
        self._answer_until(execution, lambda: "Check rollout" in self.cloud.path(execution))
        self._deploy_more_memory("api", before)
        return self.finish(execution)

    # What they need.

    def finish(self, execution: str) -> Json:
        """Approve when somebody is asked, and wait for the end."""
        self._answer_until(execution, lambda: self.cloud.describe(execution)["status"] != "RUNNING")
        return {**self.cloud.finish(execution), "path": self.cloud.path(execution)}

    def repair(self) -> None:
        """Free the lock that an execution could not free, and roll back what it could not roll back."""
        lock = self.observer.table.read_lock()
        if lock.holder:
            self.let_the_lease_end()
        if lock.journal:
            ended = self.roll_back()
            assert ended["status"] == "SUCCEEDED", ended

    def let_the_lease_end(self) -> None:
        """End the lease of the lock's holder now: the functions' clock is real, and the lease a minute."""
        self.cloud.client("dynamodb").update_item(
            TableName=self.observer.table.table,
            Key=LOCK_KEY,
            UpdateExpression="SET leaseExpiresAt = :now",
            ExpressionAttributeValues={":now": {"N": "0"}},
        )

    def role_of(self, handler: str) -> str:
        """Return the name of a step's role."""
        prefix = f"{self.cloud.settings.app}-{self.cloud.settings.environment}"
        name = f"{prefix}-{handler.replace('_', '-')}"
        found = self.cloud.client("lambda").get_function_configuration(FunctionName=name)
        return str(found["Role"]).rpartition("/")[2]

    def statements(self, handler: str) -> list[Json]:
        """Return the statements of a step's role as they are deployed."""
        found = self.cloud.client("iam").get_role_policy(RoleName=self.role_of(handler), PolicyName=POLICY)
        statements: list[Json] = found["PolicyDocument"]["Statement"]
        return statements

    @contextmanager
    def without(self, handler: str, action: str) -> Iterator[set[str]]:
        """Take the statement with an action away from a step's role while the block runs; gives its actions."""
        iam, role = self.cloud.client("iam"), self.role_of(handler)
        before = self.statements(handler)
        (taken,) = (each for each in before if action in listed(each["Action"]))

        def put(statements: list[Json]) -> None:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=document)

        put([each for each in before if each is not taken])
        try:
            yield set(listed(taken["Action"]))
        finally:
            put(before)

    def _stop_in(self, state: str, behavior: Behavior | None) -> Json:
        execution = self.cloud.start(imageTag=self._push(behavior))
        self._answer_until(execution, lambda: state in self.cloud.path(execution))
        known = {each["executionArn"] for each in self.cloud.executions()}
        self.cloud.client("stepfunctions").stop_execution(executionArn=execution)
        self.let_the_lease_end()

        def recovery() -> str | None:
            started = (each["executionArn"] for each in self.cloud.executions() if each["executionArn"] not in known)
            return next(started, None)

        return self.finish(self.cloud.wait_until(recovery, "the rule starts a recovery"))

    def _deploy_more_memory(self, service: str, task_definition: str) -> None:
        """Do as ``cdk deploy`` does: a revision with the same image and another size, and the service on it."""
        ecs, name = self.cloud.client("ecs"), self.observer.names.service(service)
        before = self.observer.task_definition(task_definition)
        accepted = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
        more = {**{key: each for key, each in before.items() if key in accepted}, "memory": MORE_MEMORY}
        registered = ecs.register_task_definition(**more)["taskDefinition"]["taskDefinitionArn"]
        ecs.update_service(cluster=self.observer.names.cluster, service=name, taskDefinition=registered)

    def _deploy(self, behavior: Behavior | None, **request: Any) -> Json:
        return self.finish(self.cloud.start(imageTag=self._push(behavior), **request))

    def _push(self, behavior: Behavior | None) -> str:
        tag = f"road-{next(self._numbers)}"
        self._put_image(manifest(tag, behavior), MEDIA_TYPE, imageTag=tag)
        return tag

    def _push_index(self) -> str:
        """Push an image index with one image in it, as ``docker buildx`` does."""
        tag = f"road-{next(self._numbers)}"
        digest = self._put_image(manifest(tag), MEDIA_TYPE)
        platform = {"architecture": "arm64", "os": "linux"}
        inside = {"mediaType": MEDIA_TYPE, "digest": digest, "size": len(manifest(tag)), "platform": platform}
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [inside]}
        self._put_image(json.dumps(index), INDEX_TYPE, imageTag=tag)
        return tag

    def _put_image(self, text: str, media_type: str, **tag: str) -> str:
        answer = self.cloud.client("ecr").put_image(
            repositoryName=self.cloud.repository, imageManifest=text, imageManifestMediaType=media_type, **tag
        )
        return str(answer["image"]["imageId"]["imageDigest"])

    def _answer_until(self, execution: str, done: Callable[[], bool]) -> None:
        """Say yes once, when a person is asked, and wait."""
        answered = False

        def look() -> bool | None:
            nonlocal answered
            token = None if answered else self.observer.table.approval_token(execution)
            if token:
                answered = True
                self._approve(token)
            return done() or self.cloud.describe(execution)["status"] != "RUNNING" or None

        self.cloud.wait_until(look, f"{execution} gets there")

    def _asks(self, execution: str) -> bool | None:
        """Whether the execution waits for an answer; False when it ended before, None when it is on its way."""
        if self.observer.table.approval_token(execution):
            return True
        return None if self.cloud.describe(execution)["status"] == "RUNNING" else False

    def _approve(self, token: str) -> None:
        client = self.cloud.client("stepfunctions")
        try:
            client.send_task_success(taskToken=token, output=json.dumps({"approvedBy": "person:e2e"}))
        except ClientError as error:
            # A rollback that outranks the deployment may have ended the question.
            if error.response["Error"]["Code"] not in ENDED:
                raise

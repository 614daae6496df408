"""The surroundings of a run in its account: made, changed, looked at. Nothing is destroyed here (``janitor.py``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import WaiterError

import config
from stepship.account.settings import ServiceRoles
from tests.e2e.cloud import ATTEMPTS, Cloud, Json
from tests.e2e.images import Behavior
from tests.e2e.infrastructure import deploy_stacks
from tests.e2e.observation import Observer
from tests.e2e.roads import Roads
from tools.acceptance.records.record import Recorder, gateway
from tools.acceptance.world import templates
from tools.acceptance.world.account import ENVIRONMENT, TAG, Account, Clients, Run
from tools.acceptance.world.images import CLEAN, build, push
from tools.acceptance.world.settings import catalog_entry, write
from tools.acceptance.world.templates import Network, Template

T = TypeVar("T")

STACK_POLL_SECONDS, EMULATED_POLL_SECONDS = 5, 1
STACK_SECONDS = 1200
FIRST_IMAGE = "v0"
EVENTS = 100


class AccountCloud(Cloud):
    """The account as the chapters know it; its images can be run, and what it is answered is recorded."""

    def __init__(
        self,
        account: Account,
        run: Run,
        settings: config.EnvironmentConfig,
        interrupted: threading.Event,
        recorder: Recorder,
    ) -> None:
        super().__init__(account.endpoint, settings, account.place(run.app))
        self._interrupted, self._recorder = interrupted, recorder

    def push(self, tag: str, behavior: Behavior | None = None, files: Mapping[str, str] = CLEAN) -> str:
        """Build an image and push it by the API; returns its digest."""
        return push(self.client("ecr"), self.repository, tag, build(tag, behavior, files))

    def wait_until(self, look: Callable[[], T | None], what: str) -> T:
        """Wait as elsewhere, but not beyond an interrupt: what is played beside the chapters hears none itself."""

        def look_on() -> T | None:
            if self._interrupted.is_set():
                raise InterruptedError(f"interrupted while waiting: {what}")
            return look()

        return super().wait_until(look_on, what)

    def _client(self, service: str) -> Any:
        return self._recorder.listen(service, super()._client(service))


@dataclass
class World:
    """What a run has made.

    Parameters
    ----------
    account, run
        Whose, and under which names.
    folder
        For what the run writes: config, templates, records.
    """

    account: Account
    run: Run
    folder: Path
    interrupted: threading.Event = field(default_factory=threading.Event, init=False)
    _network: Network | None = field(default=None, init=False)

    @cached_property
    def cloud(self) -> AccountCloud:
        """The account, by the config that the coordinator is first deployed with."""
        settings = config.load(ENVIRONMENT, self._config(strict=False))
        return AccountCloud(self.account, self.run, settings, self.interrupted, self.recorder)

    @cached_property
    def recorder(self) -> Recorder:
        """Who keeps what AWS answers."""
        source = "emulator" if self.account.endpoint else f"AWS, {datetime.now(UTC).date().isoformat()}"
        hidden = {self.account.number: "111122223333", self.run.id: "a1b2c3", self.account.region: "us-east-1"}
        return Recorder(source, self.folder / "records", hidden)

    @cached_property
    def observer(self) -> Observer:
        """Who looks at the environment."""
        return Observer(self.cloud)

    @cached_property
    def roads(self) -> Roads:
        """Who repairs the environment after a chapter that failed."""
        return Roads(self.cloud, self.observer)

    # How it is made, in this order.

    def bootstrap(self) -> None:
        """Bootstrap the CDK under a name of this run, so that nobody's bootstrap is touched."""
        self._synthesise(strict=False)
        self.cloud.cdk(
            *("bootstrap", f"aws://{self.account.number}/{self.account.region}"),
            *("--app", str(self._app(strict=False)), "--tags", f"{TAG}={self.run.id}"),
            *("--qualifier", self.run.qualifier, "--toolkit-stack-name", self.toolkit),
        )

    def make_base(self) -> None:
        """Make repository, cluster, role and log groups; a network too where the account has no default one."""
        self._make_roles_of_services()
        vpcs = self.cloud.client("ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        subnets = self._subnets(vpcs[0]["VpcId"]) if vpcs else ()
        own = len(subnets) < templates.ZONES
        outputs = self._make_stack("base", templates.base(self.run, own_network=own))
        self._network = (
            Network(outputs["Vpc"], tuple(outputs["Subnets"].split(",")))
            if own
            else Network(vpcs[0]["VpcId"], subnets[: templates.ZONES])
        )

    def make_services(self) -> None:
        """Push a first image, and make three services and a migration that run it."""
        if self._network is None:
            raise RuntimeError("there is no network yet: make_base comes before make_services")
        image = self.cloud.uri(self.cloud.push(FIRST_IMAGE))
        self._make_stack("services", templates.services(self.run, self.account, self._network, image))

    def deploy_coordinator(self, *, strict: bool = False) -> None:
        """Deploy the coordinator as ``docs/how-to/adopt.md`` does; with stricter rules the second time."""
        if strict:
            self._synthesise(strict=True)
        options = ("--toolkit-stack-name", self.toolkit, "--tags", f"{TAG}={self.run.id}")
        deploy_stacks(self.cloud, self._app(strict=strict), self.coordinator, *options)

    # What the chapters ask.

    @property
    def toolkit(self) -> str:
        """Name of the stack of the CDK's bootstrap."""
        return f"{self.run.app}-cdk-toolkit"

    @property
    def coordinator(self) -> str:
        """Name of the coordinator's stack."""
        return f"{self.run.prefix}-deployment-coordinator"

    def client_as(self, service: str, credentials: Json) -> Any:
        """Return a client with the credentials that AssumeRole has given."""
        return boto3.client(
            service,
            endpoint_url=self.account.endpoint,
            region_name=self.account.region,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        )

    def catalog_entry(self, name: str) -> dict[str, object]:
        """Return what the catalog says of a service, for another one that uses its family."""
        return catalog_entry(self.run, name)

    def worker(self) -> Json:
        """Describe a service that has no load balancer, for what is made beside it."""
        name = self.observer.names.service("worker")
        found = self.cloud.client("ecs").describe_services(cluster=self.run.prefix, services=[name])["services"]
        described: Json = found[0]
        return described

    def _make_roles_of_services(self) -> None:
        """Make the roles that ECS and load balancers have in an account; a new account has none yet, and keeps them."""
        roles = gateway(ServiceRoles, self.cloud.client)
        for service in ("ecs", "elasticloadbalancing"):
            roles.create(f"{service}.amazonaws.com")

    def _config(self, *, strict: bool) -> Path:
        folder = self.folder / ("config-strict" if strict else "config")
        return folder if folder.exists() else write(folder, self.run, self.account, strict=strict)

    def _app(self, *, strict: bool) -> Path:
        return self.folder / ("stacks-strict" if strict else "stacks")

    def _synthesise(self, *, strict: bool) -> None:
        self.cloud.cdk(
            *("synth", "--quiet", "--output", str(self._app(strict=strict))),
            *("--context", f"environment={ENVIRONMENT}", "--context", f"config={self._config(strict=strict)}"),
            *("--context", f"@aws-cdk/core:bootstrapQualifier={self.run.qualifier}"),
        )

    def _subnets(self, vpc: str) -> tuple[str, ...]:
        """Return a public subnet of each zone of a VPC."""
        found = self.cloud.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
        by_zone = {each["AvailabilityZone"]: each["SubnetId"] for each in found if each.get("MapPublicIpOnLaunch")}
        return tuple(by_zone[zone] for zone in sorted(by_zone))

    def _make_stack(self, part: str, template: Template) -> dict[str, str]:
        """Create a stack and wait for it; returns its outputs."""
        client, name = self.cloud.client("cloudformation"), f"{self.run.prefix}-{part}"
        client.create_stack(
            StackName=name,
            TemplateBody=templates.text(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=self.run.tags,
            # What is left of a failure is what the janitor destroys, and what a person may look at before.
            OnFailure="DO_NOTHING",
        )
        seconds = EMULATED_POLL_SECONDS if self.account.endpoint else STACK_POLL_SECONDS
        patience = {"Delay": seconds, "MaxAttempts": STACK_SECONDS // seconds}
        try:
            client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=patience)
        except WaiterError as error:
            raise AssertionError(f"{name}: {self._why(name)}") from error
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}

    def _why(self, stack: str) -> str:
        events = self.cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"][:EVENTS]
        failed = [each for each in events if each["ResourceStatus"].endswith("FAILED")]
        return "; ".join(f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason')}" for each in failed)


def clients(account: Account) -> Clients:
    """Return what makes clients of an account before there is a world in it."""
    emulated = {"aws_access_key_id": account.number, "aws_secret_access_key": "emulated"} if account.endpoint else {}

    def make(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=account.endpoint,
            region_name=account.region,
            config=Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}),
            **emulated,
        )

    return make

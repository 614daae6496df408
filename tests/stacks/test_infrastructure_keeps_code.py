"""Infrastructure never moves code: the app's own templates and the real deployment, one after the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

import config
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from stacks.constructs.carried_image import PLACEHOLDER_IMAGE, SERVICES, WORKLOADS
from statemachine.triggers import REVERTED_STACK_INPUT
from tests.simulator.quick import every_five_seconds
from tests.stacks.cloudformation import CloudFormation, Json

STACKS = (
    "bootstrap",
    "compute-shared",
    "api-service",
    "worker-service",
    "scheduler-service",
    "db-migration",
    "migration",
)
NETWORK = {
    "network/vpcId": "vpc-1",
    "network/privateSubnetIds": "subnet-1,subnet-2",
    "network/publicSubnetIds": "subnet-3,subnet-4",
}
DATABASE = {
    "aurora/endpoint": "database.internal",
    "aurora/port": "5432",
}
Synthesise = Callable[[Json], dict[str, Json]]


@pytest.fixture(scope="module")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Return the templates of dev with some context, and with the API's memory as it is told."""
    import cdk_app

    flags = json.loads((Path(cdk_app.__file__).parent / "cdk.json").read_text())["context"]
    made: dict[str, dict[str, Json]] = {}

    def make(options: Json) -> dict[str, Json]:
        key = json.dumps(options, sort_keys=True)
        if key not in made:
            folder = tmp_path_factory.mktemp("config")
            text = (config.FOLDER / "dev.toml").read_text()
            before, after = text.split("[api]")
            memory = f"memory = {options.get('memory', 512)}"
            (folder / "dev.toml").write_text(f"{before}[api]{after.replace('memory = 512', memory, 1)}")
            owner = f'owner = "{options.get("owner", "platform-team")}"'
            (folder / "dev.toml").write_text(
                (folder / "dev.toml").read_text().replace('owner = "platform-team"', owner)
            )
            context = {**flags, "aws:cdk:bundling-stacks": [], "environment": "dev", **options.get("context", {})}
            app = cdk_app.build(context, folder=folder)
            made[key] = {
                stack.stack_name.removeprefix("v3-backend-dev-"): stack.template for stack in app.synth().stacks
            }
        return made[key]

    return make


class Account:
    """An AWS account without anything but a network, and the two roads into it."""

    def __init__(self, simulated: SimulatedEnvironment, synthesise: Synthesise) -> None:
        self.simulated, self._synthesise = simulated, synthesise
        self._cloudformation = CloudFormation(simulated, {"Custom::SeededParameters": _seed})
        # What RDS makes with a cluster.
        master = simulated.aws.client("secretsmanager").create_secret(Name="rds!cluster-1", SecretString="{}")["ARN"]
        for name, value in {**NETWORK, **DATABASE, "aurora/secretArn": master}.items():
            simulated.aws.client("ssm").put_parameter(Name=f"/v3-backend/dev/{name}", Value=value, Type="String")

    def deploy_infrastructure(self, **options: Any) -> dict[str, list[str]]:
        """Run ``cdk deploy --all``; returns the resources that changed by stack."""
        templates = self._synthesise(options)
        return {stack: self._cloudformation.deploy(stack, templates[stack]) for stack in STACKS}

    def deploy_code(self, tag: str, behavior: ImageBehavior | None = None, **request: Any) -> str:
        """Push an image and run the state machine; returns the state in which it ended."""
        if behavior or tag not in self.simulated.tags.values():
            self.simulated.push(tag, behavior or ImageBehavior())
        run = self.simulated.run({"imageTag": tag, **request}, f"deploy-{tag}-{self.simulated.aws.clock.now():.0f}")
        return run.state

    @property
    def running(self) -> dict[str, str]:
        """Service to the tag that it runs."""
        return {name: self.simulated.tag_of(service["image"]) for name, service in self._services().items()}

    def definition(self, service: str) -> Json:
        """Return the task definition that a service runs."""
        ecs = self.simulated.aws.client("ecs")
        name = self._services()[service]["taskDefinition"]
        found: Json = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
        return found

    def _services(self) -> dict[str, Json]:
        return {name: dict(service) for name, service in self.simulated.snapshot().services.items()}


def _seed(request: str, properties: Json) -> None:
    """Run the real function of the custom resource."""
    answers: list[str] = []
    fake = SimpleNamespace(
        SUCCESS="SUCCESS", FAILED="FAILED", send=lambda *arguments, **more: answers.append(str((arguments[2], more)))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cfnresponse", fake)
        patch.delitem(sys.modules, "lambdas.resources.seed_parameters", raising=False)
        from lambdas.resources.seed_parameters import handler

        handler({"RequestType": request, "LogicalResourceId": "Values", "ResourceProperties": properties}, None)
    assert answers == ["('SUCCESS', {})"]


@pytest.fixture
def account(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with SimulatedEnvironment(services=(), migration=False, recovery=False, settings=every_five_seconds()) as simulated:
        monkeypatch.setattr(boto3, "client", lambda name, **_: simulated.aws.client(name))
        yield Account(simulated, synthesise)


def test_the_first_infrastructure_deploy_converges_though_no_image_was_ever_pushed(account: Account) -> None:
    account.deploy_infrastructure()
    assert account.running == dict.fromkeys(SERVICES, "placeholder")
    assert account.definition("api")["family"] == "v3-backend-dev-api-placeholder"
    assert account.simulated.live.snapshot("v3-backend-dev")["v3-backend-dev-api"].rollout_state == "COMPLETED"


def test_the_first_code_deploy_then_works_and_runs_the_application(account: Account) -> None:
    account.deploy_infrastructure()
    assert account.deploy_code("v1") == "Deployed"
    assert account.running == dict.fromkeys(SERVICES, "v1")
    api = account.definition("api")
    assert api["family"] == "v3-backend-dev-api"
    assert api["containerDefinitions"][0]["command"] == ["api"]
    assert api["containerDefinitions"][0]["secrets"]


def test_a_change_of_memory_after_a_code_deploy_keeps_the_code(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    account.deploy_code("v2")
    changed = account.deploy_infrastructure(memory=1024)
    assert account.running == dict.fromkeys(SERVICES, "v2")
    assert account.definition("api")["memory"] == "1024"
    assert "@sha256:" in account.definition("api")["containerDefinitions"][0]["image"]
    assert changed["bootstrap"] == [], "the parameters are not touched"


def test_code_goes_on_from_what_infrastructure_has_changed(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    account.deploy_infrastructure(memory=1024)
    assert account.deploy_code("v2") == "Deployed"
    assert account.running == dict.fromkeys(SERVICES, "v2")
    assert account.definition("api")["memory"] == "1024"


def test_an_infrastructure_deploy_without_a_change_keeps_the_code(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    account.deploy_infrastructure()
    account.deploy_infrastructure()
    assert account.running == dict.fromkeys(SERVICES, "v1")


def test_another_owner_in_the_tags_keeps_the_code(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    changed = account.deploy_infrastructure(owner="another-team")
    assert changed["bootstrap"], "the custom resource is updated with the new tags"
    assert account.running == dict.fromkeys(SERVICES, "v1")


def test_infrastructure_after_a_failed_deploy_keeps_what_was_restored(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    assert account.deploy_code("v2", ImageBehavior(outcome="crash")) == "RolledBack"
    account.deploy_infrastructure(memory=1024)
    assert account.running == dict.fromkeys(SERVICES, "v1")


def test_a_rollback_works_after_infrastructure_has_changed(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    account.deploy_code("v2")
    account.deploy_infrastructure(memory=1024)
    assert account.simulated.run({"action": "rollback"}, "back").state == "Deployed"
    assert account.running == dict.fromkeys(SERVICES, "v1")


def test_what_a_failed_infrastructure_deploy_took_back_returns_to_the_live_release(account: Account) -> None:
    account.deploy_infrastructure()
    ecs = account.simulated.aws.client("ecs")
    name = "v3-backend-dev-api"
    placeholder = ecs.describe_services(cluster="v3-backend-dev", services=[name])["services"][0]["taskDefinition"]
    account.deploy_code("v1")
    account.deploy_code("v2")
    # The update failed: CloudFormation returns to what *its* last good update had.
    ecs.update_service(cluster="v3-backend-dev", service=name, taskDefinition=placeholder)
    account.simulated.aws.clock.sleep(600)
    assert account.running["api"] == "placeholder"
    request = {key: value.replace("<stack>", "arn") for key, value in REVERTED_STACK_INPUT.items()}
    assert account.simulated.run(request, "repair").state == "Deployed"
    assert account.running == dict.fromkeys(SERVICES, "v2")
    assert account.simulated.run(request, "again").state == "NothingToDo"
    assert account.running == dict.fromkeys(SERVICES, "v2")


def test_an_image_in_the_context_is_deployed_for_an_emergency(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    digest = account.simulated.push("v2")
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend@{digest}"
    account.deploy_infrastructure(context={"imageUri": image})
    assert account.running == dict.fromkeys(SERVICES, "v2")
    for name in WORKLOADS:  # as deploy-infra.yml does
        parameter = f"/v3-backend/dev/images/{name}"
        account.simulated.aws.client("ssm").put_parameter(Name=parameter, Value=image, Overwrite=True)
    account.deploy_infrastructure(memory=1024)
    assert account.running == dict.fromkeys(SERVICES, "v2")


def test_a_bootstrap_stack_that_is_made_again_finds_the_code(account: Account) -> None:
    account.deploy_infrastructure()
    account.deploy_code("v1")
    again = Account.__new__(Account)
    again.simulated, again._synthesise = account.simulated, account._synthesise
    again._cloudformation = CloudFormation(account.simulated, {"Custom::SeededParameters": _seed})
    bootstrap = again._synthesise({})["bootstrap"]
    again._cloudformation.deploy("bootstrap", {**bootstrap, "Resources": _custom_resources(bootstrap)})
    pinned = account.simulated.aws.client("ssm").get_parameter(Name="/v3-backend/dev/images/api")["Parameter"]["Value"]
    assert pinned != PLACEHOLDER_IMAGE


def _custom_resources(template: Json) -> Json:
    resources = template["Resources"]
    return {
        name: {**each, "DependsOn": []} | {"Properties": {**each["Properties"], "ServiceToken": "function"}}
        for name, each in resources.items()
        if each["Type"].startswith("Custom::")
    }

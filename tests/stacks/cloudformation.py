"""CloudFormation for what a code deploy meets: templates of the app, deployed into the simulated AWS.

It resolves SSM parameters, conditions and intrinsic functions when it deploys, and then acts as CloudFormation
does: a resource whose resolved properties did not change is left alone, a task definition that changed is
replaced, and what the template no longer has goes away at the end. Only the types in ``_HANDLERS`` are made;
any other resource is a name to refer to. It is not AWS: nothing is rolled back, nothing takes time but services.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from simulator.engine.local_lambda import ACCOUNT, REGION
from simulator.environment.simulated_environment import SimulatedEnvironment

Json = dict[str, Any]
Physical = tuple[str, Json]
"""What ``Ref`` gives, and the resolved properties that it was made with."""

PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
TEXT_MAPS = ("Options",)
"""Properties whose keys are data and keep their case."""


class CloudFormation:
    """Deploys templates into a world and remembers what it made.

    Parameters
    ----------
    world
        The simulated environment.
    custom_resources
        Type of a custom resource to what answers it; called with the request type and the properties.
    """

    def __init__(
        self, simulated: SimulatedEnvironment, custom_resources: Mapping[str, Callable[[str, Json], None]]
    ) -> None:
        self._world = simulated
        self._custom = custom_resources
        self._made: dict[tuple[str, str], Physical] = {}

    def deploy(self, stack: str, template: Json) -> list[str]:
        """Create or update a stack; returns the logical ids that were made or changed.

        Raises
        ------
        LookupError
            A parameter that the stack reads does not exist: nothing was changed, as in CloudFormation.
        """
        update = _Update(self._world, stack, template, self._made, self._custom)
        changed = [name for name in update.wanted if update.apply(name)]
        update.remove_rest()
        self._world.aws.clock.sleep(600)
        return changed


class _Update:
    def __init__(
        self,
        simulated: SimulatedEnvironment,
        stack: str,
        template: Json,
        made: dict[tuple[str, str], Physical],
        custom: Mapping[str, Callable[[str, Json], None]],
    ) -> None:
        self._client = simulated.aws.client
        self._stack, self._resources, self._made, self._custom = stack, template["Resources"], made, custom
        self._values: Json = {**PSEUDO, "AWS::StackName": stack}
        self._values.update({name: self._parameter(each) for name, each in template.get("Parameters", {}).items()})
        self._conditions = {
            name: self._resolve(condition) for name, condition in template.get("Conditions", {}).items()
        }
        self.wanted = [
            name for name, each in self._resources.items() if self._conditions.get(each.get("Condition"), True)
        ]
        self._done: dict[str, bool] = {}
        self._replaced: list[str] = []

    def _parameter(self, parameter: Json) -> str:
        if not parameter["Type"].startswith("AWS::SSM::Parameter::Value<"):
            return str(parameter.get("Default", ""))
        ssm = self._client("ssm")
        try:
            return str(ssm.get_parameter(Name=parameter["Default"])["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            if parameter["Default"].startswith("/cdk-bootstrap/"):
                return "21"
            raise LookupError(f"Unable to fetch parameters [{parameter['Default']}] for stack {self._stack}") from None

    def apply(self, name: str) -> bool:
        """Make or change a resource, after everything that it refers to; True when it changed."""
        if name in self._done:
            return self._done[name]
        resource = self._resources[name]
        for before in resource.get("DependsOn", ()):
            if before in self.wanted:
                self.apply(before)
        properties = self._resolve(resource.get("Properties", {}))
        old = self._made.get((self._stack, name))
        changed = old is None or old[1] != properties
        if changed:
            physical = self._make(name, resource, properties, old)
            self._made[self._stack, name] = (physical, properties)
        self._done[name] = changed
        return changed

    def remove_rest(self) -> None:
        """Take away what was replaced and what the template does not have any more."""
        for key in [key for key in self._made if key[0] == self._stack and key[1] not in self.wanted]:
            physical, _ = self._made.pop(key)
            self._replaced.append(physical)
        for physical in self._replaced:
            if ":task-definition/" in physical:
                self._client("ecs").deregister_task_definition(taskDefinition=physical)

    def _make(self, name: str, resource: Json, properties: Json, old: Physical | None) -> str:
        kind = resource["Type"]
        if kind in self._custom:
            self._custom[kind]("Update" if old else "Create", properties)
        handler = _HANDLERS.get(kind)
        if handler is None:
            return f"{self._stack}-{name}"
        if old and kind == "AWS::ECS::TaskDefinition" and resource.get("UpdateReplacePolicy") != "Retain":
            self._replaced.append(old[0])
        return handler(self._client, properties, old)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            kept = (self._resolve(each) for each in value)
            return [each for each in kept if each is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(function, argument)
        resolved = {key: self._resolve(each) for key, each in value.items()}
        return {key: each for key, each in resolved.items() if each is not _NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        if function == "Ref":
            return _NO_VALUE if argument == "AWS::NoValue" else self._ref(argument)
        if function == "Fn::GetAtt":
            name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
            return self._attribute(name, attribute)
        if function == "Fn::If":
            return self._resolve(argument[1] if self._conditions[argument[0]] else argument[2])
        given = self._resolve(argument)
        if function == "Fn::Join":
            return given[0].join(given[1])
        if function == "Fn::Select":
            return given[1][int(given[0])]
        if function == "Fn::Split":
            return given[1].split(given[0])
        if function == "Fn::Equals":
            return given[0] == given[1]
        if function == "Fn::GetAZs":
            return [f"{REGION}{letter}" for letter in "abc"]
        raise NotImplementedError(function)

    def _ref(self, name: str) -> str:
        if name in self._values:
            return str(self._values[name])
        self.apply(name)
        return self._made[self._stack, name][0]

    def _attribute(self, name: str, attribute: str) -> str:
        physical = self._ref(name)
        if self._resources[name]["Type"] == "AWS::IAM::Role" and attribute == "Arn":
            path = self._made[self._stack, name][1].get("Path", "/")
            return f"arn:aws:iam::{ACCOUNT}:role{path}{physical}"
        if self._resources[name]["Type"] == "AWS::SecretsManager::Secret":
            return physical
        if self._resources[name]["Type"] == "AWS::ECS::Service" and attribute == "Name":
            return physical.rsplit("/", 1)[-1]
        return f"{physical}.{attribute}"


_NO_VALUE = object()


def _api(value: Any, *, data: bool = False) -> Any:
    """Write properties as the ECS API does: ``ContainerDefinitions`` becomes ``containerDefinitions``."""
    if isinstance(value, list):
        return [_api(each) for each in value]
    if not isinstance(value, dict):
        return value
    named = {
        (key if data else key[0].lower() + key[1:]): _api(each, data=key in TEXT_MAPS) for key, each in value.items()
    }
    return {{"enableECSManagedTags": "enableECSManagedTags"}.get(key, key): each for key, each in named.items()}


def _task_definition(client: Callable[[str], Any], properties: Json, _: Physical | None) -> str:
    answer = client("ecs").register_task_definition(**_api(properties))
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def _service(client: Callable[[str], Any], properties: Json, old: Physical | None) -> str:
    request = _api(properties)
    request.pop("serviceRegistries", None)
    if old is None:
        # "The default is 1" (CloudFormation Template Reference, AWS::ECS::Service, DesiredCount).
        return str(client("ecs").create_service(**{"desiredCount": 1, **request})["service"]["serviceArn"])
    request["service"] = request.pop("serviceName")
    for fixed in ("tags", "loadBalancers", "schedulingStrategy"):
        request.pop(fixed, None)
    return str(client("ecs").update_service(**request)["service"]["serviceArn"])


def _scalable_target(client: Callable[[str], Any], properties: Json, _: Physical | None) -> str:
    """Raise the desired count to the minimum, as Application Auto Scaling does."""
    _, cluster, service = properties["ResourceId"].split("/")
    (found,) = client("ecs").describe_services(cluster=cluster, services=[service.split(".")[0]])["services"]
    desired = max(found["desiredCount"], properties["MinCapacity"])
    client("ecs").update_service(cluster=cluster, service=found["serviceName"], desiredCount=desired)
    return str(properties["ResourceId"])


def _parameter(client: Callable[[str], Any], properties: Json, _: Physical | None) -> str:
    client("ssm").put_parameter(Name=properties["Name"], Value=properties["Value"], Type="String", Overwrite=True)
    return str(properties["Name"])


def _role(client: Callable[[str], Any], properties: Json, old: Physical | None) -> str:
    if old:
        return old[0]
    name = properties.get("RoleName") or f"role-{len(client('iam').list_roles()['Roles'])}"
    client("iam").create_role(
        RoleName=name,
        Path=properties.get("Path", "/"),
        AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
    )
    return str(name)


def _log_group(client: Callable[[str], Any], properties: Json, old: Physical | None) -> str:
    if old is None:
        client("logs").create_log_group(logGroupName=properties["LogGroupName"])
    return str(properties["LogGroupName"])


def _secret(client: Callable[[str], Any], properties: Json, old: Physical | None) -> str:
    if old:
        return old[0]
    return str(client("secretsmanager").create_secret(Name=properties["Name"], SecretString="{}")["ARN"])


def _alarm(client: Callable[[str], Any], properties: Json, _: Physical | None) -> str:
    client("cloudwatch").put_metric_alarm(
        AlarmName=properties["AlarmName"],
        ComparisonOperator=properties["ComparisonOperator"],
        EvaluationPeriods=properties["EvaluationPeriods"],
        Threshold=float(properties["Threshold"]),
        # What it measures does not matter here, and may be metric math.
        MetricName=properties.get("MetricName", "Math"),
        Namespace=properties.get("Namespace", "Math"),
        Statistic=properties.get("Statistic", "Sum"),
        Period=properties.get("Period", 60),
    )
    client("cloudwatch").set_alarm_state(AlarmName=properties["AlarmName"], StateValue="OK", StateReason="quiet")
    return str(properties["AlarmName"])


_HANDLERS: dict[str, Callable[[Callable[[str], Any], Json, Physical | None], str]] = {
    "AWS::ECS::TaskDefinition": _task_definition,
    "AWS::ECS::Service": _service,
    "AWS::ApplicationAutoScaling::ScalableTarget": _scalable_target,
    "AWS::SSM::Parameter": _parameter,
    "AWS::IAM::Role": _role,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SecretsManager::Secret": _secret,
    "AWS::CloudWatch::Alarm": _alarm,
}

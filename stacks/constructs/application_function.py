"""A function of the application: code of this repository, a role of its own, and a log that ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant, acknowledge, role

IN_VPC = Grant(
    # Lambda Developer Guide, "Giving Lambda functions access to resources in a VPC".
    (
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ),
    ("*",),
    wildcard_reason="Lambda checks that the role may do this everywhere before it takes the subnets.",
)


class ApplicationFunction(Construct):
    """A function with its log group and its role, outside the VPC unless it is given a security group.

    Its code is part of its stack: code deployments of the state machine do not move it.

    Parameters
    ----------
    scope
        The stack of the function.
    id
        Beginning of the logical ids of all three.
    name
        What follows the environment in the function's name: ``read-item``.
    purpose
        What it does: begins its description.
    code
        From ``application_code``; one for all functions of a stack.
    handler
        ``<package>.<module>.handler``.
    timeout, memory_mb
        What an invocation may take.
    environment
        Its environment variables.
    grants
        What it may do in AWS beside writing its log.
    security_group
        Puts it into the private subnets, with this group.
    json_log
        Whether Lambda makes JSON of each line that it logs; one that writes JSON itself does without.

    Attributes
    ----------
    function
        The function.
    """

    def __init__(
        self,
        scope: EnvironmentStack,
        id: str,
        *,
        name: str,
        purpose: str,
        code: lambda_.Code,
        handler: str,
        timeout: cdk.Duration,
        memory_mb: int,
        environment: Mapping[str, str],
        grants: Sequence[Grant] = (),
        security_group: ec2.ISecurityGroup | None = None,
        json_log: bool = False,
    ) -> None:
        super().__init__(scope, id)
        function_name = scope.names.service(name)
        log_group = scope.log_group("Logs", f"/aws/lambda/{function_name}", scope=self)
        write_log = Grant(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (log_group.log_group_arn,),
            wildcard_reason="The log streams of the function's own log group.",
        )
        execution_role = role(
            self,
            "Role",
            [*grants, write_log, *([IN_VPC] if security_group else [])],
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {function_name} may do",
        )
        network = scope.private_network if security_group else None
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=function_name,
            description=f"{purpose} of {scope.names.prefix}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=code,
            handler=handler,
            timeout=timeout,
            memory_size=memory_mb,
            environment=dict(environment),
            logging_format=lambda_.LoggingFormat.JSON if json_log else None,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO if json_log else None,
            vpc=network,
            vpc_subnets=ec2.SubnetSelection(subnets=network.private_subnets) if network else None,
            security_groups=[security_group] if security_group else None,
            # All that it may do stands above; an event source would grant its queue once more.
            role=execution_role.without_policy_updates(),
            log_group=log_group,
        )
        acknowledge(self.function, "AwsSolutions-L1", "Python 3.13 is what the tests run, and AWS supports it.")

"""What the services of an environment share: cluster, load balancer, groups, names, logs, table and secret."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_servicediscovery as servicediscovery
from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.carried_image import WORKLOADS
from stacks.constructs.log_bucket import LogBucket
from stacks.constructs.security_group import HTTPS, Egress, from_group, security_group, to_anywhere
from stacks.environment_stack import EnvironmentStack
from stacks.names import API_PORT
from statemachine.iam import acknowledge
from statemachine.protection import protect, protection

HTTP = 80

IDLE_TIMEOUT = cdk.Duration.seconds(60)
"""ELB's own default, written down because the API has to keep idle connections for longer than this."""

SUBGRAPH_KEYS = {"thegraph_balancer": "not-set", "thegraph_fantom": "not-set"}
"""The first value of the secret. Never change it: see ``ComputeSharedStack._secret``."""


class ComputeSharedStack(EnvironmentStack):
    """Cluster, load balancer, security groups, Cloud Map namespace, log groups, table and secret.

    Without a certificate the load balancer is private: it stands in the private subnets, speaks HTTP, and is
    reached from the VPC alone. With one it is public, speaks HTTPS, and sends HTTP there.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "compute-shared"
    PURPOSE = "Cluster, load balancer and data"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self._is_public = bool(settings.compute.certificate_arn)
        for name in WORKLOADS:
            self.log_group(f"Logs-{name}", self.names.log_group(name))
        self._cluster()
        self._namespace()
        self._table()
        self._secret()
        self._load_balancer_group = self._load_balancer_security_group()
        self._task_security_groups()
        load_balancer = self._load_balancer()
        listener = self._listeners(load_balancer)
        for name, value, description in (
            (self.names.load_balancer_name, load_balancer.load_balancer_full_name, "As metrics and scaling name it"),
            (self.names.load_balancer_address, load_balancer.load_balancer_dns_name, "DNS name of the load balancer"),
            (self.names.listener_arn, listener.listener_arn, "The listener to which services add their rules"),
        ):
            self.publish(name, value, description)

    @cached_property
    def vpc(self) -> ec2.IVpc:
        """The VPC with the subnets of the load balancer: nothing else here stands in one."""
        names, zones = self.names, self.availability_zones
        subnets = self.read_list(names.public_subnet_ids if self._is_public else names.private_subnet_ids, len(zones))
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=self.read(names.vpc_id),
            vpc_cidr_block=self.settings.network.cidr,
            availability_zones=zones,
            public_subnet_ids=subnets if self._is_public else None,
            private_subnet_ids=None if self._is_public else subnets,
        )

    # Where tasks run.

    def _cluster(self) -> None:
        compute = self.settings.compute
        cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=self.names.cluster,
            vpc=self.vpc,
            container_insights_v2=ecs.ContainerInsights[compute.container_insights.upper()],
            execute_command_configuration=self._execute_command() if compute.execute_command else None,
        )
        resource = cluster.node.default_child
        assert isinstance(resource, ecs.CfnCluster)  # noqa: S101 (default_child knows no types)
        # In the cluster itself and not associated by a resource of its own, which not every emulator knows.
        resource.capacity_providers = ["FARGATE", "FARGATE_SPOT"]
        # For whoever names no strategy: the services do, a task that a person runs by hand may not.
        resource.default_capacity_provider_strategy = [
            ecs.CfnCluster.CapacityProviderStrategyItemProperty(capacity_provider="FARGATE", weight=1)
        ]

    def _execute_command(self) -> ecs.ExecuteCommandConfiguration:
        """Keep what people type into running tasks, out of the reach of those who may read the services' logs."""
        return ecs.ExecuteCommandConfiguration(
            logging=ecs.ExecuteCommandLogging.OVERRIDE,
            log_configuration=ecs.ExecuteCommandLogConfiguration(
                cloud_watch_log_group=self.log_group("ExecLogs", self.names.exec_log_group)
            ),
        )

    def _namespace(self) -> None:
        namespace = servicediscovery.PrivateDnsNamespace(
            self,
            "Namespace",
            name=self.names.namespace,
            vpc=self.vpc,
            description=f"Services of {self.names.prefix}",
        )
        self.publish(self.names.namespace_id, namespace.namespace_id, f"The Cloud Map namespace {self.names.namespace}")

    # Who may talk to whom. All rules stand in their group: see security_group.py.

    def _load_balancer_security_group(self) -> ec2.SecurityGroup:
        cidr = self.settings.network.cidr
        group = ec2.SecurityGroup(
            self,
            "LoadBalancerGroup",
            vpc=self.vpc,
            description="The load balancer: from outside to the API",
            allow_all_outbound=False,
        )
        # To the VPC's range and not to the API's group, whose own rule names this one: that would be a circle.
        group.add_egress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(API_PORT), "Tasks of the API")
        if not self._is_public:
            group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(HTTP), "HTTP from the VPC")
            return group
        group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "HTTPS from anywhere")
        group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTP), "HTTP from anywhere, to be sent to HTTPS")
        acknowledge(group, "AwsSolutions-EC23", "The public load balancer: HTTPS, and the way to it, is for anybody.")
        return group

    def _task_security_groups(self) -> None:
        """Create the groups of the tasks.

        Outwards tasks reach AWS and the subgraphs by HTTPS, and whatever is in the VPC. DNS needs no rule.
        """
        inside = Egress(ip_protocol="-1", cidr_ip=self.settings.network.cidr, description="Everything in the VPC")
        egress = [to_anywhere("HTTPS to anywhere"), inside]
        task = security_group(self, "TaskGroup", "Worker, scheduler and migration: from nowhere", egress=egress)
        callers = {"The load balancer": self._load_balancer_group.security_group_id, "Other services": task}
        api = security_group(
            self,
            "ApiGroup",
            "The API: from the load balancer and from other services",
            ingress=[from_group(group, API_PORT, who) for who, group in callers.items()],
            egress=egress,
        )
        self.publish(self.names.api_security_group, api, "Lets the load balancer in on the API's port")
        self.publish(self.names.task_security_group, task, "Lets nobody in")

    # The way in.

    def _load_balancer(self) -> elbv2.ApplicationLoadBalancer:
        subnets = self.vpc.public_subnets if self._is_public else self.vpc.private_subnets
        load_balancer = elbv2.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            vpc=self.vpc,
            internet_facing=self._is_public,
            vpc_subnets=ec2.SubnetSelection(subnets=subnets),
            security_group=self._load_balancer_group,
            drop_invalid_header_fields=True,
            idle_timeout=IDLE_TIMEOUT,
        )
        load_balancer.set_attribute(
            "deletion_protection.enabled", protection(self) if self.settings.is_production else "false"
        )
        self._access_logs(load_balancer)
        return load_balancer

    def _access_logs(self, load_balancer: elbv2.ApplicationLoadBalancer) -> None:
        """Keep who called what.

        ``log_access_logs`` wants to know the region, because it lets in an account of ELB's that differs by
        region. The service principal is the same everywhere (ELB User Guide, "Enable access logs").
        """
        bucket = LogBucket(self, "AccessLogs", days=self.settings.logs.archive_days)
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject"],
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                resources=[bucket.arn_for_objects(f"AWSLogs/{self.account}/*")],
                conditions={
                    "ArnLike": {
                        "aws:SourceArn": self.format_arn(
                            service="elasticloadbalancing", resource="loadbalancer", resource_name="*"
                        )
                    }
                },
            )
        )
        load_balancer.set_attribute("access_logs.s3.enabled", "true")
        load_balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
        # ELB writes a test object when the attribute is set.
        assert bucket.policy is not None  # noqa: S101 (enforce_ssl made one)
        load_balancer.node.add_dependency(bucket.policy)

    def _listeners(self, load_balancer: elbv2.ApplicationLoadBalancer) -> elbv2.ApplicationListener:
        """Create the listener for the services' rules; what no rule takes is answered here."""
        not_found = elbv2.ListenerAction.fixed_response(
            404, content_type="application/json", message_body=json.dumps({"error": "not found"})
        )
        if not self._is_public:
            return load_balancer.add_listener(
                "Http", port=HTTP, protocol=elbv2.ApplicationProtocol.HTTP, open=False, default_action=not_found
            )
        load_balancer.add_listener(
            "Redirect",
            port=HTTP,
            protocol=elbv2.ApplicationProtocol.HTTP,
            open=False,
            default_action=elbv2.ListenerAction.redirect(protocol="HTTPS", port=str(HTTPS), permanent=True),
        )
        return load_balancer.add_listener(
            "Https",
            port=HTTPS,
            protocol=elbv2.ApplicationProtocol.HTTPS,
            open=False,
            certificates=[elbv2.ListenerCertificate.from_arn(self.settings.compute.certificate_arn)],
            # TLS 1.3 and 1.2, forward secrecy, and post-quantum keys with clients that know them: what the
            # console takes (ELB User Guide, "Security policies"); CloudFormation's own default is from 2016.
            ssl_policy=elbv2.SslPolicy.TLS13_12_RES_PQ,
            default_action=not_found,
        )

    # What the services keep.

    def _table(self) -> None:
        table = dynamodb.Table(
            self,
            "Pools",
            table_name=self.names.pools_table,
            time_to_live_attribute="expiresAt",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self.settings.is_production,
            removal_policy=self.removal_policy,
        )
        if self.settings.is_production:
            protect(table, "DeletionProtectionEnabled")

    def _secret(self) -> None:
        """Create the secret with a value that says that it is none, so that tasks can start from the first deploy.

        A person sets the keys (``aws secretsmanager put-secret-value``). CloudFormation makes a new value only
        when ``GenerateSecretString`` itself changes, not with a tag or a description, so as long as those lines
        stay as they are, no deploy writes over what the person has set. A further key is added to the value,
        never to the lines. ``SecretString`` would put the value into the template. ``initial`` is there because
        CloudFormation has to generate something; nothing reads it.
        """
        secret = secretsmanager.Secret(
            self,
            "SubgraphKeys",
            secret_name=self.names.subgraph_keys,
            description="API keys of the subgraphs; set by a person",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps(SUBGRAPH_KEYS), generate_string_key="initial"
            ),
            removal_policy=self.removal_policy,
        )
        acknowledge(secret, "AwsSolutions-SMG4", "Keys of somebody else's API: they are changed there, by a person.")
        resource = secret.node.default_child
        assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101 (default_child knows no types)
        # The CDK would take Ref, which is the same on AWS, and on one emulator the name alone.
        self.publish(self.names.subgraph_keys_arn, resource.attr_id, "The secret with the keys of the subgraphs")

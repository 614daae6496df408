"""Security groups whose rules all stand in them.

A rule beside its group would be one more resource, and a group whose rules are in two places loses those that
CloudFormation does not know at its next change. The CDK's own group puts a rule that names another group beside it, so
these are L1.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2

from stacks.environment_stack import EnvironmentStack

Ingress = ec2.CfnSecurityGroup.IngressProperty
Egress = ec2.CfnSecurityGroup.EgressProperty

HTTPS = 443


def security_group(
    stack: EnvironmentStack, id: str, description: str, *, ingress: Sequence[Ingress] = (), egress: Sequence[Egress]
) -> str:
    """Create a group in the environment's VPC, and return its id.

    Parameters
    ----------
    stack, id
        Where it stands.
    description
        Whose it is, and who gets in.
    ingress
        Who gets in; nobody without.
    egress
        What it may reach; at least one rule (``to_nowhere``), because EC2 lets everything out of a group that has none.
    """
    return ec2.CfnSecurityGroup(
        stack,
        id,
        vpc_id=stack.vpc.vpc_id,
        group_description=description,
        security_group_ingress=list(ingress) or None,
        security_group_egress=list(egress),
    ).attr_group_id


def from_group(group: str, port: int, who: str) -> Ingress:
    """Let in, on one TCP port, whoever has another group, given by its id."""
    return Ingress(ip_protocol="tcp", from_port=port, to_port=port, source_security_group_id=group, description=who)


def to_range(cidr: str, port: int, what: str) -> Egress:
    """Let out to one TCP port of a range of addresses."""
    return Egress(ip_protocol="tcp", from_port=port, to_port=port, cidr_ip=cidr, description=what)


def to_anywhere(what: str) -> Egress:
    """Let out to HTTPS everywhere: AWS itself is there."""
    return to_range("0.0.0.0/0", HTTPS, what)


def to_nowhere(what: str) -> Egress:
    """Return a rule that nothing matches, as the CDK writes it."""
    return Egress(ip_protocol="icmp", from_port=252, to_port=86, cidr_ip="255.255.255.255/32", description=what)

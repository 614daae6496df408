"""``[network]``: a range that a VPC may have, and services that PrivateLink knows."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from config.network import ENDPOINT_SERVICES

DEV = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")


def load(folder: Path, old: str, new: str) -> config.EnvironmentConfig:
    assert old in DEV
    (folder / "dev.toml").write_text(DEV.replace(old, new), encoding="utf-8")
    return config.load("dev", folder)


@pytest.mark.parametrize("cidr", ["10.255.0.0/16", "172.16.0.0/16", "172.31.240.0/20", "192.168.0.0/16", "10.0.4.0/22"])
def test_a_private_range_is_taken(cidr: str, tmp_path: Path) -> None:
    assert load(tmp_path, "10.20.0.0/16", cidr).network.cidr == cidr


@pytest.mark.parametrize(
    "cidr",
    [
        # What Python calls private too, and nothing in a VPC may have.
        *("0.0.0.0/16", "127.0.0.0/16", "169.254.0.0/16", "240.0.0.0/16", "198.18.0.0/16"),
        *("172.32.0.0/16", "192.169.0.0/16", "11.0.0.0/16", "172.200.0.0/16"),
        *("10.0.0.0/8", "10.0.0.0/23", "10.999.0.0/16", "10.20.0.1/16", "nothing", ""),
    ],
)
def test_a_network_that_is_not_private_or_none_at_all_is_refused(cidr: str, tmp_path: Path) -> None:
    with pytest.raises(
        config.ConfigError, match=rf'\[network\] cidr is "{cidr}"; give a private IPv4 range, .*10\.0\.0\.0/8'
    ):
        load(tmp_path, "10.20.0.0/16", cidr)


def test_services_are_taken_as_privatelink_names_them(tmp_path: Path) -> None:
    settings = load(tmp_path, "interface_endpoints = []", 'interface_endpoints = ["ecr.api", "logs"]')
    assert settings.network.interface_endpoints == ("ecr.api", "logs")


@pytest.mark.parametrize("service", ["foo", "ecr", "ecrxapi", "com.amazonaws.eu-west-1.logs", "s3", ""])
def test_a_service_that_has_no_endpoint_of_that_name_is_refused(service: str, tmp_path: Path) -> None:
    message = rf'\[network\] interface_endpoints holds "{service}"; give .*ecr\.api, .*config/network\.py'
    with pytest.raises(config.ConfigError, match=message):
        load(tmp_path, "interface_endpoints = []", f'interface_endpoints = ["{service}"]')


def test_every_service_that_is_taken_is_one_that_the_cdk_knows() -> None:
    from aws_cdk import aws_ec2 as ec2

    services = ec2.InterfaceVpcEndpointAwsService
    known = {getattr(services, name).short_name for name in dir(services) if name.isupper()}
    assert not set(ENDPOINT_SERVICES) - known

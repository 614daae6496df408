from __future__ import annotations

from pathlib import Path

import pytest

from tools.image.pip_access import mounts, read_settings

LISTING = """\
:env:.cert='/etc/of-the-variable.pem'
:env:.disable-pip-version-check='1'
global.cert='/etc/of-the-file.pem'
global.extra-index-url='\\nhttps://one.test/simple\\nhttps://two.test/simple'
user.index-url='https://packages.test/simple'
"""


def test_what_decides_where_packages_come_from_is_read_and_a_variable_wins() -> None:
    assert read_settings(LISTING, {}) == {
        "cert": "/etc/of-the-variable.pem",
        "extra-index-url": " https://one.test/simple https://two.test/simple",
        "index-url": "https://packages.test/simple",
    }


@pytest.mark.parametrize(
    ("listing", "expected"), [("", "/etc/machine.pem"), ("global.cert='/etc/own.pem'", "/etc/own.pem")]
)
def test_the_machines_certificates_count_unless_pip_has_its_own(listing: str, expected: str) -> None:
    assert read_settings(listing, {"SSL_CERT_FILE": "/etc/machine.pem"}) == {"cert": expected}


def test_a_machine_without_settings_gives_a_build_nothing(tmp_path: Path) -> None:
    assert mounts(read_settings("", {}), tmp_path) == []


def test_every_local_path_is_mounted_where_it_is(tmp_path: Path) -> None:
    wheels, index, cert = tmp_path / "wheels", tmp_path / "index" / "simple", tmp_path / "ca.pem"
    wheels.mkdir()
    index.mkdir(parents=True)
    cert.touch()
    settings = {
        "cert": str(cert),
        "extra-index-url": f"file://{index} https://one.test/simple",
        "find-links": f"{wheels} {tmp_path / 'gone'}",
    }
    found = mounts(settings, tmp_path)
    assert found[0].target == Path("/etc/pip.conf")
    assert found[0].source.read_text().splitlines() == ["[global]", *(f"{k} = {v}" for k, v in settings.items())]
    assert [mount.target for mount in found[1:]] == sorted([cert, index.parent, wheels])

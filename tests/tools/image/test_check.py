from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.image.base import FROM_BASE
from tools.image.buildah import TOOLS, Buildah, CheckFailed, install_tools
from tools.image.check import DOCKERFILE, check_content, checked
from tools.image.search import Layer, PushedImage

BASE = Layer({"usr/bin/python3": 100_000_000}, 40_000_000)
OWN = Layer({"opt/venv/bin/python": 0, "srv/app/api.py": 25_000_000}, 8_000_000)
GOOD = PushedImage({"User": "10001:10001", "Labels": {"org.opencontainers.image.revision": "abc"}}, (BASE, OWN))


def test_a_good_image_is_measured() -> None:
    assert check_content(GOOD, "abc") == "25.0 MB, 8.0 MB packed, on a base of 100 MB"


def with_file(path: str, size: int = 1) -> PushedImage:
    return replace(GOOD, layers=(BASE, OWN, Layer({path: size}, 1)))


BAD = {
    "another git SHA": (replace(GOOD, config={**GOOD.config, "Labels": {}}), "revision is None, not the git SHA abc"),
    "no labels": (replace(GOOD, config={"User": "10001:10001"}), "revision is None"),
    "no user": (replace(GOOD, config={**GOOD.config, "User": ""}), "user is , not 10001:10001"),
    "a stray file": (
        with_file("root/.cache/pip/http/a"),
        "files outside opt/venv/ and srv/app/ and srv/database/: root/.cache/pip",
    ),
    "a mounted file": (with_file("etc/pip.conf"), "files outside .*: etc/pip.conf"),
    "a schema": (with_file("srv/app/subgraph/schema/balancer.graphql"), "only the build needs: .*balancer.graphql"),
    "the generator": (with_file("opt/venv/lib/site-packages/ariadne_codegen/main.py"), "only the build needs"),
    "a lock file": (with_file("srv/app/requirements.lock"), "only the build needs"),
    "too much": (with_file("srv/app/data", 60_000_000), "adds 85 MB to its base; 80 MB are allowed"),
}


@pytest.mark.parametrize("fault", BAD)
def test_an_image_with_a_fault_is_told_which(fault: str) -> None:
    image, message = BAD[fault]
    with pytest.raises(CheckFailed, match=message):
        check_content(image, "abc")


def test_a_check_that_holds_is_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with checked("it holds") as note:
        note("3 places")
    assert capsys.readouterr().out == "OK    0.0 s  it holds (3 places)\n"


def test_a_check_that_does_not_hold_says_what_it_was_about(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckFailed, match="it holds: it does not"), checked("it holds"):
        raise CheckFailed("it does not")
    assert capsys.readouterr().out == ""


def test_the_base_is_known_from_the_dockerfile() -> None:
    found = FROM_BASE.search(DOCKERFILE.read_text())
    assert found
    assert found[2] == "3.13"


def test_a_build_that_fails_leaves_no_container_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep the secrets that the build had."""
    (tmp_path / "buildah").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "buildah").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    keys: Any = [tmp_path / "thegraph_fantom"]
    done = Buildah(tmp_path / "store", tmp_path / "base").build(tmp_path, DOCKERFILE, "tag", secrets=keys)
    assert "--force-rm" in done.stdout
    assert f"--secret=id=thegraph_fantom,src={keys[0]}" in done.stdout
    assert f"overlay.imagestore={tmp_path}/base/images" in done.stdout


def test_without_root_it_says_so() -> None:
    with pytest.raises(CheckFailed, match="run this as root"):
        install_tools(1000)


def test_without_apt_it_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckFailed, match="there is no buildah and no debootstrap, and no apt-get"):
        install_tools(0)


def test_with_everything_there_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in TOOLS:
        (tmp_path / command).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    install_tools(0)

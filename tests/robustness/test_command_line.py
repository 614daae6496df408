"""Whatever is typed, set around it, or refused by AWS: one clear message, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import botocore.endpoint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lambdas.aws.gateway import client_of
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.cli.main import app
from stepship.cli.options import prefer_aws_region
from stepship.host import Host
from tests.stepship.conftest import Desk, Refuse

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    ["status"],
    ["history"],
    ["explain"],
    ["explain", "some-name"],
    ["watch"],
    ["deploy", "v1"],
    ["plan", "v1"],
    ["rollback"],
    ["stop", "--yes"],
    ["approve", "--yes"],
    ["reject", "--yes", "--reason", "no"],
    ["pause", "why"],
    ["resume"],
)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(autouse=True)
def _fresh_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # botocore pauses between its tries.
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
    # The default session keeps the region and the credentials that it has found.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    client_of.cache_clear()
    yield
    client_of.cache_clear()


def told(*arguments: str, folder: Path = ROOT) -> tuple[int, str]:
    """Type a command with ``--json``; its one document and its one line say the same."""
    host = Host(lambda: 0.0, lambda _: None, {}, folder)
    result = CliRunner().invoke(app, [*arguments, "--json"], obj=host, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["exitCode"] == result.exit_code
    assert "Traceback" not in result.stderr
    if "Usage:" not in result.stderr:
        assert result.stderr == f"stepship: {document['error']}\n"
    return result.exit_code, document["error"]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SURROUNDINGS: dict[str, tuple[dict[str, str], str]] = {
    "no region": (CREDENTIALS, "no AWS region: set AWS_REGION"),
    "an empty region": (CREDENTIALS | {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "no AWS region: set AWS_REGION"),
    "a region that is no name": (CREDENTIALS | {"AWS_REGION": "not a region"}, "not a region"),
    "an endpoint that is no address": (
        CREDENTIALS | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "nowhere"},
        "correct AWS_REGION and AWS_ENDPOINT_URL",
    ),
    "nobody at the endpoint": (
        CREDENTIALS | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed_port()}"},
        "check the network, AWS_REGION and AWS_ENDPOINT_URL",
    ),
    "no credentials": (
        {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
        "no AWS credentials",
    ),
    "half of the credentials": ({"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a"}, "no AWS credentials"),
    "a profile that there is not": ({"AWS_REGION": "us-east-1", "AWS_PROFILE": "nobody"}, "correct AWS_PROFILE"),
}


@pytest.mark.parametrize("command", ["status", "deploy v1", "explain some-name", "resume"])
@pytest.mark.parametrize("case", SURROUNDINGS)
def test_a_wrong_environment_is_one_line_that_says_what_to_set(
    case: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ, words = SURROUNDINGS[case]
    typed = dict(environ)
    prefer_aws_region(typed)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for name, value in typed.items():
        monkeypatch.setenv(name, value)
    code, error = told(*command.split(), "--env", "dev")
    assert code == 1
    assert words in error


REFUSALS = {
    "ExpiredTokenException": "the AWS credentials have expired: renew them",
    "UnrecognizedClientException": "AWS does not accept the credentials",
    "AccessDeniedException": "these credentials lack",
    "SomethingNewException": "SomethingNewException",
}
FIRST_CALLS = (
    ("sts", "GetCallerIdentity"),
    ("ssm", "GetParametersByPath"),
    ("dynamodb", "GetItem"),
    ("dynamodb", "Query"),
)


@pytest.mark.parametrize("code", REFUSALS)
def test_what_aws_refuses_is_one_line_for_the_person_who_typed(code: str, refuse: Refuse) -> None:
    with SimulatedEnvironment(recovery=False) as simulated:
        for service, operation in (*FIRST_CALLS, ("dynamodb", "PutItem"), ("dynamodb", "DeleteItem")):
            refuse(service, operation, code, "is not authorized")
        for command in COMMANDS:
            typed = Desk(simulated)(*command, "--json")
            assert typed.exit_code == 1, command
            assert REFUSALS[code] in typed.document["error"], command
            assert typed.stderr == f"stepship: {typed.document['error']}\n"


words = st.sampled_from(
    [word for command in COMMANDS for word in command]
    + [
        "--env",
        "--app",
        "--limit",
        "--timeout",
        "--services",
        "--digest",
        "-x",
        "--",
        "",
        "\ud800",
        "../..",
        "0",
        "9" * 400,
    ]
) | st.text(max_size=8).filter(lambda text: text not in ("-h", "--help"))


@settings(derandomize=True, max_examples=80)
@given(st.lists(words, max_size=6))
def test_garbage_is_wrong_usage_or_has_no_region_and_prints_one_document(arguments: list[str]) -> None:
    arguments = [word for word in arguments if word not in ("--", "--json")]
    os.environ.update(CREDENTIALS)
    try:
        code, error = told(*arguments)
    finally:
        for name in CREDENTIALS:
            del os.environ[name]
    assert code in (1, 2)
    assert error


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe", "is not TOML"), (b"app = [", "is not TOML"), (b"app = 5", "which application")],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "dev.toml").write_bytes(content)
    code, error = told("status", folder=tmp_path)
    assert code == 2
    assert words in error
    assert "config/dev.toml" in error


def test_a_wrong_option_is_a_document_too_and_words_for_a_person() -> None:
    result = CliRunner().invoke(app, ["status", "--jsn", "--json"])
    assert json.loads(result.stdout) == {
        "error": "No such option: --jsn (Possible options: --env, --json)",
        "exitCode": 2,
    }
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    without = CliRunner().invoke(app, ["status", "--jsn"])
    assert (without.exit_code, without.stdout) == (2, "")


def test_a_scenario_that_cannot_be_used_is_a_document_too(tmp_path: Path) -> None:
    code, error = told("simulate", "--scenario", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "none.yaml" in error


def test_a_character_that_the_pipe_cannot_show_is_written_as_its_number() -> None:
    script = "from stepship.cli.options import write_any_text; write_any_text(); print('a\\ud800\\u2026')"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert printed.stdout.rstrip() == rb"a\ud800\u2026"

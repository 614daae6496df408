"""The commands as somebody types them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stepship.cli.main import app
from stepship.cli.options import prefer_aws_region

ROOT = Path(__file__).resolve().parents[3]
GOOD = "description: d\nimages: {v1: {}}\nmigration: false\nsteps: [{deploy: v1}]\n"


def stepship(*arguments: str) -> Result:
    """Type a command in this process; what main() adds is seen where a process is started."""
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "scenario.yaml"
    file.write_text(GOOD)
    return file


def test_help_is_quick_because_the_simulator_is_not_imported() -> None:
    script = "import sys; from stepship.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "simulate" in printed
    loaded = set(printed.split())
    assert not {"moto", "boto3", "simulator", "simulator.environment.simulated_environment", "config"} & loaded


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_each_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: stepship {command}" in re.sub(r"\x1b\[[0-9;]*m", "", result.output)


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_REGION": ""}, None),
    ],
)
def test_the_region_is_that_of_the_aws_cli(environ: dict[str, str], region: str | None) -> None:
    prefer_aws_region(environ)
    assert environ.get("AWS_DEFAULT_REGION") == region


def test_without_a_region_one_line_says_what_to_set(tmp_path: Path) -> None:
    script = "from stepship.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", script, "watch", "--env", "dev", "--app", "shop"],
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "stepship: no AWS region: set AWS_REGION, or a profile with a region in AWS_PROFILE\n"


def test_json_is_the_only_thing_on_stdout(scenario: Path) -> None:
    result = stepship("simulate", "--scenario", str(scenario), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert [each["status"] for each in document["deployments"]] == ["SUCCEEDED"]
    assert document["violations"] == []


def test_an_expectation_that_does_not_hold_exits_with_1(scenario: Path) -> None:
    scenario.write_text(GOOD + "expect: {tag: v2}\n")
    result = stepship("simulate", "--scenario", str(scenario))
    assert result.exit_code == 1
    assert "NOT AS EXPECTED /v3-backend/dev/compute/currentImageTag is v1, not v2" in result.stdout


def test_a_bad_file_exits_with_2_and_one_line(scenario: Path) -> None:
    scenario.write_text(GOOD.replace("deploy", "deplyo"))
    script = "from stepship.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", script, "simulate", "--scenario", str(scenario)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"stepship: {scenario}: steps[0].deplyo is unknown; did you mean deploy?\n"


@pytest.mark.parametrize("arguments", [["simulate"], ["simulate", "--scenario"], ["nothing"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_the_demo_in_ci_is_plain_lines_that_end_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = stepship("demo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    assert [line[:3] for line in lines if re.match(r"\d/5", line)] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert "       | KeyError: 'QUEUE_URL'" in lines
    assert "  Why deploy-v4 was rolled back at Run migration" in lines
    assert (
        "       - EventBridge started recovery-1, which waited until no function of deploy-v5 could still write."
        in lines
    )
    start = lines.index("At rest: the world compared with the invariant")
    assert [line[:8] for line in lines[start + 1 : start + 8]] == ["  ok    "] * 7
    outcomes = [word for line in lines[start + 9 :] for word in re.findall("Deployed|RolledBack|Stopped", line)]
    assert outcomes == ["Deployed", "Deployed", "RolledBack", "RolledBack", "Stopped", "Deployed"]

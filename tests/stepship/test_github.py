"""What GitHub Actions gets: annotations, outputs, a summary; nothing that it would obey by mistake."""

import re
from pathlib import Path

import pytest

from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from stepship.executions.job_summary import plain
from stepship.github import GitHub
from tests.stepship.conftest import Desk, Refuse
from tests.stepship.github_log import commands, outside_of_quotations

EVIL = ImageBehavior(
    outcome="crash", exit_code=3, logs=("::error::owned", "</pre><script>alert(1)</script>", "100% | done")
)


@pytest.fixture
def step(simulated: SimulatedEnvironment, tmp_path: Path) -> Desk:
    """A step of a workflow, in a world in which v1 is live."""
    for tag in ("v1", "v2"):
        simulated.push(tag)
    simulated.push("v3", per_service={"worker": EVIL})
    simulated.run({"imageTag": "v1"}, "first")
    return Desk(
        simulated,
        environ={
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "octocat",
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        },
    )


def outputs(file: Path) -> dict[str, str]:
    return {name: value for name, _, value in re.findall(r"(.+)<<(end-\w+)\n(.*)\n\2\n", file.read_text())}


def test_a_good_deploy_has_outputs_and_a_summary_and_no_annotation(step: Desk, tmp_path: Path) -> None:
    typed = step("deploy", "v2")
    assert (typed.exit_code, "::error" in typed.stdout) == (0, False)
    found = outputs(tmp_path / "output")
    assert list(found) == ["execution", "execution-url", "release-id", "digest", "outcome"]
    assert found["execution"].endswith(":v3-backend-dev-deploy:deploy-dev-v2-42-1")
    assert (found["outcome"], found["digest"][:7]) == ("Deployed", "sha256:")
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("### dev: Deployed\n")
    assert re.search(r"\| api \| 1 \| v3-backend\\@sha256:\w{12} \| v3-backend\\@sha256:\w{12} \|", text)
    assert '  s0["Verify image<br/>0 s"]' in text
    assert '--> ended(["Deployed"])' in text
    assert step.simulated.records()["deploy-dev-v2-42-1"].requested_by == "github:octocat"


def test_a_failed_one_is_annotated_and_explained(step: Desk, tmp_path: Path) -> None:
    typed = step("deploy", "v3")
    assert typed.exit_code == 3
    annotations = [line for line in typed.stdout.splitlines() if line.startswith("::error title=")]
    assert len(annotations) == 1
    assert annotations[0].startswith(
        "::error title=dev%3A Failed%2C and rolled back%3A everything runs what ran before::"
    )
    assert "100%25 | done" in annotations[0]
    text = (tmp_path / "summary.md").read_text()
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert outputs(tmp_path / "output")["outcome"] == "RolledBack"


def test_github_obeys_no_log_line_of_a_container(step: Desk) -> None:
    log = step("deploy", "v3").stdout
    assert "       | ::error::owned" in log.splitlines()
    others = [line for line in outside_of_quotations(log) if not line.startswith("::error title=dev")]
    assert [line for line in others if "owned" in line] == []


def test_with_json_the_commands_go_to_stderr(step: Desk) -> None:
    typed = step("deploy", "v3", "--json")
    assert typed.document["outcome"] == "RolledBack"
    assert "::error title=" in typed.stderr


def test_what_keeps_it_from_starting_is_annotated_too(step: Desk, tmp_path: Path) -> None:
    typed = step("deploy", "bad tag")
    assert "::error title=stepship deploy::imageTag" in typed.stdout
    assert (tmp_path / "summary.md").read_text().startswith("### dev: stepship deploy failed\nimageTag")


def test_a_permission_that_is_missing_names_where_the_role_comes_from(step: Desk, refuse: Refuse) -> None:
    refuse("stepfunctions", "StartExecution", "AccessDeniedException", "not authorized")
    (said,) = commands(step("deploy", "v2").stdout)
    assert "these credentials lack states:StartExecution" in said
    assert "`stepship infra deploy --env dev --stage bootstrap` gives the role of this workflow what it needs" in said


def test_who_started_the_run_again_is_who_asks(step: Desk) -> None:
    step.environ["GITHUB_TRIGGERING_ACTOR"] = "hubot"
    step("deploy", "v2")
    assert step.simulated.records()["deploy-dev-v2-42-1"].requested_by == "github:hubot"


def test_following_that_ends_before_the_deployment_says_how_to_go_on(step: Desk, tmp_path: Path) -> None:
    assert step("deploy", "v2", "--timeout", "20s").exit_code == 1
    assert outputs(tmp_path / "output")["outcome"] == "Running"
    assert "Re-run the job to follow it again" in (tmp_path / "summary.md").read_text()
    step.simulated.settle()


def test_an_execution_that_cannot_be_read_for_long_is_not_green(step: Desk, tmp_path: Path, refuse: Refuse) -> None:
    step("deploy", "v2", "--no-wait")
    refuse("stepfunctions", "GetExecutionHistory", "ThrottlingException", "Rate exceeded")
    step.simulated.settle()
    typed = step("watch", "deploy-dev-v2-42-1")
    assert typed.exit_code == 1
    assert sum(step.slept) > 600
    (said,) = commands(typed.stdout)
    assert "Rate exceeded; deploy-dev-v2-42-1 goes on. Follow it again: stepship watch deploy-dev-v2-42-1" in said
    assert outputs(tmp_path / "output")["outcome"] == "Running"


def test_waiting_for_a_person_is_a_notice(asking_world: SimulatedEnvironment, tmp_path: Path) -> None:
    asking_world.push("v1")
    desk = Desk(asking_world, environ={"GITHUB_ACTIONS": "true"})
    typed = desk("deploy", "v1", "--timeout", "20s")
    said = commands(typed.stdout)
    assert len(said) == 2
    assert said[0].startswith(
        "::notice title=dev%3A waits for approval::action needed, approve or reject it: stepship approve"
    )
    assert said[1].startswith("::warning title=dev%3A Still running::")
    asking_world.settle()


def test_outputs_cannot_be_forged_by_a_value(tmp_path: Path) -> None:
    file = tmp_path / "output"
    github = GitHub.of({"GITHUB_OUTPUT": str(file)}, as_json=False)
    github.outputs({"a": "x\nend\noutcome<<end\nDeployed\nend"})
    github.outputs({"b": "1"})
    lines = file.read_text().splitlines()
    assert lines[-3].startswith("b<<end-")
    delimiter = lines[0].removeprefix("a<<")
    assert len(delimiter) > 30
    assert lines.count(delimiter) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a_b*c", r"a\_b\*c"), ("<b>|x", "&lt;b&gt;\\|x"), ("one\ntwo", "one two"), ("[x](y)", r"\[x\](y)")],
)
def test_markdown_shows_text_as_it_is(text: str, expected: str) -> None:
    assert plain(text) == expected

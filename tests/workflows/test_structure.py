"""Rules that hold in every workflow: pinned actions, few permissions, no foreign text in a shell."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from config import environments, load
from stacks import names
from tests.workflows.workflow import FOLDER, ROOT, WORKFLOWS, jobs, steps

PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
DEPLOYING = ("deploy-code.yml", "deploy-infra.yml", "rollback-code.yml")

ALL_JOBS = [pytest.param(file, name, job, id=f"{file}:{name}") for file, name, job in jobs()]
ALL_STEPS = [pytest.param(file, job, each, id=f"{file}:{job}:{each['name']}") for file, job, each in steps()]


def every_text(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in every_text(item)]
    if isinstance(value, list):
        return [text for item in value for text in every_text(item)]
    return [str(value)]


@pytest.mark.parametrize("file", WORKFLOWS)
def test_actions_are_pinned_to_commits_and_say_which_version_that_is(file: str) -> None:
    lines = [line.strip().removeprefix("- ") for line in (FOLDER / file).read_text(encoding="utf-8").splitlines()]
    foreign = [line for line in lines if line.startswith("uses: ") and not line.startswith("uses: ./")]

    assert [line for line in foreign if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_pin() -> None:
    pins: dict[str, set[str]] = {}
    for _, _, each in steps():
        if "uses" in each:
            action, _, commit = each["uses"].partition("@")
            pins.setdefault(action, set()).add(commit)

    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_gives_no_permission_by_itself(file: str) -> None:
    assert WORKFLOWS[file]["permissions"] == {}


@pytest.mark.parametrize(("file", "name", "job"), ALL_JOBS)
def test_a_job_has_what_it_needs_and_an_end(file: str, name: str, job: dict[str, Any]) -> None:
    assert set(job["permissions"].items()) <= {("contents", "read"), ("id-token", "write")}
    assert "uses" in job or 0 < job["timeout-minutes"] <= 360
    assert "pull_request_target" not in WORKFLOWS[file]["on"]


@pytest.mark.parametrize(("file", "name", "job"), ALL_JOBS)
def test_only_a_job_of_a_github_environment_gets_aws_credentials(file: str, name: str, job: dict[str, Any]) -> None:
    uses = [each.get("uses", "") for each in job.get("steps", ())]
    takes_role = any(action.startswith("aws-actions/configure-aws-credentials@") for action in uses)

    assert takes_role == ("environment" in job)
    if "uses" not in job:
        assert takes_role == ("id-token" in job["permissions"])


@pytest.mark.parametrize("file", WORKFLOWS)
def test_no_key_of_aws_is_kept_in_github(file: str) -> None:
    text = (FOLDER / file).read_text(encoding="utf-8")
    secrets = set(re.findall(r"secrets\.(\w+)", text))

    assert secrets <= {"THEGRAPH_BALANCER", "THEGRAPH_FANTOM"}
    assert "aws-access-key-id" not in text
    assert "secrets: inherit" not in text


@pytest.mark.parametrize(("file", "job", "each"), ALL_STEPS)
def test_shell_gets_everything_by_its_environment(file: str, job: str, each: dict[str, Any]) -> None:
    assert "${{" not in each.get("run", "")
    assert each.get("shell", WORKFLOWS[file]["defaults"]["run"]["shell"]) == "bash"


@pytest.mark.parametrize(("file", "job", "each"), ALL_STEPS)
def test_a_checkout_leaves_no_token_behind(file: str, job: str, each: dict[str, Any]) -> None:
    if each.get("uses", "").startswith("actions/checkout@"):
        assert each["with"]["persist-credentials"] is False


def test_a_deploy_of_code_never_runs_cdk() -> None:
    shell = [each["run"] for file, _, each in steps() if file == "deploy-code.yml" and "run" in each]

    assert [text for text in shell if re.search(r"\bcdk\b|cloudformation|node_modules|npm|\binfra\b", text)] == []


def test_what_is_installed_is_installed_before_there_are_credentials() -> None:
    installed = {}
    for file, name, job in jobs():
        names = [each["name"] for each in job.get("steps", ())]
        if "Install" in names and "Get AWS credentials" in names:
            installed[f"{file}:{name}"] = names.index("Install") < names.index("Get AWS credentials")

    assert installed == {
        "deploy-code.yml:deploy": True,
        "deploy-infra.yml:deploy": True,
        "rollback-code.yml:rollback": True,
    }


def test_what_follows_for_hours_takes_the_role_of_the_job_again_and_again() -> None:
    roles = {}
    for file, name, job in jobs():
        for each in job.get("steps", ()):
            if "AWS_ROLE_ARN" in each.get("env", {}):
                (first,) = (other["with"] for other in job["steps"] if "role-to-assume" in other.get("with", {}))
                roles[f"{file}:{name}"] = each["env"]["AWS_ROLE_ARN"] == first["role-to-assume"]

    assert roles == {"deploy-code.yml:deploy": True, "rollback-code.yml:rollback": True}


def test_environments_are_those_of_the_config() -> None:
    for file in DEPLOYING:
        assert set(WORKFLOWS[file]["on"]["workflow_dispatch"]["inputs"]["environment"]["options"]) == set(
            environments()
        )


def test_a_branch_that_is_pushed_deploys_and_is_checked() -> None:
    pushed = {file: on["push"] for file, on in ((file, each["on"]) for file, each in WORKFLOWS.items()) if "push" in on}

    assert set(pushed) == {"ci.yml", "deploy-code.yml"}
    assert all(each == {"branches": ["develop", "staging", "main"]} for each in pushed.values())


def test_one_environment_is_changed_by_one_job_at_a_time_and_a_rollback_waits_for_none() -> None:
    groups = {
        f"{file}:{name}": job["concurrency"]["group"]
        for file, name, job in jobs()
        if file in DEPLOYING and "concurrency" in job
    }

    assert groups == {
        "deploy-code.yml:image": "image-${{ needs.plan.outputs.environment }}",
        "deploy-code.yml:deploy": "deploy-${{ needs.plan.outputs.environment }}",
        "deploy-infra.yml:deploy": "deploy-${{ inputs.environment }}",
        "rollback-code.yml:rollback": "rollback-${{ inputs.environment }}",
    }
    assert all(job["concurrency"]["cancel-in-progress"] is False for file, _, job in jobs() if "concurrency" in job)


def test_jobs_take_the_roles_that_the_stacks_make() -> None:
    """The trust of a role names the GitHub environment: a job elsewhere could not have it."""
    taken = set()
    for file, name, job in jobs():
        for each in job.get("steps", ()):
            if "role-to-assume" in each.get("with", {}):
                where = job["environment"]
                where = where["name"] if isinstance(where, dict) else where
                role = each["with"]["role-to-assume"].rpartition("/")[2]
                for expression in ("needs.plan.outputs.environment", "inputs.environment"):
                    role, where = (text.replace(f"${{{{ {expression} }}}}", "dev") for text in (role, where))
                taken.add((f"{file}:{name}", where, role.replace("${{ env.APP }}", WORKFLOWS[file]["env"]["APP"])))
    known = names.Names(load("dev"))

    assert taken == {
        ("deploy-code.yml:image", "dev", known.code_role),
        ("deploy-code.yml:deploy", "dev", known.code_role),
        ("rollback-code.yml:rollback", "dev", known.code_role),
        ("deploy-infra.yml:deploy", "dev-infra", known.infra_role),
    }


def test_production_is_never_coupled_by_a_push() -> None:
    coupled = WORKFLOWS["deploy-code.yml"]["jobs"]["coupled"]

    assert coupled["uses"] == "./.github/workflows/deploy-infra.yml"
    assert "needs.plan.outputs.environment != 'production'" in coupled["if"]
    assert "confirmation" not in WORKFLOWS["deploy-infra.yml"]["on"]["workflow_call"]["inputs"]


def test_only_the_image_is_built_with_secrets_and_they_are_no_build_arguments() -> None:
    (build,) = (each for _, _, each in steps() if each.get("uses", "").startswith("docker/build-push-action@"))
    secret = [text for _, _, each in steps() for text in every_text(each) if "secrets." in text]

    assert secret == [build["with"]["secrets"]]
    assert "secrets." not in build["with"]["build-args"]
    assert build["with"]["platforms"] == "linux/arm64"


def test_every_make_target_that_a_workflow_runs_exists() -> None:
    shell = "\n".join(each["run"] for _, _, each in steps() if "run" in each)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = {"$(READY)": ".venv/.ready", "$(NODE_READY)": "node_modules/.ready"}
    targets = {variables.get(each, each) for each in re.findall(r"^([a-z0-9-]+|\$\(\w+\)):", makefile, re.MULTILINE)}
    words = {word for line in re.findall(r"\bmake ([^\n;]+)", shell) for word in line.split()}
    named = {word for word in words if "=" not in word}

    assert named - targets == set()


def test_the_pins_are_moved_by_dependabot() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]

    assert [each["package-ecosystem"] for each in updates] == ["github-actions"]


def test_the_readme_names_all_that_has_to_be_set_up_in_github() -> None:
    text = "".join((FOLDER / file).read_text(encoding="utf-8") for file in WORKFLOWS)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    settings = set(re.findall(r"(?:vars|secrets)\.([A-Z_]+)", text))

    assert {name for name in settings if f"`{name}`" not in readme} == set()
    assert {file for file in WORKFLOWS if f"]({file})" not in readme} == set()

"""What an execution is called, and what becomes of one that has the name."""

import json
from typing import Any

import pytest

from stepship.executions.names import CiRun, Names, Next, ci_run, judge, names, slug, subject
from stepship.machine import Description

COMMIT = "6f1c5d2e8a9b4c7d3e2f1a0b9c8d7e6f5a4b3c2d"
WANTED = {"action": "deploy", "imageTag": "v1", "environment": "dev", "requestedBy": "github:one"}
AT = 1_767_603_630.0  # 2026-01-05T09:00:30Z


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "2"}, CiRun("42", "2")),
        ({"GITHUB_RUN_ID": "42"}, CiRun("42")),
        ({"CODEBUILD_BUILD_ID": "shop:1f0c"}, CiRun("shop:1f0c")),
        ({"CI_PIPELINE_ID": "7", "CI_JOB_ID": "9"}, CiRun("7", "9")),
        ({"BUILD_TAG": "jenkins-shop-12"}, CiRun("jenkins-shop-12")),
    ],
)
def test_the_ci_system_says_which_run_this_is(environ: dict[str, str], expected: CiRun | None) -> None:
    assert ci_run(None, environ) == expected


def test_a_run_id_that_is_given_goes_before_what_the_ci_system_says() -> None:
    assert ci_run("mine", {"GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "1"}) == CiRun("mine")


@pytest.mark.parametrize(
    ("what", "run", "expected"),
    [
        (f"sha-{COMMIT}", CiRun("42", "1"), "deploy-production-sha-6f1c5d2e8a9b-42-1"),
        (f"sha256:{'ab' * 32}", CiRun("42", "1"), "deploy-production-abababababab-42-1"),
        ("v1.2", CiRun("42"), f"deploy-production-{slug('v1.2', 20)}-42"),
        ("v1", None, "deploy-production-v1-20260105-090030"),
    ],
)
def test_the_name_says_what_where_and_which_run(what: str, run: CiRun | None, expected: str) -> None:
    assert names("deploy", "production", what, run, AT).first == expected


def test_a_name_is_never_too_long_and_has_only_what_a_name_may_have() -> None:
    run = CiRun("a-project-with-a-long-name:8d5b1c1e-7f4a-4c39-9a53-000000000000", "123456789")
    name = names("rollback", "e" * 63, "t/ä" * 60, run, AT).number(49)
    assert len(name) <= 80
    assert name.replace("-", "").replace("_", "").isalnum()
    assert name.isascii()


def test_what_is_cut_or_replaced_stays_different() -> None:
    texts = ["a" * 30, "a" * 31, "a.b", "a-b", "a:b"]
    assert len({slug(text, 20) for text in texts}) == len(texts)
    assert subject("v" * 40) != subject("v" * 41)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("deploy-dev-v1-42-1", True),
        ("deploy-dev-v1-42-1-2", True),
        ("deploy-dev-v1-42-2", True),
        ("deploy-dev-v1-421-1", False),
        ("deploy-dev-v1", False),
    ],
)
def test_all_attempts_of_a_run_are_one_family(name: str, ours: bool) -> None:
    assert names("deploy", "dev", "v1", CiRun("42", "3"), AT).has(name) is ours
    assert not Names("deploy-dev-v1-20260105-090030").has(name)


def execution(status: str, outcome: str = "", **changes: Any) -> Description:
    output = json.dumps({"outcome": outcome}) if outcome else None
    return Description("arn:x:e", status, AT, None, {**WANTED, **changes}, output)


@pytest.mark.parametrize(
    ("found", "is_retry", "expected"),
    [
        (None, True, Next.NEW),
        (execution("RUNNING"), True, Next.ATTACH),
        (execution("RUNNING"), False, Next.ATTACH),
        (
            execution("RUNNING", requestedBy="arn:aws:sts::1:assumed-role/ci/other-session", reason="r"),
            True,
            Next.ATTACH,
        ),
        (execution("RUNNING", imageTag="v2"), True, Next.NEW),
        (execution("RUNNING", force=True), True, Next.NEW),
        (execution("SUCCEEDED", "Deployed"), True, Next.REPORT),
        (execution("SUCCEEDED", "NothingToDo"), True, Next.REPORT),
        # It was overtaken: trying again would go back on what came after it.
        (execution("SUCCEEDED", "Superseded"), True, Next.REPORT),
        (execution("SUCCEEDED", "Deployed"), False, Next.NEW),
        (execution("SUCCEEDED", "Deployed", services=["api"]), True, Next.NEW),
        (execution("FAILED"), True, Next.NEW),
        (execution("ABORTED"), True, Next.NEW),
        (execution("TIMED_OUT"), True, Next.NEW),
        (execution("SUCCEEDED"), True, Next.NEW),
    ],
)
def test_what_becomes_of_an_execution_that_has_the_name(
    found: Description | None, is_retry: bool, expected: Next
) -> None:
    assert judge(found, WANTED, is_retry=is_retry) == expected

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.codec import encode
from lambdas.release.errors import InvalidInput
from lambdas.release.request import ECR_PUSH, Request, check_request
from lambdas.release.wording import shorten

ROLLBACK: dict[str, Any] = {"action": "rollback"}

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another environment": ({"image_tag": "v1", "environment": "production"}, "environment", "'production'"),
    "another environment, rollback": (ROLLBACK | {"environment": "staging"}, "environment", "leave the field out"),
    "a deploy of nothing": ({}, "imageTag", "give the tag that was pushed"),
    "a deploy to a release": ({"image_tag": "v1", "release_id": "r-1"}, "releaseId", "only a rollback takes it"),
    "a deploy with a takeover": ({"image_tag": "v1", "takeover": "arn"}, "takeover", "only a rollback takes it"),
    "a rollback to a tag": (ROLLBACK | {"image_tag": "v1"}, "imageTag", "a rollback takes releaseId"),
    "a rollback to a digest": (ROLLBACK | {"image_digest": "sha256:0"}, "imageDigest", "a rollback takes releaseId"),
    "a frozen rollback": (ROLLBACK | {"override_freeze": "urgent"}, "overrideFreeze", "a rollback is never frozen"),
    "a rollback of some": (ROLLBACK | {"services": ("api",)}, "services", "leave it out"),
    "a takeover to a release": (ROLLBACK | {"takeover": "arn", "release_id": "r-1"}, "takeover", "leave out releaseId"),
}


@pytest.mark.parametrize(("fields", "field", "words"), REFUSED.values(), ids=REFUSED)
def test_a_contradiction_is_refused_with_field_and_fix(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_request(Request(**fields), "dev")
    assert str(refused.value).startswith(f"{field}: ")
    assert words in str(refused.value)


ALLOWED: dict[str, dict[str, Any]] = {
    "a tag": {"image_tag": "v1"},
    "a digest": {"image_digest": "sha256:0"},
    "tag and digest": {"image_tag": "v1", "image_digest": "sha256:0"},
    "some services, no migration, dry, forced": {
        "image_tag": "v1",
        "services": ("api",),
        "run_migration": False,
        "dry_run": True,
        "force": True,
    },
    "its own environment": {"image_tag": "v1", "environment": "dev"},
    "a rollback": ROLLBACK,
    "a rollback to a release": ROLLBACK | {"release_id": "r-1"},
    "a takeover": ROLLBACK | {"takeover": "arn"},
}


@pytest.mark.parametrize("fields", ALLOWED.values(), ids=ALLOWED)
def test_a_request_that_makes_sense_passes(fields: dict[str, Any]) -> None:
    check_request(Request(**fields), "dev")


@given(st.builds(Request, action=st.sampled_from(["deploy", "rollback"])))
def test_every_refusal_names_a_field_of_the_input(request_: Request) -> None:
    try:
        check_request(request_, "dev")
    except InvalidInput as error:
        field, _, fix = str(error).partition(": ")
        assert field in encode(request_)
        assert fix


@pytest.mark.parametrize(
    ("value", "expected"),
    [("short", "short"), ("x" * 10, "x" * 10), ("x" * 11, "x" * 9 + "…"), (["a"], "['a']"), (None, "None")],
    ids=["short", "at the limit", "over the limit", "no text", "nothing"],
)
def test_a_wrong_value_is_repeated_as_far_as_it_helps(value: object, expected: str) -> None:
    assert shorten(value, 10) == expected


def test_what_is_nested_too_deep_to_be_shown_is_said_to_be() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shorten(deep) == "something nested too deep"


@pytest.mark.parametrize(
    ("request_", "is_push"),
    [
        (Request(image_tag="v1", requested_by=ECR_PUSH), True),
        (Request(image_tag="v1", requested_by="person:somebody"), False),
        (Request(image_tag="v1"), False),
        (Request("rollback", requested_by=ECR_PUSH), False),
    ],
)
def test_a_push_asks_for_a_deploy_under_the_name_of_its_rule(request_: Request, is_push: bool) -> None:
    assert request_.is_push is is_push

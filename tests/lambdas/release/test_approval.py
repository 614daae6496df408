from __future__ import annotations

from typing import Any

import pytest

from lambdas.release.approval import Approval, read_approval, rejection_message, require_approval
from lambdas.release.errors import ApprovalRejected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"approvedBy": "anna"}, Approval("anna")),
        ({"approvedBy": "anna", "reason": "tested"}, Approval("anna", "tested")),
        ({"approvedBy": "anna", "reason": ""}, Approval("anna")),
        ({"approvedBy": "anna", "reason": 7}, Approval("anna")),
        ({"approvedBy": "a" * 300}, Approval("a" * 255 + "…")),
        ({"approvedBy": "  "}, None),
        ({"approvedBy": None}, None),
        ({}, None),
        ("yes", None),
        (None, None),
        ([1], None),
    ],
)
def test_an_answer_may_be_any_json_and_names_somebody_or_nobody(answer: Any, expected: Approval | None) -> None:
    assert read_approval(answer) == expected


@pytest.mark.parametrize(
    ("approved_by", "requested_by", "requester_may", "counts"),
    [
        ("anna", "ben", False, True),
        ("anna", None, False, True),
        ("anna", "anna", False, False),
        ("Anna", "anna", False, False),
        ("anna", "anna", True, True),
    ],
)
def test_who_asked_may_not_approve_unless_the_config_says_so(
    approved_by: str, requested_by: str | None, requester_may: bool, counts: bool
) -> None:
    def answer() -> None:
        require_approval({"approvedBy": approved_by}, requested_by, requester_may_approve=requester_may)

    if counts:
        answer()
    else:
        with pytest.raises(ApprovalRejected, match="anna asked for this deployment and may not approve it; let"):
            answer()


def test_a_yes_from_nobody_does_not_count() -> None:
    with pytest.raises(ApprovalRejected, match=r"names nobody; use stepship approve, or send the output \{"):
        require_approval({"status": "ok"}, "anna", requester_may_approve=True)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ('{"rejectedBy": "anna", "reason": "not today"}', "rejected by anna: not today"),
        ('{"rejectedBy": "anna"}', "rejected by anna"),
        ("not today", "not today"),
        ('{"reason": "not today"}', '{"reason": "not today"}'),
        ("[1]", "[1]"),
    ],
)
def test_a_no_says_who_and_why(cause: str, message: str) -> None:
    assert rejection_message(cause) == message

"""An explanation is read by a person, whoever has written it."""

from __future__ import annotations

import json

import pytest

from stepship.views.explanation_text import explanation_lines

LAMBDA_SAYS = json.dumps(
    {
        "errorMessage": "Record outcome: dynamodb:transact_write_items: AccessDeniedException: not authorized",
        "errorType": "AccessDenied",
        "stackTrace": ['  File "/var/task/lambdas/observability.py", line 134, in run'],
    }
)


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (LAMBDA_SAYS, "dynamodb:transact_write_items: AccessDeniedException: not authorized"),
        ("State 'Record outcome' timed out", "State 'Record outcome' timed out"),
        ('{"cut off', '{"cut off'),
        (None, "no step says why"),
    ],
    ids=["what-lambda-says", "what-step-functions-says", "no-json", "nothing"],
)
def test_the_cause_of_a_last_step_that_failed_is_read_as_a_sentence(message: str | None, read: str) -> None:
    assert list(explanation_lines({"message": message})) == [("message", read)]

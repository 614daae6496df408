"""``[dynamodb]``: the application's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DynamoDb:
    """``[dynamodb]``: one table on demand, in which items of several kinds stand beside each other.

    Attributes
    ----------
    enabled
        Whether this environment has it.
    max_read_units, max_write_units
        So many request units a second and no more: a loop that never ends costs no more than that.
    recovery_days
        How far back the table can be restored, to any second (DynamoDB Developer Guide: 1 to 35).
    """

    enabled: bool
    max_read_units: int
    max_write_units: int
    recovery_days: int

"""Give pools from before there was a time to live the one that they would have had."""

from __future__ import annotations

from collections.abc import Callable

from app.chains import CHAINS
from app.table import KEEP_SECONDS, PoolsTable


def apply(table: PoolsTable, keep_going: Callable[[], None]) -> int:
    """Add ``expiresAt`` to the pools that lack it; a pool that the worker writes meanwhile keeps its own."""
    changed = 0
    for name in CHAINS:
        for item in table.query(f"pools#{name}"):
            keep_going()
            if "expiresAt" not in item:
                changed += table.update(
                    (item["pk"], item["sk"]),
                    "SET #expiresAt = :at",
                    "attribute_exists(#pk) AND attribute_not_exists(#expiresAt)",
                    {":at": item["readAt"] + KEEP_SECONDS},
                )
    return changed

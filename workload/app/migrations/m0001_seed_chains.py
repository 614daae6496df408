"""Write what the API says of the chains."""

from __future__ import annotations

from collections.abc import Callable

from app.chains import CHAINS
from app.table import PoolsTable


def apply(table: PoolsTable, keep_going: Callable[[], None]) -> int:
    """Write one item for each chain."""
    for chain in CHAINS.values():
        keep_going()
        table.put(
            {
                "pk": "chains",
                "sk": chain.name,
                "title": chain.title,
                "network": chain.network,
                "chainId": chain.chain_id,
            }
        )
    return len(CHAINS)

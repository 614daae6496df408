"""Where the API gets its pools: from the table, or else from the subgraph, whose answers it keeps for a short time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from app.chains import CHAINS, Chain
from app.pools import Reading
from app.subgraphs import SubgraphFailed, Subgraphs
from app.table import PoolsTable

MAX_POOLS = 100
"""How many pools of a chain are kept, and the most that one request gets."""

FAILURE_SECONDS = 5
"""How long a failure is repeated without asking again: requests must not queue up behind a subgraph that hangs."""


@dataclass(frozen=True)
class Found:
    """Pools, and where they are from: ``table`` or ``subgraph``."""

    source: str
    reading: Reading


class PoolsReader:
    """Reads pools; threads may share it.

    Parameters
    ----------
    table, subgraphs
        Both places.
    clock
        Returns Unix seconds.
    cache_seconds
        How long the list of a chain is kept.
    """

    def __init__(
        self, table: PoolsTable, subgraphs: Subgraphs, clock: Callable[[], float], cache_seconds: float
    ) -> None:
        self._table, self._subgraphs = table, subgraphs
        self._cached = {name: _Cached(subgraphs, chain, clock, cache_seconds) for name, chain in CHAINS.items()}

    def pools(self, chain: Chain, first: int) -> Found:
        """Return the ``first`` largest pools of a chain.

        Raises
        ------
        AwsFailed, SubgraphError
            There are none to be had.
        """
        kept = self._table.pools(chain)
        found = Found("table", kept) if kept else Found("subgraph", self._cached[chain.name].get())
        return Found(found.source, found.reading.model_copy(update={"pools": found.reading.pools[:first]}))

    def pool(self, chain: Chain, id: str) -> Found:
        """Return the pool with this id, or a reading without pools when there is no such pool; raises as ``pools``."""
        kept = self._table.pool(chain, id)
        return Found("table", kept) if kept else Found("subgraph", self._subgraphs.pool(chain, id))


class _Cached:
    """The list of one chain. Requests that come at once wait for one answer together."""

    def __init__(self, subgraphs: Subgraphs, chain: Chain, clock: Callable[[], float], seconds: float) -> None:
        self._subgraphs, self._chain, self._clock, self._seconds = subgraphs, chain, clock, seconds
        self._lock = threading.Lock()
        self._answer: Reading | SubgraphFailed | None = None
        self._good_until = 0.0

    def get(self) -> Reading:
        with self._lock:
            if self._answer is None or self._clock() >= self._good_until:
                try:
                    self._answer = self._subgraphs.pools(self._chain, MAX_POOLS)
                    self._good_until = self._clock() + self._seconds
                except SubgraphFailed as error:
                    self._answer = error
                    self._good_until = self._clock() + FAILURE_SECONDS
            if isinstance(self._answer, SubgraphFailed):
                raise SubgraphFailed(str(self._answer))
            return self._answer

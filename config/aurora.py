"""``[aurora]``: the PostgreSQL cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Aurora:
    """``[aurora]``: an Aurora Serverless v2 cluster, and with it the SQL migrations.

    Attributes
    ----------
    enabled
        Whether this environment has it.
    min_acu, max_acu
        Between how many Aurora capacity units (2 GiB of memory each) the instances scale; from 0 the cluster sleeps
        after five minutes without a connection, and wakes in some fifteen seconds (Aurora User Guide, "Scaling to
        zero ACUs").
    readers
        How many instances beside the writer; the first of them takes over when the writer's zone fails.
    backup_days
        How far back the cluster can be restored, to any second (Aurora User Guide: 1 to 35).
    """

    enabled: bool
    min_acu: int
    max_acu: int
    readers: int
    backup_days: int

    def contradictions(self) -> Iterator[tuple[str, str, str]]:
        """Yield (key, what is wrong, the fix) for values that are good alone and wrong together."""
        if self.min_acu > self.max_acu:
            yield (
                "[aurora] min_acu",
                f"is {self.min_acu}, more than max_acu = {self.max_acu}",
                f"give {self.max_acu} or less",
            )

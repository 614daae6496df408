"""``[search]``: the search server and its functions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Search:
    """``[search]``: one Typesense server, and the functions that write to it and ask it.

    Attributes
    ----------
    enabled
        Whether this environment has it.
    image
        The server's official image with its version; another one is an upgrade, by an infrastructure deploy.
    cpu, memory
        Fargate's CPU units and MiB. Typesense holds its whole index in memory: 2 to 3 times the size of the fields
        that are searched (Typesense, "System requirements").
    """

    enabled: bool
    image: str
    cpu: int
    memory: int

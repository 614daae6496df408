"""The chains whose pools are known, and where their subgraphs are.

The generator of the client runs with this module and the standard library alone: import nothing here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GATEWAY = "https://gateway.thegraph.com/api"
"""The Graph's gateway: it takes the API key as ``Authorization: Bearer …``, so that no URL ever holds one."""

KEY = re.compile(r"[A-Za-z0-9._-]+")
"""What can be an API key. Anything else would be quoted by the HTTP library's error about an illegal header."""

NO_KEY = ("", "not-set")
"""What stands in the place of a key that nobody has filled in yet."""


@dataclass(frozen=True)
class Chain:
    """A chain and its subgraph.

    Attributes
    ----------
    name
        In URLs, in jobs, and the name of the generated client.
    title, network, chain_id
        For people, and the network's name and number in EIP-155.
    path
        Below the gateway's URL.
    secret
        Name of the build secret that holds the API key.
    variable
        The environment variable that holds it at run time.
    """

    name: str
    title: str
    network: str
    chain_id: int
    path: str
    secret: str
    variable: str

    def url(self, gateway: str = GATEWAY) -> str:
        """Return the subgraph's URL; it holds no key."""
        return f"{gateway}/{self.path}"


CHAINS = {
    chain.name: chain
    for chain in (
        Chain(
            name="balancer",
            title="Balancer v2",
            network="ethereum",
            chain_id=1,
            path="subgraphs/id/C4ayEZP2yTXRAB8vSaTrgN4m9anTe9Mdm2ViyiAuV9TV",
            secret="thegraph_balancer",  # noqa: S106 (its name, not its value)
            variable="THEGRAPH_BALANCER_KEY",
        ),
        Chain(
            name="fantom",
            title="Beethoven X",
            network="fantom",
            chain_id=250,
            path="deployments/id/Qme9r1RTFZ6hEZ4ebPSmo3J81FNHhjeNZs5nBaSGTzb2hb",
            secret="thegraph_fantom",  # noqa: S106 (its name, not its value)
            variable="THEGRAPH_FANTOM_KEY",
        ),
    )
}

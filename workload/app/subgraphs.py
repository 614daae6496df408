"""The subgraphs, through their typed clients; this is the only module that knows these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import httpx

from app.chains import Chain
from app.generated import balancer, fantom
from app.pools import Pool, Reading, Token
from app.settings import Settings

Client = balancer.Client | fantom.Client
CLIENTS: dict[str, type[Client]] = {"balancer": balancer.Client, "fantom": fantom.Client}
TIMEOUT = httpx.Timeout(10.0, connect=5.0)

WRONG_ANSWER = (balancer.GraphQLClientError, fantom.GraphQLClientError, ValueError, KeyError, TypeError)
"""What the generated code raises when the answer is an error, no JSON, or not of the schema's shape."""

Clock = Callable[[], float]


class SubgraphError(Exception):
    """A subgraph gave no pools.

    ├── NoKey           nobody has filled in the API key
    └── SubgraphFailed  it could not be reached, refused, or answered nonsense
    """


class NoKey(SubgraphError):
    """The message names the environment variable."""


class SubgraphFailed(SubgraphError):
    """The message is for logs: it may quote the subgraph, without the key."""


class Subgraphs(Protocol):
    """Where pools come from."""

    def pools(self, chain: Chain, first: int) -> Reading:
        """Return the largest pools of a chain; NoKey or SubgraphFailed when there are none to be had."""

    def pool(self, chain: Chain, id: str) -> Reading:
        """Return one pool, or a reading without pools when the chain has no such pool; raises as ``pools``."""


class GatewaySubgraphs:
    """The subgraphs behind The Graph's gateway.

    Parameters
    ----------
    settings
        The gateway's URL and the API keys.
    clock
        Returns Unix seconds.
    transport
        What sends the requests; the network by default.
    """

    def __init__(self, settings: Settings, clock: Clock, transport: httpx.BaseTransport | None = None) -> None:
        self._settings, self._clock = settings, clock
        # Any: the generated protocol allows positional arguments that httpx does not, and uses none.
        self._http: Any = httpx.Client(timeout=TIMEOUT, transport=transport)

    def pools(self, chain: Chain, first: int) -> Reading:
        """Return the ``first`` largest pools."""
        client, headers = self._client(chain)
        try:
            answer = client.list_pools(first=first, headers=headers)
        except (*WRONG_ANSWER, httpx.HTTPError) as error:
            raise self._failed(chain, error) from None
        return self._reading(answer.meta, answer.pools)

    def pool(self, chain: Chain, id: str) -> Reading:
        """Return the pool with this id."""
        client, headers = self._client(chain)
        try:
            answer = client.get_pool(id=id, headers=headers)
        except (*WRONG_ANSWER, httpx.HTTPError) as error:
            raise self._failed(chain, error) from None
        return self._reading(answer.meta, [answer.pool] if answer.pool else [])

    def _client(self, chain: Chain) -> tuple[Client, dict[str, str]]:
        key = self._settings.key(chain)
        if key is None:
            raise NoKey(f"{chain.name}: there is no API key; {chain.variable} is empty or not set")
        url = chain.url(self._settings.gateway)
        return CLIENTS[chain.name](url=url, http_client=self._http), {"Authorization": f"Bearer {key}"}

    def _failed(self, chain: Chain, error: Exception) -> SubgraphFailed:
        said = f"{type(error).__name__}: {error}"
        for secret in self._settings.secrets:
            said = said.replace(secret, "***")
        return SubgraphFailed(f"{chain.name}: the subgraph gave no pools: {said}")

    def _reading(
        self,
        meta: balancer.ListPoolsMeta | balancer.GetPoolMeta | fantom.ListPoolsMeta | fantom.GetPoolMeta | None,
        pools: Sequence[balancer.PoolFields | fantom.PoolFields],
    ) -> Reading:
        return Reading(
            block=meta.block.number if meta else None,
            read_at=int(self._clock()),
            pools=tuple(_pool(each) for each in pools),
        )


def _pool(fields: balancer.PoolFields | fantom.PoolFields) -> Pool:
    return Pool(
        id=fields.id,
        address=fields.address,
        name=fields.name,
        symbol=fields.symbol,
        pool_type=fields.pool_type,
        swap_fee=fields.swap_fee,
        total_liquidity=fields.total_liquidity,
        tokens=tuple(
            Token(address=token.address, symbol=token.symbol, balance=token.balance, weight=token.weight)
            for token in fields.tokens or ()
        ),
    )

"""What a pool is, in the table, in JSON and in between. Amounts are decimal text: no digit is lost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Something that is stored and sent with camelCase names."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Token(Document):
    """What a pool holds of one token; ``weight`` only in weighted pools."""

    address: str
    symbol: str
    balance: str
    weight: str | None = None


class Pool(Document):
    """One pool.

    Attributes
    ----------
    id
        32 bytes in hexadecimal; its first 20 are ``address``.
    swap_fee
        Part of a swap, such as ``0.003``.
    total_liquidity
        In US dollars.
    """

    id: str
    address: str
    name: str | None = None
    symbol: str | None = None
    pool_type: str | None = None
    swap_fee: str
    total_liquidity: str
    tokens: tuple[Token, ...] = ()


class Reading(Document):
    """Pools as they were at one time.

    Attributes
    ----------
    block
        The chain's block that the subgraph had reached; None when it did not say.
    read_at
        Unix seconds.
    pools
        The largest first.
    """

    block: int | None
    read_at: int
    pools: tuple[Pool, ...]

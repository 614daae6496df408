"""What stands in for the world: a clock, a wish to stop, subgraphs, and the keys that must turn up nowhere."""

from __future__ import annotations

from collections.abc import Callable

from app.chains import Chain
from app.pools import Pool, Reading, Token
from app.settings import Settings, read_settings
from app.stop import Stop

REGION = "eu-central-1"
CANARY = "canary0123456789abcdef0123456789"
"""An API key. No test may find it in a message, a log or an answer."""

NOW = 1_800_000_000


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class FakeStop(Stop):
    """Lets a test act whenever somebody waits, and takes no time."""

    def __init__(self, while_waiting: Callable[[float], object] | None = None) -> None:
        super().__init__()
        self.while_waiting = while_waiting or (lambda _: None)
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.while_waiting(seconds)
        return self.is_set()


def pool_id(number: int) -> str:
    return f"0x{number:064x}"


def make_pool(number: int, liquidity: str = "1000.5") -> Pool:
    return Pool(
        id=pool_id(number),
        address=f"0x{number:040x}",
        name=f"Pool {number}",
        symbol="B-50WETH-50BAL",
        pool_type="Weighted",
        swap_fee="0.003",
        total_liquidity=liquidity,
        tokens=(Token(address="0xa", symbol="WETH", balance="1.000000000000000001", weight="0.5"),),
    )


def make_reading(*pools: Pool, read_at: int = NOW, block: int | None = 7) -> Reading:
    return Reading(block=block, read_at=read_at, pools=pools)


class FakeSubgraphs:
    """Answers with what it was given, or raises it; remembers what it was asked."""

    def __init__(self, answer: Reading | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, object]] = []

    def pools(self, chain: Chain, first: int) -> Reading:
        self.asked.append((chain.name, first))
        return self._give()

    def pool(self, chain: Chain, id: str) -> Reading:
        self.asked.append((chain.name, id))
        return self._give()

    def _give(self) -> Reading:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def make_settings(role: str = "api", **variables: str) -> Settings:
    return read_settings(
        role,
        {
            "APP_ENVIRONMENT": "dev",
            "AWS_REGION": REGION,
            "POOLS_TABLE": "pools",
            "JOBS_QUEUE_URL": "https://sqs.test/jobs",
            "THEGRAPH_BALANCER_KEY": CANARY,
            "GIT_SHA": "abc",
            **variables,
        },
    )

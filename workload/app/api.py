"""The role ``api``: pools over HTTP."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.aws import AwsFailed, client_of
from app.chains import CHAINS, Chain
from app.health import Pulse
from app.pools import Reading
from app.reading import MAX_POOLS, PoolsReader
from app.settings import Settings
from app.stop import Stop
from app.subgraphs import GatewaySubgraphs, NoKey, SubgraphFailed
from app.table import PoolsTable

log = logging.getLogger("app.api")

DEFAULT_POOLS = 20
POOL_ID = re.compile(r"0x[0-9a-f]{64}")
GRACE_SECONDS = 10
"""How long requests that are under way may take once nothing new is accepted."""


class InvalidParameter(Exception):
    """A parameter of the request is wrong.

    Parameters
    ----------
    field
        Which.
    message
        What it must be.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Api:
    """The endpoints.

    Those that ask nobody are coroutines, so that they answer while every thread waits for an upstream.

    Parameters
    ----------
    settings
        For ``/version``.
    table, reader
        Where the data are.
    draining
        Set when this task is about to end.
    """

    def __init__(self, settings: Settings, table: PoolsTable, reader: PoolsReader, draining: Stop) -> None:
        self._settings, self._table, self._reader, self._draining = settings, table, reader, draining

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.version),
                Route("/version", self.version),
                Route("/health", self.health),
                Route("/chains", self.chains),
                Route("/pools", self.pools),
                Route("/pools/{chain}/{id}", self.pool),
            ],
            exception_handlers={
                InvalidParameter: _invalid,
                NoKey: _no_key,
                SubgraphFailed: _upstream_failed,
                AwsFailed: _upstream_failed,
                HTTPException: _http_error,
                Exception: _unexpected,
            },
        )

    async def version(self, request: Request) -> JSONResponse:  # noqa: ARG002 (the signature of an endpoint)
        """Say what runs here."""
        settings = self._settings
        return JSONResponse(
            {
                "service": "api",
                "environment": settings.environment,
                "gitSha": settings.git_sha,
                "builtAt": settings.built_at,
            }
        )

    async def health(self, request: Request) -> JSONResponse:  # noqa: ARG002 (the signature of an endpoint)
        """200 while this task serves, 503 when it is about to end; no upstream is asked."""
        if self._draining.is_set():
            return JSONResponse({"status": "draining"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok"})

    def chains(self, request: Request) -> JSONResponse:  # noqa: ARG002 (the signature of an endpoint)
        """List the chains that the migrations have written into the table."""
        keys = {"sk": "name", "title": "title", "network": "network", "chainId": "chainId"}
        return JSONResponse(
            {"chains": [{name: item[key] for key, name in keys.items()} for item in self._table.chains()]}
        )

    def pools(self, request: Request) -> JSONResponse:
        """List the ``first`` largest pools of ``chain``."""
        chain = _chain(request.query_params.get("chain"))
        found = self._reader.pools(chain, _first(request.query_params.get("first")))
        pools = [pool.model_dump(by_alias=True, mode="json") for pool in found.reading.pools]
        return JSONResponse({**_origin(chain, found.source, found.reading), "pools": pools})

    def pool(self, request: Request) -> JSONResponse:
        """Return one pool."""
        chain = _chain(request.path_params["chain"])
        id = request.path_params["id"].lower()
        if not POOL_ID.fullmatch(id):
            raise InvalidParameter("id", "a pool's id is 0x and 64 hexadecimal digits")
        found = self._reader.pool(chain, id)
        if not found.reading.pools:
            return _error(HTTPStatus.NOT_FOUND, f"{chain.name} has no pool {id}")
        pool = found.reading.pools[0].model_dump(by_alias=True, mode="json")
        return JSONResponse({**_origin(chain, found.source, found.reading), "pool": pool})


class DrainingServer(uvicorn.Server):
    """A server that on SIGTERM first says on ``/health`` that it is going, and serves on for a while.

    A load balancer sends requests until it has noticed. A second signal ends the wait, and the process always
    exits with 0, where uvicorn would end by the signal itself.

    Parameters
    ----------
    config
        Of uvicorn.
    draining
        Set on the first signal.
    drain_seconds
        How long it serves on.
    clock
        Returns seconds.
    """

    def __init__(
        self, config: uvicorn.Config, draining: Stop, drain_seconds: float, clock: Callable[[], float]
    ) -> None:
        super().__init__(config)
        self._draining, self._drain_seconds, self._monotonic = draining, drain_seconds, clock
        self._exit_at = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (the signature of a handler)
        """Start to drain; at the second signal, end."""
        now = self._monotonic()
        self._exit_at = now if self._draining.is_set() else now + self._drain_seconds
        self._draining.set()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; uvicorn asks ten times a second."""
        self.should_exit = self.should_exit or self._monotonic() >= self._exit_at
        return await super().on_tick(counter)


def run(settings: Settings) -> int:
    """Serve until SIGTERM; return the exit code."""
    table = PoolsTable(client_of("dynamodb", settings.region), settings.pools_table, time.time)
    reader = PoolsReader(table, GatewaySubgraphs(settings, time.time), time.time, settings.cache_seconds)
    draining = Stop()
    config = uvicorn.Config(
        Api(settings, table, reader, draining).app,
        host="0.0.0.0",  # noqa: S104 (a container; its security group decides who comes in)
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    Pulse(settings.health_file, f"api {settings.port}").beat()
    log.info("serving", extra={"port": settings.port, "gitSha": settings.git_sha})
    DrainingServer(config, draining, settings.drain_seconds, time.monotonic).run()
    log.info("stopped")
    return 0


def _chain(name: str | None) -> Chain:
    if name not in CHAINS:
        raise InvalidParameter("chain", f"must be one of {', '.join(CHAINS)}")
    return CHAINS[name]


def _first(text: str | None) -> int:
    if text is None:
        return DEFAULT_POOLS
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_POOLS:
        raise InvalidParameter("first", f"must be a whole number from 1 to {MAX_POOLS}")
    return int(text)


def _origin(chain: Chain, source: str, reading: Reading) -> dict[str, object]:
    read_at = datetime.fromtimestamp(reading.read_at, UTC).isoformat().replace("+00:00", "Z")
    return {"chain": chain.name, "source": source, "block": reading.block, "readAt": read_at}


def _error(status: int, message: str, **more: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, **more}}, status)


def _invalid(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 (the signature of a handler)
    assert isinstance(error, InvalidParameter)  # noqa: S101 (starlette's handlers know no types)
    return _error(HTTPStatus.BAD_REQUEST, str(error), field=error.field)


def _no_key(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 (the signature of a handler)
    return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


def _upstream_failed(request: Request, error: Exception) -> JSONResponse:
    log.error(str(error), extra={"path": request.url.path})
    upstream = "the subgraph" if isinstance(error, SubgraphFailed) else "the table"
    return _error(HTTPStatus.BAD_GATEWAY, f"{upstream} gave no pools; try again later")


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (starlette's handlers know no types)
    answer = _error(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    answer.headers.update(error.headers or {})
    return answer


def _unexpected(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 (uvicorn logs it)
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; it is in the log")

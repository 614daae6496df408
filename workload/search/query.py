"""The function ``query``: ``GET /search?q=…&page=…`` behind an HTTP API, payload format 2.0.

It answers ``{"query", "page", "found", "results": [{…document, "matches": {field: snippet}}]}``. An error is
``{"error": name, "message": …}`` with 400 (``BadQuery``) or 503 (``SearchUnavailable``, with Retry-After); anything
else is raised, which the API answers with 500, and Lambda counts.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from search.collection import Collection
from search.dependencies import connect, log
from search.errors import BadQuery, NotIndexed, SearchUnavailable
from search.typesense import Typesense

TIMEOUT_SECONDS = 3.0
"""A person waits. Typesense answers in milliseconds or is in trouble."""

RETRY_AFTER_SECONDS = 5

PER_PAGE = 20
MAX_PAGE = 50
"""Nobody turns more pages; deep ones cost the server what all pages before them cost."""
MAX_QUERY_LENGTH = 200

PAGE = re.compile(r"[0-9]{1,4}")


def handler(event: Mapping[str, Any], _: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return handle(event, _server(), Collection.read(), time.monotonic)


@cache
def _server() -> Typesense:
    return connect(timeout_seconds=TIMEOUT_SECONDS)


def handle(
    event: Mapping[str, Any], server: Typesense, collection: Collection, clock: Callable[[], float]
) -> dict[str, Any]:
    """Do what ``handler`` does, with a server, a collection and a clock that gives seconds.

    Raises
    ------
    KeyRefused, RequestRefused
        Ours to mend, and no use to tell the caller about.
    """
    begin = clock()
    try:
        q, page = _read(event)
        answer = _response(200, _search(q, page, server, collection))
    except BadQuery as error:
        answer = _error(400, error)
    except SearchUnavailable as error:
        log("unavailable", reason=str(error))
        answer = _error(503, SearchUnavailable("the search server does not answer; try again in some seconds"))
        answer["headers"]["Retry-After"] = str(RETRY_AFTER_SECONDS)
    log("searched", status=answer["statusCode"], milliseconds=round((clock() - begin) * 1000))
    return answer


def _read(event: Mapping[str, Any]) -> tuple[str, int]:
    """Return what is searched for and the page; ``queryStringParameters`` is missing when there are none."""
    given = event.get("queryStringParameters") or {}
    q, page = str(given.get("q", "")).strip(), str(given.get("page", "1"))
    if not q:
        raise BadQuery("q is missing: say what to search for")
    if len(q) > MAX_QUERY_LENGTH:
        raise BadQuery(f"q is too long: {MAX_QUERY_LENGTH} characters at most")
    if not (PAGE.fullmatch(page) and 1 <= int(page) <= MAX_PAGE):
        raise BadQuery(f"page is not a whole number from 1 to {MAX_PAGE}")
    return q, int(page)


def _search(q: str, page: int, server: Typesense, collection: Collection) -> dict[str, Any]:
    parameters: dict[str, str | int] = {
        "q": q,
        "query_by": collection.query_by,
        "page": page,
        "per_page": PER_PAGE,
        # One server, so a search that gets lost in typos must not hold up the others.
        "search_cutoff_ms": int(TIMEOUT_SECONDS * 1000 / 2),
    }
    try:
        answer = server.search(collection.alias, parameters)
    except NotIndexed:  # nothing was ever written
        answer = {"found": 0, "hits": []}
    results = [{**hit["document"], "matches": _matches(hit)} for hit in answer["hits"]]
    return {"query": q, "page": page, "found": answer["found"], "results": results}


def _matches(hit: Mapping[str, Any]) -> dict[str, str]:
    """Return field to snippet, in which ``<mark>`` stands around what matched.

    The rest of a snippet is as it was written: who shows it as HTML has to escape all but the marks.
    """
    return {
        each["field"]: each["snippet"] if "snippet" in each else ", ".join(each["snippets"])
        for each in hit.get("highlights", [])
    }


def _error(status: int, error: Exception) -> dict[str, Any]:
    return _response(status, {"error": type(error).__name__, "message": str(error)})


def _response(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(body, ensure_ascii=False),
    }

"""The few calls of Typesense's API that the functions make, with the standard library alone.

Source: Typesense 28.0, "Collections", "Collection Alias", "Documents", "Search", and "API Errors" for the codes.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from search.errors import KeyRefused, NotIndexed, RequestRefused, SearchUnavailable

Json = dict[str, Any]

KEY_HEADER = "X-TYPESENSE-API-KEY"

WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
"""503: "not ready or lagging", while the index is being loaded. 429 and the others come from what is between."""


class CachedKey:
    """The API key, fetched when it is first needed and kept as long as the server takes it.

    Parameters
    ----------
    fetch
        Fetches the key.
    """

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch
        self._value = ""

    def __call__(self) -> str:
        """Return the key."""
        if not self._value:
            self._value = self._fetch()
        return self._value

    def forget(self) -> None:
        """Fetch it again next time."""
        self._value = ""


class Typesense:
    """A client of one Typesense server.

    Parameters
    ----------
    url
        Such as ``http://search.dev.v3-backend.internal:8108``.
    key
        The API key; it is never logged and never part of an error.
    timeout_seconds
        How long to wait for the connection, and for each piece of the answer.
    """

    def __init__(self, url: str, key: CachedKey, *, timeout_seconds: float) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._timeout_seconds = timeout_seconds
        # The server is in the same network: no proxy of the environment leads there.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def collection(self, name: str) -> Json:
        """Return a collection's schema and number of documents; raises ``NotIndexed`` when there is none."""
        return self._json("GET", f"/collections/{_quoted(name)}")

    def create_collection(self, schema: Mapping[str, Any]) -> None:
        """Create a collection; no error when somebody else has just done so (409)."""
        self._call("POST", "/collections", json.dumps(schema), fine=(409,))

    def alias(self, name: str) -> str:
        """Return the name of the collection that an alias stands for; raises ``NotIndexed`` when there is none."""
        return str(self._json("GET", f"/aliases/{_quoted(name)}")["collection_name"])

    def point_alias(self, name: str, collection: str) -> None:
        """Make an alias stand for a collection from now on."""
        self._call("PUT", f"/aliases/{_quoted(name)}", json.dumps({"collection_name": collection}))

    def upsert(self, collection: str, documents: Iterable[Mapping[str, Any]]) -> list[str]:
        """Write documents in one request.

        Returns
        -------
        list of str
            For each document, in their order, what the server has against it; empty when it was written. The
            status of the request says nothing about that: it is 200 when every document was refused.
        """
        lines = "\n".join(json.dumps(document) for document in documents)
        body = self._call("POST", f"/collections/{_quoted(collection)}/documents/import?action=upsert", lines)
        answers = [json.loads(line) for line in body.splitlines()]
        return ["" if each.get("success") else str(each.get("error", "refused")) for each in answers]

    def delete(self, collection: str, document_id: str) -> None:
        """Delete a document; no error when it is not there (404)."""
        self._call("DELETE", f"/collections/{_quoted(collection)}/documents/{_quoted(document_id)}", fine=(404,))

    def search(self, collection: str, parameters: Mapping[str, str | int]) -> Json:
        """Return the server's answer to a search.

        Parameters
        ----------
        collection
            Or an alias.
        parameters
            As in Typesense's documentation: ``q``, ``query_by``, ``page``, ``per_page`` and so on.
        """
        query = urllib.parse.urlencode(parameters)
        return self._json("GET", f"/collections/{_quoted(collection)}/documents/search?{query}")

    def _json(self, method: str, path: str) -> Json:
        found: Json = json.loads(self._call(method, path))
        return found

    def _call(self, method: str, path: str, body: str | None = None, *, fine: tuple[int, ...] = ()) -> str:
        """Make a request; with a fresh key once more when the server refuses the one that was kept.

        Raises
        ------
        SearchUnavailable, KeyRefused, NotIndexed, RequestRefused
            See ``errors.py``; each says method and path, which hold no secret.
        """
        status, answer = self._send(method, path, body)
        if status == http.HTTPStatus.UNAUTHORIZED:
            self._key.forget()
            status, answer = self._send(method, path, body)
        if status < http.HTTPStatus.BAD_REQUEST or status in fine:
            return answer
        place = f"{method} {path.partition('?')[0]}: {status} {_message(answer)}"
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise KeyRefused(place)
        if status == http.HTTPStatus.NOT_FOUND:
            raise NotIndexed(place)
        raise (SearchUnavailable if status in WORTH_ANOTHER_TRY else RequestRefused)(place)

    def _send(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        request = urllib.request.Request(  # noqa: S310 (the URL is the environment's, and http by design)
            self._url + path,
            data=body.encode() if body is not None else None,
            method=method,
            headers={KEY_HEADER: self._key(), "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:  # refused, unknown host, timeout, cut off
            raise SearchUnavailable(f"{method} {path.partition('?')[0]}: {type(error).__name__}: {error}") from error


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _message(answer: str) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer[:200]

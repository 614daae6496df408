"""The client: which answers are which errors, and what becomes of the key."""

from __future__ import annotations

import pytest

from search.errors import KeyRefused, NotIndexed, SearchError
from search.typesense import CachedKey, Typesense
from tests.workload.search.server import KEY, Scripted, Server

FORBIDDEN = (401, {"message": "Forbidden - a valid `x-typesense-api-key` header must be sent."})
FINE = (200, {"collection_name": "places-1"})


def keys(*values: str) -> CachedKey:
    given = iter(values)
    return CachedKey(lambda: next(given))


def test_the_key_is_fetched_once() -> None:
    with Scripted([FINE]) as scripted:
        typesense = Typesense(scripted.url, keys("first"), timeout_seconds=60)
        assert [typesense.alias("places"), typesense.alias("places")] == ["places-1", "places-1"]
    assert scripted.keys == ["first", "first"]


def test_a_key_that_was_changed_is_fetched_again() -> None:
    with Scripted([FORBIDDEN, FINE]) as scripted:
        assert Typesense(scripted.url, keys("old", "new"), timeout_seconds=60).alias("places") == "places-1"
    assert scripted.keys == ["old", "new"]


def test_a_key_that_stays_wrong_is_named_and_not_shown() -> None:
    with Scripted([FORBIDDEN]) as scripted, pytest.raises(KeyRefused) as raised:
        Typesense(scripted.url, keys("old-secret", "new-secret"), timeout_seconds=60).alias("places")
    assert "GET /aliases/places: 401" in str(raised.value)
    assert "secret" not in repr(raised.value)


def test_a_real_server_takes_its_own_key_alone(server: Server) -> None:
    with pytest.raises(KeyRefused, match="401"):
        Typesense(server.url, keys("wrong", "wrong again"), timeout_seconds=60).alias("places")
    with pytest.raises(NotIndexed, match="GET /aliases/nothing: 404"):
        Typesense(server.url, keys("wrong", KEY), timeout_seconds=60).alias("nothing")


def test_every_error_has_a_name_of_its_own() -> None:
    from search import errors

    names = {name for name, kind in vars(errors).items() if isinstance(kind, type) and kind is not SearchError}
    assert names
    assert all(name in (errors.__doc__ or "") for name in names), "the tree in the docstring shows them all"


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Scripted([FINE]) as scripted:
        assert Typesense(scripted.url, keys("key"), timeout_seconds=60).alias("places") == "places-1"

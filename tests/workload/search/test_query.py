"""The function ``query``: against a real server what it finds, against a scripted one what it says in trouble."""

from __future__ import annotations

import json
from typing import Any

import pytest

from search import query
from search.collection import Collection
from search.errors import RequestRefused
from search.typesense import Typesense
from tests.workload.search.conftest import client
from tests.workload.search.server import Scripted, free_port

UNUSED = client("http://127.0.0.1:9")


def ask(server: Typesense, collection: Collection, **parameters: str) -> tuple[int, dict[str, Any]]:
    answer = query.handle({"queryStringParameters": parameters}, server, collection, lambda: 0.0)
    assert answer["headers"]["Content-Type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def places(typesense: Typesense, collection: Collection) -> Collection:
    collection.ensure(typesense)
    documents = [
        {"id": "r-1", "name": "Laksa House", "kind": "restaurant", "cuisine": ["peranakan"], "popularity": 9},
        {"id": "r-2", "name": "Noodle Bar", "kind": "restaurant", "description": "laksa on Fridays", "popularity": 99},
        *({"id": f"d-{each}", "name": f"Roti {each}", "kind": "dish", "popularity": each} for each in range(25)),
    ]
    assert typesense.upsert(collection.name, documents) == [""] * 27
    return collection


def test_it_finds_by_name_before_description_and_shows_what_matched(typesense: Typesense, places: Collection) -> None:
    status, body = ask(typesense, places, q="laksa")
    assert (status, body["found"], body["page"], body["query"]) == (200, 2, 1, "laksa")
    first, second = body["results"]
    assert (first["id"], first["name"], first["kind"]) == ("r-1", "Laksa House", "restaurant")
    assert first["matches"] == {"name": "<mark>Laksa</mark> House"}
    assert second["matches"] == {"description": "<mark>laksa</mark> on Fridays"}


@pytest.mark.parametrize("typed", ["lakas", "LAKSA", "lak"])
def test_it_forgives_typing(typed: str, typesense: Typesense, places: Collection) -> None:
    assert ask(typesense, places, q=typed)[1]["results"][0]["id"] == "r-1"


def test_a_match_in_a_list_is_shown_too(typesense: Typesense, places: Collection) -> None:
    (result,) = ask(typesense, places, q="peranakan")[1]["results"]
    assert result["matches"] == {"cuisine": "<mark>peranakan</mark>"}


def test_pages_follow_each_other_and_come_to_an_end(typesense: Typesense, places: Collection) -> None:
    pages = [ask(typesense, places, q="roti", page=page)[1] for page in ("1", "2", "3")]
    assert [len(page["results"]) for page in pages] == [query.PER_PAGE, 25 - query.PER_PAGE, 0]
    names = [result["name"] for page in pages for result in page["results"]]
    assert len(set(names)) == 25
    assert names[0] == "Roti 24", "the most popular first"


def test_nothing_is_found_before_anything_was_written(typesense: Typesense, collection: Collection) -> None:
    status, body = ask(typesense, collection, q="laksa")
    assert (status, body["found"], body["results"]) == (200, 0, [])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "q is missing"),
        ({"q": "  "}, "q is missing"),
        ({"q": "x" * 201}, "q is too long: 200 characters at most"),
        ({"q": "laksa", "page": "0"}, "page is not a whole number from 1 to 50"),
        ({"q": "laksa", "page": "51"}, "page is not"),
        ({"q": "laksa", "page": "-1"}, "page is not"),
        ({"q": "laksa", "page": "1.5"}, "page is not"),
        ({"q": "laksa", "page": "٣"}, "page is not"),
        ({"q": "laksa", "page": "9" * 5000}, "page is not"),
    ],
)
def test_what_cannot_be_asked_is_the_callers_error(
    parameters: dict[str, str], message: str, collection: Collection
) -> None:
    status, body = ask(UNUSED, collection, **parameters)
    assert (status, body["error"]) == (400, "BadQuery")
    assert message in body["message"]


def test_a_request_without_parameters_has_no_such_key(collection: Collection) -> None:
    assert query.handle({"version": "2.0"}, UNUSED, collection, lambda: 0.0)["statusCode"] == 400


@pytest.mark.parametrize(
    "trouble", [(503, {"message": "Not Ready or Lagging"}), (429, {}), (500, "not JSON"), None, 5.0], ids=str
)
def test_a_server_in_trouble_is_no_error_of_ours_and_worth_another_try(
    trouble: Any, collection: Collection, capture: list[dict[str, Any]]
) -> None:
    with Scripted([trouble]) as scripted:
        answer = query.handle(
            {"queryStringParameters": {"q": "secret wish"}},
            client(scripted.url, timeout_seconds=0.2),
            collection,
            lambda: 0.0,
        )
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"] == "5"
    assert json.loads(answer["body"])["error"] == "SearchUnavailable"
    assert [each["event"] for each in capture] == ["unavailable", "searched"]
    assert "wish" not in json.dumps(capture), "what somebody has typed is not logged"


def test_a_server_that_is_not_there_is_503(collection: Collection) -> None:
    assert ask(client(f"http://127.0.0.1:{free_port()}"), collection, q="laksa")[0] == 503


def test_what_is_ours_to_mend_is_raised(collection: Collection) -> None:
    wrong = (400, {"message": "Could not find a field named `nmae` in the schema."})
    with Scripted([wrong]) as scripted, pytest.raises(RequestRefused, match="nmae"):
        ask(client(scripted.url), collection, q="laksa")


def test_it_logs_how_long_it_took(collection: Collection, capture: list[dict[str, Any]]) -> None:
    clock = iter([1.0, 1.25])
    query.handle({}, UNUSED, collection, lambda: next(clock))
    assert capture == [{"event": "searched", "status": 400, "milliseconds": 250}]

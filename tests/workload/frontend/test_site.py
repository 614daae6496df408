"""The page: it names only what is there, asks only what the API has, and shows text as text."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SITE = ROOT / "workload" / "frontend" / "site"


class Page(HTMLParser):
    """What a page names, and what in it a security policy without ``unsafe-inline`` would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.files: set[str] = set()
        self.inline: list[str] = []
        self._open = ""
        self.feed((SITE / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._open = tag
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.files |= {given[name] or "" for name in ("src", "href") if name in given and tag != "a"}
        self.inline += [f"<{tag} {name}>" for name in given if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(f"<{self._open}>")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open.removesuffix(tag)


def run(script: str) -> Any:
    """Run a module in the Node of the wheel; returns what it prints as JSON."""
    answer = subprocess.run(
        [os.environ["JSII_NODE"], "--input-type=module", "--eval", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=SITE,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def api(expression: str) -> Any:
    """Return the value of an expression that may use what ``api.js`` exports."""
    source = (SITE / "api.js").read_text(encoding="utf-8")
    return run(f"{source}\nconsole.log(JSON.stringify(await ({expression})));")


def edge(uri: str) -> str:
    """Return the file for which CloudFront asks the bucket."""
    source = (ROOT / "stacks" / "frontend" / "frontend_edge.js").read_text(encoding="utf-8")
    return str(run(f"{source}\nconsole.log(JSON.stringify(handler({{request: {{uri: {json.dumps(uri)}}}}}).uri));"))


def test_the_page_names_only_files_that_are_there() -> None:
    names = Page().files
    assert {"/app.js", "/style.css"} <= names
    assert not [name for name in names if not (name.startswith("/") and (SITE / name[1:]).is_file())]


def test_scripts_import_only_files_that_are_there_and_every_file_is_used() -> None:
    app = (SITE / "app.js").read_text(encoding="utf-8")
    imported = {line.split('"')[1] for line in app.splitlines() if line.startswith("import ")}
    assert imported == {"/api.js"}
    assert {f"/{file.name}" for file in SITE.iterdir()} == Page().files | imported | {"/index.html"}


def test_nothing_in_the_page_is_inline() -> None:
    assert Page().inline == []


def test_the_script_finds_what_it_asks_the_page_for() -> None:
    app = (SITE / "app.js").read_text(encoding="utf-8")
    (line,) = [line for line in app.splitlines() if line.endswith("].map(find);")]
    names = set(json.loads(line[line.rindex("[") :].removesuffix(".map(find);")))
    assert names
    assert names <= Page().ids


def test_scripts_never_write_html() -> None:
    for file in SITE.glob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert not [each for each in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(") if each in text], file


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/", "", {"query": ""}),
        ("/", "?q=%20laksa%20", {"query": "laksa"}),
        ("/places/r-7", "?q=laksa", {"place": "r-7"}),
        ("/places/r-7/", "", {"query": ""}),
        ("/places/-7", "", {"query": ""}),
    ],
)
def test_the_address_says_what_is_shown(path: str, query: str, expected: dict[str, str]) -> None:
    assert api(f"readAddress({json.dumps(path)}, {json.dumps(query)})") == expected


def test_what_is_asked_for_is_written_as_an_address_can_be() -> None:
    assert api('[searchAddress("laksa & ü", 2), itemAddress("r/7")]') == [
        "/search?q=laksa+%26+%C3%BC&page=2",
        "/items/r%2F7",
    ]


def test_of_a_snippet_the_marks_alone_are_read() -> None:
    assert api('splitMarks("a <mark>lak</mark>sa <img src=x onerror=alert(1)>")') == [
        {"text": "a ", "marked": False},
        {"text": "lak", "marked": True},
        {"text": "sa <img src=x onerror=alert(1)>", "marked": False},
    ]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"found": 0}', {"found": 0}),
        (200, "<html>", "That did not work."),
        (400, '{"error": "BadQuery", "message": "q is too long"}', "This cannot be searched for: q is too long."),
        (404, '{"message": "Not Found"}', "There is nothing here."),
        (429, "", "Too much is going on just now. Try again in some seconds."),
        (503, '{"error": "Busy"}', "Too much is going on just now. Try again in some seconds."),
        (500, '{"message": "Internal Server Error"}', "That did not work."),
    ],
)
def test_an_answer_is_data_or_words_for_a_person(status: int, body: str, expected: object) -> None:
    fetcher = f"async () => new Response({json.dumps(body)}, {{status: {status}}})"
    assert api(f'ask("/search", undefined, {fetcher}).catch((error) => error.message)') == expected


def test_without_a_connection_the_page_says_so() -> None:
    fetcher = 'async () => { throw new TypeError("fetch failed"); }'
    assert api(f'ask("/search", undefined, {fetcher}).catch((error) => error.message)') == (
        "There is no connection. Try again."
    )


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("/", "/index.html"),
        ("/places/r-7", "/index.html"),
        ("/v1.2/about", "/index.html"),
        ("/app.js", "/app.js"),
        ("/gone.png", "/gone.png"),
    ],
)
def test_addresses_of_the_page_are_its_index_and_files_are_themselves(uri: str, file: str) -> None:
    assert edge(uri) == file


RESULT = {"id": "r-7", "name": "Laksa House", "kind": "restaurant", "matches": {"name": "<mark>Laksa</mark> House"}}


def shown(address: str, answers: Mapping[str, object], *actions: str) -> dict[str, Any]:
    """Return what the page shows at an address, after some actions, with an API that gives these answers."""
    dom = Path(__file__).with_name("dom.js").read_text(encoding="utf-8")
    scripts = [(SITE / name).read_text(encoding="utf-8") for name in ("api.js", "app.js")]
    page = "\n".join(line for text in scripts for line in text.splitlines() if not line.startswith("import "))
    given = f"const ADDRESS = {json.dumps(address)}; const ANSWERS = {json.dumps(answers)};"
    steps = "\n".join(f"{action}; await settled();" for action in ("", *actions))
    found = run(f"{given}\n{dom}\n{page}\n{steps}\nconsole.log(JSON.stringify(picture()));")
    assert isinstance(found, dict)
    return found


def test_the_page_alone_asks_for_nothing() -> None:
    assert shown("/", {}) == {"status": "", "results": [], "more": False, "place": None, "asked": [], "at": "/"}


def test_results_are_shown_with_marks_and_more_of_them_on_demand() -> None:
    other = {"id": "r-8", "name": "Laksa Haus", "kind": "restaurant"}
    answers = {
        "/search?q=laksa&page=1": {"found": 2, "results": [RESULT]},
        "/search?q=laksa&page=2": {"found": 2, "results": [other]},
    }
    first = shown("/?q=laksa", answers)
    assert (first["status"], first["more"]) == ("2 results", True)
    assert first["results"] == ["<li><a /places/r-7><mark>Laksa</mark> House</a><p>restaurant</p></li>"]
    both = shown("/?q=laksa", answers, "find('more').fire('click')")
    assert (len(both["results"]), both["more"]) == (2, False)


def test_a_page_of_results_that_did_not_come_can_be_asked_for_again() -> None:
    answers = {"/search?q=laksa&page=1": {"found": 2, "results": [RESULT]}}
    tried = shown("/?q=laksa", answers, "find('more').fire('click')", "find('more').fire('click')")
    assert tried["asked"] == ["/search?q=laksa&page=1", "/search?q=laksa&page=2", "/search?q=laksa&page=2"]
    assert (tried["status"], len(tried["results"])) == ("There is nothing here.", 1)


def test_the_form_changes_the_address_and_the_results() -> None:
    found = shown(
        "/",
        {"/search?q=laksa&page=1": {"found": 1, "results": [RESULT]}},
        "find('q').value = 'laksa'; find('search').fire('submit')",
    )
    assert (found["at"], found["status"], len(found["results"])) == ("/?q=laksa", "1 result", 1)


def test_a_place_is_shown_as_text() -> None:
    item = {"id": "r-7", "name": "<b>Laksa</b>", "kind": "restaurant", "cuisine": ["Peranakan"], "description": "x"}
    found = shown("/places/r-7", {"/items/r-7": item})
    assert found["place"] == "<article><h1>&lt;b>Laksa&lt;/b></h1><p>restaurant · Peranakan</p><p>x</p></article>"

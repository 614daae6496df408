"""The page's smoke test believes nothing: every file must come as it is in the source, with the security headers."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.stacks.synthesis import ROOT

HEADERS = ("Content-Security-Policy", "Strict-Transport-Security", "X-Content-Type-Options")


class Site(SimpleHTTPRequestHandler):
    """Serves a folder with these headers."""

    headers_sent: tuple[str, ...] = HEADERS

    def end_headers(self) -> None:
        for header in self.headers_sent:
            self.send_header(header, "something")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name of the class above)
        """Keep the output of the tests quiet; ``format`` and ``args`` are the request."""


class WithoutPolicy(Site):
    headers_sent = HEADERS[1:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "workload" / "frontend" / "site", tmp_path / "site"))


@pytest.fixture
def handler(request: pytest.FixtureRequest) -> type[Site]:
    return getattr(request, "param", Site)


@pytest.fixture
def url(folder: Path, handler: type[Site]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def smoke_test(url: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "SITE_URL": url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    command = ["bash", "pipelines/smoke-test.sh"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_the_page_as_it_is_in_the_source_passes(url: str, folder: Path) -> None:
    answer = smoke_test(url)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("is what it should be") == len([each for each in folder.rglob("*") if each.is_file()])


def test_a_file_of_another_release_fails(url: str, folder: Path) -> None:
    (folder / "app.js").write_text("// the one before\n")
    answer = smoke_test(url)
    assert answer.returncode == 1
    assert "workload/frontend/site/app.js" in answer.stdout + answer.stderr


@pytest.mark.parametrize("handler", [WithoutPolicy], indirect=True)
def test_a_page_without_its_headers_fails(url: str) -> None:
    answer = smoke_test(url)
    assert answer.returncode == 1
    assert "has no header content-security-policy" in answer.stderr

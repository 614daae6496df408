"""One emulator for the whole story, and a line for every chapter of it.

Only ``make e2e`` runs these tests: they need the emulator's environment, and minutes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import config
from tests.e2e.cloud import Cloud
from tests.e2e.emulator import Emulator
from tests.e2e.infrastructure import ENVIRONMENT, LATER, NOW, config_folder
from tests.e2e.observation import Observer

RUNS = os.environ.get("STEPSHIP_E2E") == "1"

if RUNS:
    # The way to the emulator is not through a company's proxy.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
else:
    collect_ignore_glob = ["test_*.py"]

BEGIN = time.monotonic()

# What does not hold there is shown as in a test.
pytest.register_assert_rewrite("tests.e2e.standing")


class Chapters:
    """Prints each chapter when it is over, with its seconds and those since the beginning, instead of dots."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            title = report.nodeid.rpartition("::test_")[2].replace("_", " ")
            word = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}[report.outcome]
            seconds = f"{report.duration:.1f} s"
            print(f"{time.monotonic() - BEGIN:5.0f} s  {title}: {word} ({seconds})", flush=True)  # noqa: T201

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return (report.outcome, "", "") if report.when == "call" and report.passed else None


def pytest_configure(config: pytest.Config) -> None:
    """Where the story is told: print its chapters, and end in order when a CI runner or ``kill`` ends it."""
    if not RUNS:
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    config.pluginmanager.register(Chapters())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what enforces IAM last: it goes on in the account in which the story has ended."""
    items.sort(key=lambda item: "test_authorisation.py" in item.nodeid)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for everything that the run writes."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def now_and_later(workplace: Path) -> tuple[Path, Path]:
    """Two folders with the committed config, changed in a few values of dev."""
    return config_folder(workplace / "config-now", NOW), config_folder(workplace / "config-later", LATER)


@pytest.fixture(scope="session")
def emulator(workplace: Path) -> Iterator[Emulator]:
    """The emulator; at the end nothing of it is left."""
    with Emulator(workplace) as running:
        yield running


@pytest.fixture(scope="session")
def cloud(emulator: Emulator, now_and_later: tuple[Path, Path]) -> Cloud:
    """The emulated account."""
    return Cloud(emulator.url, config.load(ENVIRONMENT, now_and_later[0]))


@pytest.fixture(scope="session")
def observer(cloud: Cloud) -> Observer:
    """Who looks at the environment."""
    return Observer(cloud)

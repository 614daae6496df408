"""Plays the chapters one after the other, repairs what a failed one leaves, and destroys everything at the end."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.emulator import ROOT
from tools.acceptance.chapters import CHAPTERS, Chapter
from tools.acceptance.estimate import Estimate, estimate
from tools.acceptance.facts.unverified import OtherwiseError
from tools.acceptance.report import Report, Result, Verdict
from tools.acceptance.world.account import Account, Clients, Run
from tools.acceptance.world.janitor import Left, destroy, found
from tools.acceptance.world.surroundings import World, clients

FRAMES, CHARACTERS = 3, 400
"""Of a failure's traceback, and of each of its lines, with the local variables: an assertion alone says little."""

Say = Callable[[str], None]
Clean = Callable[[Run, Account, Clients, Say], list[Left]]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def keep(run: Run, account: Account, of: Clients, tell: Say) -> list[Left]:
    """Destroy nothing, to look at it; the janitor does it later."""
    tell(f"kept, and paid for: {', '.join(map(str, found(run, account, of)))}")
    return []


def repair(world: World) -> None:
    """Free the lock and roll back, so that the next chapter begins in a good world."""
    world.roads.repair()


@dataclass
class Proof:
    """One proof.

    Parameters
    ----------
    account, run, folder
        Where, under which names, and where to write.
    chapters
        What is played.
    say
        Is told each line as it comes.
    clean
        Destroys everything at the end, and returns what it could not.
    repair
        Puts the world in order after a chapter that failed.
    """

    account: Account
    run: Run
    folder: Path
    chapters: Sequence[Chapter] = CHAPTERS
    say: Say = say
    clean: Clean = destroy
    repair: Callable[[World], None] = repair
    _results: dict[str, Result] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Prepare a world in which nothing is made yet."""
        self.world = World(self.account, self.run, self.folder)

    def play(self) -> Report:
        """Play the chapters, destroy what they have made, and report; whatever happens, also Ctrl-C."""
        begin = time.monotonic()
        with ThreadPoolExecutor(max_workers=len(self.chapters)) as beside:
            waiting: list[Future[None]] = []
            try:
                for chapter in self.chapters:
                    if chapter.beside:
                        waiting.append(beside.submit(self._play, chapter))
                    else:
                        self._play(chapter)
                for each in waiting:
                    each.result()
            except KeyboardInterrupt:
                self.world.interrupted.set()
                self.say("interrupted: what is there is destroyed now; a second Ctrl-C leaves it to the janitor")
        results = tuple(
            self._results.get(each.name) or Result(each.name, Verdict.NOT_REACHED, 0, each.seconds, "interrupted")
            for each in self.chapters
        )
        left = self.clean(self.run, self.account, clients(self.account), self.say)
        took = time.monotonic() - begin
        return Report(
            self.account, self.run, results, Estimate(took, estimate(took, len(results)).dollars), tuple(left)
        )

    def _play(self, chapter: Chapter) -> None:
        begin = time.monotonic()
        verdict, detail = self._played(chapter)
        result = Result(chapter.name, verdict, time.monotonic() - begin, chapter.seconds, detail)
        self._results[chapter.name] = result
        self.say(result.line())

    def _played(self, chapter: Chapter) -> tuple[Verdict, str]:
        if self.account.endpoint and chapter.lacks:
            return Verdict.SKIPPED, f"the emulator lacks {chapter.lacks}"
        bad = {name for name, each in self._results.items() if each.verdict == Verdict.FAILED}
        broken = next((each.name for each in self.chapters if each.vital and each.name in bad), None)
        if broken:
            return Verdict.NOT_REACHED, f"{broken} failed"
        try:
            if not chapter.beside:
                self.world.recorder.moment = chapter.name
            chapter.play(self.world)
        except OtherwiseError as seen:
            return Verdict.OTHERWISE, str(seen)
        except Exception as error:  # noqa: BLE001 (whatever it raises: the others are played, and all is destroyed)
            detail = _described(error)
            self.say(detail)
            if not chapter.vital and not chapter.beside:
                self._try_to_repair()
            return Verdict.FAILED, detail
        return Verdict.OK, ""

    def _try_to_repair(self) -> None:
        try:
            self.repair(self.world)
        except Exception as error:  # noqa: BLE001 (the next chapter says what is wrong now)
            self.say(f"  and could not be repaired: {error}")


def _described(error: Exception) -> str:
    """Return an error with the last of our own frames: what libraries are in the middle of says nothing here."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in told.stack if str(ROOT) in frame.filename and "site-packages" not in frame.filename]
    told.stack = traceback.StackSummary.from_list(ours[-FRAMES:])
    lines = "".join(told.format(chain=False)).splitlines()
    return "\n".join(line[:CHARACTERS] for line in lines)

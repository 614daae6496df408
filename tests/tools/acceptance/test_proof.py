"""How chapters are played: what fails, is skipped, is not as it was taken to be; and that the end always comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.acceptance.chapters import CHAPTERS, Chapter, planned, skipped_by_emulator
from tools.acceptance.estimate import GOAL_DOLLARS, GOAL_MINUTES
from tools.acceptance.facts.unverified import CHECKS, Check
from tools.acceptance.proof import Proof
from tools.acceptance.report import Report, Verdict
from tools.acceptance.world.account import Account, Run
from tools.acceptance.world.janitor import Left
from tools.acceptance.world.surroundings import World

AWS, EMULATOR = Account("111122223333", "eu-west-1"), Account("111122223333", "eu-west-1", "http://127.0.0.1:9")
RUN = Run("a1b2c3")


class Teller:
    """Remembers what was said, destroyed and repaired."""

    def __init__(self, *left: Left) -> None:
        self.said: list[str] = []
        self.did: list[str] = []
        self._left = list(left)

    def clean(self, run: Run, *_: object) -> list[Left]:
        self.did.append(f"destroyed {run.id}")
        return self._left

    def repair(self, _: World) -> None:
        self.did.append("repaired")

    def play(self, *chapters: Chapter, account: Account = AWS) -> Report:
        return Proof(account, RUN, Path("/nowhere"), chapters, self.said.append, self.clean, self.repair).play()


def good(world: World) -> None:
    """Hold."""


def bad(world: World) -> None:
    seen = "Deployed"
    raise AssertionError(f"{seen} and not RolledBack")


def interrupted(world: World) -> None:
    raise KeyboardInterrupt


def verdicts(report: Report) -> dict[str, Verdict]:
    return {each.chapter: each.verdict for each in report.results}


def test_a_failed_chapter_is_told_repaired_and_followed_by_the_others() -> None:
    teller = Teller()

    report = teller.play(Chapter("first", bad, 5), Chapter("second", good, 5))

    assert verdicts(report) == {"first": Verdict.FAILED, "second": Verdict.OK}
    assert teller.did == ["repaired", f"destroyed {RUN.id}"]
    assert "Deployed and not RolledBack" in "\n".join(teller.said)
    assert "seen = 'Deployed'" in "\n".join(teller.said)
    assert not report.good


def test_without_what_is_vital_nothing_else_is_played_and_all_is_destroyed() -> None:
    teller = Teller()

    report = teller.play(Chapter("base", bad, 5, vital=True), Chapter("good", good, 5))

    assert verdicts(report) == {"base": Verdict.FAILED, "good": Verdict.NOT_REACHED}
    assert teller.did == [f"destroyed {RUN.id}"]


def test_an_interrupted_run_is_destroyed_and_says_what_it_has_not_reached() -> None:
    teller = Teller()

    report = teller.play(Chapter("first", good, 5), Chapter("second", interrupted, 5), Chapter("third", good, 5))

    assert verdicts(report) == {"first": Verdict.OK, "second": Verdict.NOT_REACHED, "third": Verdict.NOT_REACHED}
    assert teller.did == [f"destroyed {RUN.id}"]


@pytest.mark.parametrize(("account", "verdict"), [(EMULATOR, Verdict.SKIPPED), (AWS, Verdict.OK)])
def test_what_the_emulator_lacks_is_skipped_there_alone(account: Account, verdict: Verdict) -> None:
    report = Teller().play(Chapter("scan gate", good, 5, "image scanning"), account=account)

    assert verdicts(report) == {"scan gate": verdict}
    lacking = {"scan gate": "the emulator lacks image scanning"} if verdict == Verdict.SKIPPED else {}
    assert {each.chapter: each.detail for each in report.results if each.verdict == Verdict.SKIPPED} == lacking
    assert report.good


def test_a_fact_that_is_otherwise_is_no_failure_and_says_what_to_change() -> None:
    check = Check("a-fact", "two", lambda _: 3, lambda seen: seen == 2, "lambdas/aws/ecs.py: count again")

    report = Teller().play(Chapter("fact: a-fact", check.look, 5, beside=True))

    (result,) = report.results
    assert (result.verdict, report.good) == (Verdict.OTHERWISE, True)
    assert result.detail == "taken to be: two; seen: 3; to change: lambdas/aws/ecs.py: count again"


def test_what_could_not_be_destroyed_is_listed_and_is_no_success() -> None:
    report = Teller(Left("bucket", "cdk-acca1b2c3", "AccessDenied")).play(Chapter("first", good, 5))

    assert "  bucket cdk-acca1b2c3: AccessDenied" in list(report.lines())
    assert not report.good


def test_a_report_names_no_account(tmp_path: Path) -> None:
    left = Left("bucket", "cdk-acca1b2c3-assets-999988887777-eu-west-1")
    report = Teller(left).play(Chapter("first", good, 5), account=Account("999988887777", "eu-west-1"))

    text = report.write(tmp_path).read_text(encoding="utf-8")

    assert "999988887777" not in text
    assert "cdk-acca1b2c3-assets-111122223333-eu-west-1" in text


def test_chapters_have_names_of_their_own_and_a_budget() -> None:
    names = [each.name for each in CHAPTERS]

    assert len(set(names)) == len(names)
    assert all(each.seconds > 0 for each in CHAPTERS)
    assert [each.name for each in CHAPTERS if each.lacks] == list(skipped_by_emulator())


def test_the_budgets_are_within_the_goal() -> None:
    assert planned().seconds / 60 <= GOAL_MINUTES
    assert planned().dollars <= GOAL_DOLLARS


def test_each_unverified_fact_says_what_to_change() -> None:
    for check in CHECKS:
        assert len(check.taken) > 20
        assert "/" in check.otherwise or "wait" in check.otherwise, f"{check.name} names no place"

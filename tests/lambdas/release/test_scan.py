from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.errors import (
    ImageArchived,
    ScanExpired,
    ScanFailed,
    ScanFindings,
    ScanInProgress,
    ScanMissing,
    ScanUnsupported,
    StepshipError,
)
from lambdas.release.image import (
    FoundImage,
)
from lambdas.release.policies import AcceptedFinding, ImagePolicy
from lambdas.release.scan import Acceptance, Finding, Scan, check_scan, needs_names

DIGEST = "sha256:" + "1" * 64
FOUND = FoundImage("v3-backend", "123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend", DIGEST, ("v1",))
STRICT = ImagePolicy(scan_required=True, max_critical_findings=0, max_high_findings=2, accepted_findings=())
LAX = replace(STRICT, scan_required=False)

NOW = 1_800_000_000.0
OLD, YOUNG = replace(FOUND, pushed_at=NOW - 3600), replace(FOUND, pushed_at=NOW - 30)
DONE, ACTIVE, STARTED = Scan("COMPLETE"), Scan("ACTIVE", {}, is_complete=True), Scan("ACTIVE")


def active(findings: dict[str, int]) -> Scan:
    return Scan("ACTIVE", findings, is_complete=True)


SCANS: dict[str, tuple[tuple[Scan, ...], ImagePolicy, type[StepshipError] | None, str]] = {
    "basic scan done": ((DONE,), STRICT, None, ""),
    "enhanced scan active": ((active({"HIGH": 2, "LOW": 90}),), STRICT, None, ""),
    "enhanced scan without findings": ((ACTIVE,), STRICT, None, ""),
    "enhanced scan without a completion": ((STARTED,), STRICT, ScanInProgress, "the image scan is ACTIVE"),
    "the same, not required": ((STARTED,), LAX, ScanInProgress, "the image scan is ACTIVE"),
    "enhanced scan above the limit": ((active({"CRITICAL": 1}),), LAX, ScanFindings, "1 CRITICAL"),
    "never scanned, required": ((Scan(),), STRICT, ScanMissing, "ECR says none"),
    "never scanned, not required": ((Scan(),), LAX, None, ""),
    "one manifest was never scanned": ((DONE, Scan()), STRICT, ScanMissing, "ECR says none"),
    "scan failed, required": ((Scan("FAILED"),), STRICT, ScanFailed, "ECR says FAILED; start the scan again"),
    "scan failed, not required": ((Scan("FAILED"),), LAX, None, ""),
    "findings unavailable": ((Scan("FINDINGS_UNAVAILABLE"),), STRICT, ScanFailed, "ECR says FINDINGS_UNAVAILABLE"),
    "limit exceeded": ((Scan("LIMIT_EXCEEDED"),), STRICT, ScanFailed, "ECR says LIMIT_EXCEEDED"),
    "unsupported": ((DONE, Scan("UNSUPPORTED_IMAGE")), STRICT, ScanUnsupported, "base image that ECR can scan"),
    "unsupported, not required": ((Scan("UNSUPPORTED_IMAGE"),), LAX, None, ""),
    "too large": ((Scan("IMAGE_SIZE_EXCEEDED"),), STRICT, ScanUnsupported, "make it smaller"),
    "expired": ((Scan("SCAN_ELIGIBILITY_EXPIRED"),), STRICT, ScanExpired, "push it again"),
    "expired, with old findings": (
        (Scan("SCAN_ELIGIBILITY_EXPIRED", {"CRITICAL": 2}, is_complete=True),), LAX, ScanFindings, "2 CRITICAL"),
    "archived": ((Scan("IMAGE_ARCHIVED"),), LAX, ImageArchived, "its scan says that it is archived; restore it"),
    "a status of next year, required": ((Scan("DEFERRED"),), STRICT, ScanFailed, "ECR says DEFERRED; see what"),
    "a status of next year, not required": ((Scan("DEFERRED"),), LAX, None, ""),
    "scan runs": ((Scan("IN_PROGRESS"),), STRICT, ScanInProgress, "the image scan is IN_PROGRESS"),
    "scan is queued": ((DONE, Scan("PENDING")), LAX, ScanInProgress, "the image scan is PENDING"),
    "one critical": ((Scan("COMPLETE", {"CRITICAL": 1}),), STRICT, ScanFindings, r"limit: 1 CRITICAL \(allowed 0\);"),
    "three high in one manifest": (
        (Scan("COMPLETE", {"HIGH": 1}), Scan("COMPLETE", {"HIGH": 3})),
        STRICT,
        ScanFindings,
        r"limit: 3 HIGH \(allowed 2\);",
    ),
    "two high in each manifest": ((Scan("COMPLETE", {"HIGH": 2}), Scan("COMPLETE", {"HIGH": 2})), STRICT, None, ""),
    "both severities": (
        (Scan("COMPLETE", {"CRITICAL": 4, "HIGH": 5}),),
        LAX,
        ScanFindings,
        r"4 CRITICAL \(allowed 0\), 5 HIGH \(allowed 2\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("scans", "policy", "error", "words"), SCANS.values(), ids=SCANS)
def test_a_scan_lets_an_image_through_or_not(
    scans: tuple[Scan, ...], policy: ImagePolicy, error: type[StepshipError] | None, words: str
) -> None:
    if error is None:
        check_scan(OLD, scans, policy, NOW)
        return
    with pytest.raises(error, match=words) as refused:
        check_scan(OLD, scans, policy, NOW)
    assert f"v3-backend@{DIGEST}" in str(refused.value)


def test_the_scan_of_a_young_image_may_not_have_begun() -> None:
    with pytest.raises(ScanInProgress, match="less than 120 s old"):
        check_scan(YOUNG, (Scan(),), STRICT, NOW)
    check_scan(YOUNG, (Scan(),), LAX, NOW)
    with pytest.raises(ScanMissing):
        check_scan(YOUNG, (Scan(),), STRICT, NOW + 90)


SLOW, OVER = AcceptedFinding("CVE-2026-0001", "2027-01-31"), AcceptedFinding("cve-2026-0002", "2027-01-14")
LISTED = replace(STRICT, max_high_findings=0, accepted_findings=(SLOW, OVER))


def high(*names: str, count: int | None = None, critical: int = 0) -> Scan:
    """Return a scan with findings by name; ECR counts so many of them."""
    counts = {"HIGH": len(names) if count is None else count} | ({"CRITICAL": critical} if critical else {})
    return Scan("COMPLETE", counts, is_complete=True, named=tuple(Finding(name, "HIGH") for name in names))


ACCEPTED: dict[str, tuple[tuple[Scan, ...], str | None]] = {
    "accepted": ((high("CVE-2026-0001"),), None),
    "accepted, in two packages": ((high("CVE-2026-0001", "CVE-2026-0001"),), None),
    "accepted, in the other case": ((high("cve-2026-0001"),), None),
    "accepted in each manifest": ((high("CVE-2026-0001"), high("CVE-2026-0001")), None),
    "another one": ((high("CVE-2026-0001", "CVE-2026-0003"),), r"limit: 1 HIGH \(allowed 0\): CVE-2026-0003;"),
    "another one in one manifest": ((high("CVE-2026-0001"), high("CVE-2026-0003")), r"1 HIGH .*0\): CVE-2026-0003;"),
    "a name that begins like it": ((high("CVE-2026-00012"),), r"1 HIGH \(allowed 0\): CVE-2026-00012;"),
    "an entry that ended": ((high("CVE-2026-0002"),), r"accepted no longer: cve-2026-0002 \(until 2027-01-14\);"),
    "an entry without a finding": ((high("CVE-2026-0002"),), "accepted and not in this image: CVE-2026-0001;"),
    "no names": ((Scan("COMPLETE", {"HIGH": 1}),), r"1 HIGH \(allowed 0\); fix the image"),
    "counted and not listed": ((high("CVE-2026-0001", count=2),), r"1 HIGH \(allowed 0\);"),
    "listed and not counted": ((high("CVE-2026-0001", "CVE-2026-0003", count=1),), r"1 HIGH .*0\): CVE-2026-0003;"),
    "accepted as HIGH, and a CRITICAL one": ((high("CVE-2026-0001", critical=1),), r"limit: 1 CRITICAL \(allowed 0\);"),
    "many names": ((high(*(f"CVE-2026-1{n:03}" for n in range(12))),), "CVE-2026-1004 and 7 more;"),
}  # fmt: skip


@pytest.mark.parametrize(("scans", "words"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_accepted_finding_does_not_count(scans: tuple[Scan, ...], words: str | None) -> None:
    assert needs_names(scans, LISTED)
    if words is None:
        assert check_scan(OLD, scans, LISTED, NOW) == Acceptance(found=(SLOW,), unused=(OVER,))
        return
    with pytest.raises(ScanFindings, match=words) as refused:
        check_scan(OLD, scans, LISTED, NOW)
    assert "[image] accepted_findings" in str(refused.value)


@given(offset=st.integers(-60 * 86400, 60 * 86400))
def test_an_accepted_finding_counts_again_when_its_last_day_is_over(offset: int) -> None:
    policy = replace(LISTED, accepted_findings=(replace(SLOW, until="2027-01-15"),))
    end = datetime(2027, 1, 16, tzinfo=UTC).timestamp()
    if offset < 0:
        assert check_scan(OLD, (high("CVE-2026-0001"),), policy, end + offset).found == policy.accepted_findings
    else:
        with pytest.raises(ScanFindings, match="accepted no longer"):
            check_scan(OLD, (high("CVE-2026-0001"),), policy, end + offset)


@given(
    names=st.lists(st.sampled_from([f"CVE-2026-000{n}" for n in range(5)]), max_size=8),
    count=st.integers(0, 10),
    limit=st.integers(0, 4),
)
def test_a_list_lets_through_only_what_it_names(names: list[str], count: int, limit: int) -> None:
    policy = replace(LISTED, max_high_findings=limit)
    others = [name for name in names if name != SLOW.id]
    try:
        check_scan(OLD, (high(*names, count=count),), policy, NOW)
    except ScanFindings:
        assert max(count, len(names)) > limit
        return
    assert len(others) <= limit
    assert count - names.count(SLOW.id) <= limit


NAMELESS: dict[str, tuple[tuple[Scan, ...], ImagePolicy]] = {
    "nothing is accepted": ((high("CVE-2026-0001"),), replace(LISTED, accepted_findings=())),
    "few findings": ((DONE, active({"HIGH": 2})), replace(LISTED, max_high_findings=2)),
    "other severities": ((active({"LOW": 90}),), LISTED),
    "the scan runs": ((Scan("IN_PROGRESS", {"HIGH": 1}),), LISTED),
    "no scan": ((Scan(),), LISTED),
}


@pytest.mark.parametrize(("scans", "policy"), NAMELESS.values(), ids=NAMELESS)
def test_names_are_asked_for_only_where_they_decide(scans: tuple[Scan, ...], policy: ImagePolicy) -> None:
    assert not needs_names(scans, policy)


def test_a_refusal_stays_short() -> None:
    entries = tuple(AcceptedFinding(f"GHSA-{n:03}-{'x' * 31}", "2027-01-01") for n in range(30))
    scan = high(*(each.id for each in entries[:15]), *("A" * 500 for _ in range(9)), critical=99)
    with pytest.raises(ScanFindings) as refused:
        check_scan(OLD, (scan,), replace(LISTED, accepted_findings=entries), NOW)
    assert len(str(refused.value)) < 1200

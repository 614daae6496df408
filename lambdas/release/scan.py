"""The gate of the image scan: what ECR must have said of an image before it is deployed, and what may be accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

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
from lambdas.release.image import RESTORE, FoundImage
from lambdas.release.policies import AcceptedFinding, ImagePolicy
from lambdas.release.wording import shorten, some_of

SCANNING = ("IN_PROGRESS", "PENDING")


SCAN_ARCHIVED = "IMAGE_ARCHIVED"


SCAN_ERRORS: Mapping[str, tuple[type[StepshipError], str]] = {
    "FAILED": (ScanFailed, "start the scan again (a basic scan once in 24 hours), or push the image again"),
    "FINDINGS_UNAVAILABLE": (ScanFailed, "wait until Amazon Inspector has the findings, or push the image again"),
    "LIMIT_EXCEEDED": (ScanFailed, "scan again tomorrow, or have Amazon Inspector's quota raised"),
    "UNSUPPORTED_IMAGE": (ScanUnsupported, "build it on a base image that ECR can scan"),
    "IMAGE_SIZE_EXCEEDED": (ScanUnsupported, "make it smaller: it is too large for a scan"),
    "SCAN_ELIGIBILITY_EXPIRED": (ScanExpired, "push it again, or lengthen the re-scan duration in Amazon Inspector"),
}
"""What a scan that ended without current findings says, and the fix (ECR API Reference, ImageScanStatus)."""


YOUNG_SECONDS = 120
"""For so long after its push an image may have a scan of which ECR does not know yet: with enhanced scanning
ScanNotFoundException comes for about the first minute."""


@dataclass(frozen=True)
class Finding:
    """A finding by its name, ``CVE-2026-12345``, and severity, ``HIGH``."""

    name: str
    severity: str


@dataclass(frozen=True)
class Scan:
    """What ECR says about one manifest's scan.

    Attributes
    ----------
    status
        ECR's ``imageScanStatus.status``; None when it was never scanned.
    findings
        Number of findings by severity, such as ``{"CRITICAL": 1}``; a severity without findings has no key.
    is_complete
        Whether the findings are those of a scan that was completed (``imageScanCompletedAt``).
    named
        The findings one by one, where somebody asked for them; one that is in several packages is there several times.
    """

    status: str | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    is_complete: bool = False
    named: tuple[Finding, ...] = ()

    @property
    def has_findings(self) -> bool:
        """Whether the findings count: COMPLETE is basic scanning's end, enhanced scanning stays ACTIVE for ever."""
        return self.status == "COMPLETE" or self.is_complete

    @property
    def is_running(self) -> bool:
        """Whether findings are still to come."""
        return self.status in SCANNING or (self.status == "ACTIVE" and not self.is_complete)


@dataclass(frozen=True)
class Acceptance:
    """What the environment's list of accepted findings means for one image.

    Attributes
    ----------
    found
        Entries of findings that the image has and that do not count.
    expired
        Entries of findings that the image has and that count again.
    unused
        Entries of findings that the image does not have.
    """

    found: tuple[AcceptedFinding, ...] = ()
    expired: tuple[AcceptedFinding, ...] = ()
    unused: tuple[AcceptedFinding, ...] = ()


def needs_names(scans: Sequence[Scan], policy: ImagePolicy) -> bool:
    """Whether the names of the findings decide: there are too many, and some may be accepted."""
    return bool(policy.accepted_findings) and any(
        scan.has_findings and scan.findings.get(severity, 0) > limit
        for scan in scans
        for severity, limit in _limits(policy).items()
    )


def check_scan(image: FoundImage, scans: Sequence[Scan], policy: ImagePolicy, now: float) -> Acceptance:
    """Check the scan of every manifest of the image.

    Parameters
    ----------
    scans
        One for each of ``image.manifests``; with the names of the findings where ``needs_names`` says so.
    now
        Unix seconds: a young image may have a scan that ECR does not know yet, and an accepted finding its last day.

    Returns
    -------
    Acceptance
        Which entries of the environment's list were needed.

    Raises
    ------
    ScanInProgress
        ECR is not done; ask again.
    ScanMissing, ScanFailed, ScanUnsupported, ScanExpired
        The environment requires a scan and there is none with findings.
    ImageArchived
        The scan says so.
    ScanFindings
        More findings than the environment allows; names those that count, and entries of the list that do not help.
    """
    for scan in scans:
        _check_end(image, scan, policy, is_young=now - image.pushed_at < YOUNG_SECONDS)
    counted = [scan for scan in scans if scan.has_findings]
    accepted = _accept(counted, policy, now)
    ids = {entry.id.casefold() for entry in accepted.found}
    over = [
        f"{count} {severity} (allowed {limit}){_names(counted, severity, ids)}"
        for severity, limit in _limits(policy).items()
        if (count := max((_remaining(scan, severity, ids) for scan in counted), default=0)) > limit
    ]
    if over:
        raise ScanFindings(
            f"{image.name}: findings above the limit: {', '.join(over)}{_of_the_list(accepted)}; fix the image, "
            "accept a finding that has no fix yet ([image] accepted_findings), or raise the limit"
        )
    return accepted


def _limits(policy: ImagePolicy) -> dict[str, int]:
    return {"CRITICAL": policy.max_critical_findings, "HIGH": policy.max_high_findings}


def _accept(scans: Sequence[Scan], policy: ImagePolicy, now: float) -> Acceptance:
    """Look up the accepted findings; without names there is nothing to say of them."""
    names = {finding.name.casefold() for scan in scans for finding in scan.named}
    if not names:
        return Acceptance()
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    present = [entry for entry in policy.accepted_findings if entry.id.casefold() in names]
    return Acceptance(
        found=tuple(entry for entry in present if today <= entry.until),
        expired=tuple(entry for entry in present if today > entry.until),
        unused=tuple(entry for entry in policy.accepted_findings if entry not in present),
    )


def _remaining(scan: Scan, severity: str, accepted: set[str]) -> int:
    """Return how many findings count.

    ECR's count and its list may be of two moments, for enhanced scanning goes on: the larger answer is the safe one.
    With 3 HIGH counted, 4 listed and 1 of those accepted, it is max(3 - 1, 4 - 1) = 3.
    """
    listed = [finding.name.casefold() in accepted for finding in scan.named if finding.severity == severity]
    return max(scan.findings.get(severity, 0), len(listed)) - sum(listed)


def _names(scans: Sequence[Scan], severity: str, accepted: set[str]) -> str:
    found = {finding.name for scan in scans for finding in scan.named if finding.severity == severity}
    names = sorted(name for name in found if name.casefold() not in accepted)
    return f": {some_of(names)}" if names else ""


def _of_the_list(accepted: Acceptance) -> str:
    expired = [f"{entry.id} (until {entry.until})" for entry in accepted.expired]
    unused = [entry.id for entry in accepted.unused]
    said = f"; accepted no longer: {some_of(expired)}" if expired else ""
    return said + (f"; accepted and not in this image: {some_of(unused)}" if unused else "")


def _check_end(image: FoundImage, scan: Scan, policy: ImagePolicy, *, is_young: bool) -> None:
    if scan.status == SCAN_ARCHIVED:
        raise ImageArchived(f"{image.name}: its scan says that it is archived; {RESTORE}")
    if scan.is_running:
        raise ScanInProgress(f"{image.name}: the image scan is {scan.status}")
    if not policy.scan_required or scan.status in ("COMPLETE", "ACTIVE"):
        return
    required = f"{image.name}: the environment requires a finished image scan"
    or_not = "or set [image] scan_required = false"
    if scan.status is None and is_young:
        raise ScanInProgress(f"{required}; the image is less than {YOUNG_SECONDS} s old, its scan may not have begun")
    if scan.status is None:
        raise ScanMissing(
            f"{required}, ECR says none; switch on scan on push for the repository, {or_not} "
            "(with enhanced scanning a filter must match the repository)"
        )
    # A status that ECR adds later is no proof of a scan.
    error, fix = SCAN_ERRORS.get(scan.status, (ScanFailed, "see what ECR says about the scan"))
    raise error(f"{required}, ECR says {shorten(scan.status)}; {fix}, {or_not}")

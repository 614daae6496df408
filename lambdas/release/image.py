"""Which images may be deployed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lambdas.release.errors import (
    DigestMismatch,
    ImageNotFound,
    ScanFindings,
    ScanInProgress,
    ScanMissing,
    WrongArchitecture,
)
from lambdas.release.policies import ImagePolicy

SCANNED = ("COMPLETE", "ACTIVE")
"""ECR's basic scanning ends with COMPLETE; enhanced scanning stays ACTIVE and keeps its findings current."""

SCANNING = ("IN_PROGRESS", "PENDING")

CPU_NAMES = {"X86_64": "amd64", "ARM64": "arm64"}
"""ECS's ``runtimePlatform.cpuArchitecture`` in the words of an image manifest."""


@dataclass(frozen=True)
class Scan:
    """What ECR says about one manifest's scan.

    Attributes
    ----------
    status
        ECR's ``imageScanStatus.status``; None when it was never scanned.
    findings
        Number of findings by severity, such as ``{"CRITICAL": 1}``.
    """

    status: str | None = None
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundImage:
    """An image as it stands in one repository.

    Attributes
    ----------
    repository, uri
        ``v3-backend`` and ``123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend``.
    digest
        Of the index, when the image is one.
    tags
        All tags of the digest.
    architectures
        The CPU architectures of an index; empty when the manifest does not say (a single image).
    scans
        One per manifest that would run.
    """

    repository: str
    uri: str
    digest: str
    tags: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()

    @property
    def pinned(self) -> str:
        """The image as task definitions carry it: ``uri@sha256:…``."""
        return f"{self.uri}@{self.digest}"


@dataclass(frozen=True)
class ReleaseImage:
    """The verified image of a deployment, in the state as ``$.image``.

    Attributes
    ----------
    tag
        What was asked for, or the first tag of the digest, or the digest when it has no tag.
    pinned
        Repository to ``uri@sha256:…``.
    """

    tag: str
    pinned: Mapping[str, str]


def short_image(image: str) -> str:
    """Return an image as people read it: ``v3-backend@sha256:77636f9e2688``."""
    name, at, digest = image.partition("@sha256:")
    return f"{name.rpartition('/')[2]}@sha256:{digest[:12]}" if at else image.rpartition("/")[2]


def choose_image(repository: str, found: FoundImage | None, *, tag: str | None, digest: str | None) -> FoundImage:
    """Return the found image if it is what the request says.

    Raises
    ------
    ImageNotFound
        The repository has no such tag or digest.
    DigestMismatch
        ``imageTag`` points to another digest than ``imageDigest``.
    """
    if found is None:
        what = f"imageTag {tag}" if tag is not None else f"imageDigest {digest}"
        raise ImageNotFound(f"{what}: repository {repository} has no such image; push it first, then start again")
    if digest is not None and found.digest != digest:
        raise DigestMismatch(
            f"imageDigest: {repository}:{tag} is {found.digest}, the input says {digest}; "
            "the tag was moved or the input mixes two builds: give one of them alone"
        )
    return found


def check_scan(image: FoundImage, policy: ImagePolicy) -> None:
    """Check the scan of every manifest of the image.

    Raises
    ------
    ScanInProgress
        ECR is not done; ask again.
    ScanMissing
        The environment requires a scan and there is none that finished.
    ScanFindings
        More findings than the environment allows.
    """
    name = f"{image.repository}@{image.digest}"
    scans = image.scans or (Scan(),)
    for scan in scans:
        if scan.status in SCANNING:
            raise ScanInProgress(f"{name}: the image scan is {scan.status}")
        if scan.status not in SCANNED and policy.scan_required:
            raise ScanMissing(
                f"{name}: the environment requires a finished image scan, ECR says {scan.status or 'none'}; "
                "switch on scan on push for the repository, or set [image] scan_required = false"
            )
    limits = {"CRITICAL": policy.max_critical_findings, "HIGH": policy.max_high_findings}
    over = [
        f"{count} {severity} (allowed {limit})"
        for severity, limit in limits.items()
        if (count := max(scan.findings.get(severity, 0) for scan in scans)) > limit
    ]
    if over:
        raise ScanFindings(f"{name}: findings above the limit: {', '.join(over)}; fix the image, or raise the limit")


def check_architecture(image: FoundImage, wanted: Mapping[str, str]) -> None:
    """Check that an index has a manifest for every service's CPU.

    Parameters
    ----------
    image
        A single image passes: its manifest does not say what it is built for.
    wanted
        Service name to ECS's ``cpuArchitecture``.

    Raises
    ------
    WrongArchitecture
        Names the services that could not start.
    """
    if not image.architectures:
        return
    wrong = [
        f"{service} asks for {cpu}"
        for service, cpu in sorted(wanted.items())
        if CPU_NAMES.get(cpu, cpu.lower()) not in image.architectures
    ]
    if wrong:
        raise WrongArchitecture(
            f"{image.repository}@{image.digest} is built for {', '.join(image.architectures)}, but "
            f"{'; '.join(wrong)}: build it for that platform, or change the task definition's runtimePlatform"
        )


def release_image(images: Iterable[FoundImage], tag: str | None) -> ReleaseImage:
    """Put together what the plan needs of the verified images."""
    found = tuple(images)
    name = tag or next((t for image in found for t in image.tags), found[0].digest)
    return ReleaseImage(name, {image.repository: image.pinned for image in found})

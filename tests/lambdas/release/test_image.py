from __future__ import annotations

from dataclasses import replace

import pytest

from lambdas.release.errors import (
    DigestMismatch,
    ImageNotFound,
    ScanFindings,
    ScanInProgress,
    ScanMissing,
    StepshipError,
    WrongArchitecture,
)
from lambdas.release.image import (
    FoundImage,
    ReleaseImage,
    Scan,
    check_architecture,
    check_scan,
    choose_image,
    release_image,
)
from lambdas.release.policies import ImagePolicy

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
FOUND = FoundImage("v3-backend", "123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend", DIGEST, ("v1", "sha-abc"))
STRICT = ImagePolicy(scan_required=True, max_critical_findings=0, max_high_findings=2)
LAX = replace(STRICT, scan_required=False)


@pytest.mark.parametrize(
    ("tag", "digest"), [("v1", None), (None, DIGEST), ("v1", DIGEST)], ids=["tag", "digest", "both agree"]
)
def test_an_image_that_is_there_is_chosen(tag: str | None, digest: str | None) -> None:
    assert choose_image("v3-backend", FOUND, tag=tag, digest=digest) is FOUND


@pytest.mark.parametrize(
    ("tag", "digest", "words"),
    [
        ("v9", None, "imageTag v9: repository v3-backend has no such image"),
        ("v9", DIGEST, "imageTag v9: repository v3-backend has no such image"),
        (None, DIGEST, f"imageDigest {DIGEST}: repository v3-backend has no such image"),
    ],
    ids=["tag", "both", "digest"],
)
def test_an_image_that_is_not_there_is_named_as_it_was_asked_for(
    tag: str | None, digest: str | None, words: str
) -> None:
    with pytest.raises(ImageNotFound, match=words):
        choose_image("v3-backend", None, tag=tag, digest=digest)


def test_a_tag_that_was_moved_is_refused() -> None:
    with pytest.raises(DigestMismatch, match=f"v3-backend:v1 is {DIGEST}, the input says {OTHER}"):
        choose_image("v3-backend", FOUND, tag="v1", digest=OTHER)


SCANS: dict[str, tuple[tuple[Scan, ...], ImagePolicy, type[StepshipError] | None, str]] = {
    "basic scan done": ((Scan("COMPLETE"),), STRICT, None, ""),
    "enhanced scan active": ((Scan("ACTIVE", {"HIGH": 2, "LOW": 90}),), STRICT, None, ""),
    "never scanned, required": ((), STRICT, ScanMissing, "ECR says none"),
    "never scanned, not required": ((), LAX, None, ""),
    "one manifest was never scanned": ((Scan("COMPLETE"), Scan()), STRICT, ScanMissing, "ECR says none"),
    "scan failed, required": ((Scan("FAILED"),), STRICT, ScanMissing, "ECR says FAILED"),
    "scan failed, not required": ((Scan("FAILED"),), LAX, None, ""),
    "scan runs": ((Scan("IN_PROGRESS"),), STRICT, ScanInProgress, "the image scan is IN_PROGRESS"),
    "scan is queued": ((Scan("COMPLETE"), Scan("PENDING")), LAX, ScanInProgress, "the image scan is PENDING"),
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
}


@pytest.mark.parametrize(("scans", "policy", "error", "words"), SCANS.values(), ids=SCANS)
def test_a_scan_lets_an_image_through_or_not(
    scans: tuple[Scan, ...], policy: ImagePolicy, error: type[StepshipError] | None, words: str
) -> None:
    image = replace(FOUND, scans=scans)
    if error is None:
        check_scan(image, policy)
        return
    with pytest.raises(error, match=words) as refused:
        check_scan(image, policy)
    assert f"v3-backend@{DIGEST}" in str(refused.value)


ARCHITECTURES: dict[str, tuple[tuple[str, ...], dict[str, str], str | None]] = {
    "an index for both": (("amd64", "arm64"), {"api": "X86_64", "worker": "ARM64"}, None),
    "a single image does not say": ((), {"api": "ARM64"}, None),
    "no services": (("amd64",), {}, None),
    "the other CPU": (("amd64",), {"worker": "ARM64", "api": "X86_64"}, "built for amd64, but worker asks for ARM64:"),
    "two of the other CPU": (("arm64",), {"b": "X86_64", "a": "X86_64"}, "a asks for X86_64; b asks for X86_64:"),
    "a CPU that ECS adds later": (("riscv64",), {"api": "RISCV64"}, None),
}


@pytest.mark.parametrize(("built_for", "wanted", "words"), ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_an_index_needs_a_manifest_for_every_service(
    built_for: tuple[str, ...], wanted: dict[str, str], words: str | None
) -> None:
    image = replace(FOUND, architectures=built_for)
    if words is None:
        check_architecture(image, wanted)
        return
    with pytest.raises(WrongArchitecture, match=words):
        check_architecture(image, wanted)


TAGS: dict[str, tuple[FoundImage, str | None, str]] = {
    "what was asked for": (FOUND, "sha-abc", "sha-abc"),
    "the first tag of the digest": (FOUND, None, "v1"),
    "the digest without a tag": (replace(FOUND, tags=()), None, DIGEST),
}


@pytest.mark.parametrize(("found", "tag", "expected"), TAGS.values(), ids=TAGS)
def test_a_release_is_called_by(found: FoundImage, tag: str | None, expected: str) -> None:
    assert release_image([found], tag) == ReleaseImage(expected, {"v3-backend": f"{FOUND.uri}@{DIGEST}"})


def test_a_release_pins_the_digest_of_each_repository() -> None:
    other = FoundImage("jobs", "uri/jobs", OTHER)
    assert release_image(iter([FOUND, other]), "v1").pinned == {"v3-backend": FOUND.pinned, "jobs": f"uri/jobs@{OTHER}"}

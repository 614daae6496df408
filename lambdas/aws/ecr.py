"""Elastic Container Registry: what a tag or digest really is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from lambdas.aws.gateway import Answer, Gateway
from lambdas.release.errors import AccessDenied, AwsError, RepositoryNotFound, StepshipError
from lambdas.release.image import ARCHIVED, INDEX_TYPES, MANIFEST_TYPES, FoundImage, foreign_type, may_be_a_referrer
from lambdas.release.scan import Finding, Scan

IN_TOTO = "application/vnd.in-toto+json"
"""What a list has that consists of attestations alone."""

SCAN_PERMISSIONS = (
    "it needs ecr:DescribeImageScanFindings on the repository and, for enhanced scanning by Amazon Inspector, "
    "inspector2:ListCoverage and inspector2:ListFindings"
)
"""ECR User Guide, "Retrieving the findings for enhanced scans"."""


FINDINGS_A_PAGE = 1000
"""ECR API Reference, DescribeImageScanFindings: at most."""

MAX_PAGES = 10
"""An image with more findings than these pages hold is not let through by a list: what is not listed counts."""


class _NoImage(StepshipError):
    """The repository has no such image, or the image no scan; stays inside this module."""


class _CannotScan(StepshipError):
    """ECR refuses to scan such a thing; stays inside this module."""


class ImageRegistry(Gateway):
    """Images of repositories in this account."""

    service: ClassVar[str] = "ecr"

    def repository_uris(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return repository name to URI.

        Raises
        ------
        RepositoryNotFound
            One of them does not exist.
        """
        known = {"RepositoryNotFoundException": RepositoryNotFound}
        answer = self.call("describe_repositories", known=known, repositoryNames=list(names))
        found = {r["repositoryName"]: r["repositoryUri"] for r in answer["repositories"]}
        missing = [name for name in names if name not in found]
        if missing:
            raise RepositoryNotFound(f"ecr:describe_repositories: the answer leaves out {', '.join(missing)}")
        return found

    def find(self, repository: str, uri: str, *, tag: str | None, digest: str | None) -> FoundImage | None:
        """Find an image by tag, or by digest when no tag is given.

        A multi-architecture index keeps its own digest; its platforms and scans are those of its manifests.

        Returns
        -------
        FoundImage or None
            None when the repository has no such image.
        """
        wanted = {"imageTag": tag} if tag is not None else {"imageDigest": digest}
        detail = self._describe(repository, wanted) or self._describe_archived(repository, wanted)
        if detail is None:
            return None
        found, tags = str(detail["imageDigest"]), tuple(sorted(detail.get("imageTags", ())))
        manifest_type = detail.get("imageManifestMediaType")
        foreign = foreign_type(manifest_type, detail.get("artifactMediaType"))
        manifests: tuple[str, ...] = (found,)
        platforms: tuple[str, ...] = ()
        if foreign is None and _status(detail) not in ARCHIVED:
            if manifest_type in INDEX_TYPES:
                manifests, platforms = self._manifests(repository, found)
                foreign = None if manifests else IN_TOTO
            elif may_be_a_referrer(tags):
                foreign = foreign_type(None, None, self._layers(repository, found))
        pushed_at = detail.get("imagePushedAt")
        return FoundImage(
            repository,
            uri,
            found,
            tags,
            platforms,
            manifests,
            _status(detail),
            pushed_at.timestamp() if pushed_at else 0.0,
            foreign,
        )

    def scans(self, image: FoundImage, *, named: bool = False) -> tuple[Scan, ...]:
        """Return the scan of each manifest that would run; one call each, for an index itself is never scanned.

        Parameters
        ----------
        named
            List the findings too, with another call for each thousand.

        Raises
        ------
        AccessDenied
            Names the permissions.
        """
        return tuple(self._scan(image.repository, digest, named=named) for digest in image.manifests)

    def status(self, repository: str, digest: str) -> str | None:
        """Return the ``imageStatus`` of a digest; None when lifecycle rules, say, have removed it."""
        wanted = {"imageDigest": digest}
        detail = self._describe(repository, wanted) or self._describe_archived(repository, wanted)
        return _status(detail) if detail else None

    def _describe(self, repository: str, wanted: Mapping[str, str | None], **more: Any) -> Answer | None:
        known = {"RepositoryNotFoundException": RepositoryNotFound, "ImageNotFoundException": _NoImage}
        try:
            answer = self.call("describe_images", known=known, repositoryName=repository, imageIds=[wanted], **more)
        except _NoImage:
            return None
        found: list[Answer] = answer["imageDetails"]
        return found[0] if found else None

    def _describe_archived(self, repository: str, wanted: Mapping[str, str | None]) -> Answer | None:
        """Look among the archived images too: without a filter ECR shows the others (API Reference, DescribeImages)."""
        try:
            return self._describe(repository, wanted, filter={"imageStatus": "ANY"})
        except AwsError:
            # Whether a filter goes with explicit ids is not documented. Then the image is one that is not there.
            return None

    def _scan(self, repository: str, digest: str, *, named: bool) -> Scan:
        known = {
            "ScanNotFoundException": _NoImage,
            "ImageNotFoundException": _NoImage,
            "UnsupportedImageTypeException": _CannotScan,
        }
        asked = {"repositoryName": repository, "imageId": {"imageDigest": digest}}
        # The counts are in every page, so for them alone the first is enough.
        size = FINDINGS_A_PAGE if named else 1
        listed: list[Finding] = []
        following: dict[str, str] = {}
        try:
            for _ in range(MAX_PAGES if named else 1):
                answer = self.call("describe_image_scan_findings", known=known, **asked, maxResults=size, **following)
                listed += _findings(answer) if named else ()
                if not answer.get("nextToken"):
                    break
                following = {"nextToken": answer["nextToken"]}
        except _NoImage:
            return Scan()
        except _CannotScan:
            return Scan("UNSUPPORTED_IMAGE")
        except AccessDenied as error:
            raise AccessDenied(f"{error}; {SCAN_PERMISSIONS}") from error
        findings = answer.get("imageScanFindings") or {}
        status = (answer.get("imageScanStatus") or {}).get("status")
        counts = {
            str(severity): int(count) for severity, count in (findings.get("findingSeverityCounts") or {}).items()
        }
        return Scan(status, counts, findings.get("imageScanCompletedAt") is not None, tuple(listed))

    def _layers(self, repository: str, digest: str) -> tuple[str, ...]:
        """Return the media types of a manifest's layers; none when ECR does not show the manifest."""
        types: list[str] = []
        for image in self._read(repository, digest, MANIFEST_TYPES):
            manifest = _document(image["imageManifest"], "the manifest")
            layers = manifest.get("layers")
            types += [str(each.get("mediaType")) for each in layers or () if isinstance(each, dict)]
        return tuple(types)

    def _manifests(self, repository: str, digest: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return digests and platforms of an index: attestations have the platform "unknown" and do not run.

        A manifest without a platform runs anywhere (OCI image-spec, "Image Index"): then the index says nothing.
        """
        found: dict[str, str] = {}
        for image in self._read(repository, digest, INDEX_TYPES):
            for manifest in _index(image["imageManifest"])["manifests"]:
                platform = manifest.get("platform") or {}
                is_artifact = manifest.get("artifactType") or platform.get("architecture") == "unknown"
                if not is_artifact:
                    system, cpu = platform.get("os") or "", platform.get("architecture") or ""
                    found[manifest["digest"]] = f"{system}/{cpu}" if cpu else ""
        platforms = tuple(sorted(set(found.values())))
        return tuple(found), () if "" in platforms else platforms

    def _read(self, repository: str, digest: str, types: tuple[str, ...]) -> list[Answer]:
        ids = [{"imageDigest": digest}]
        answer = self.call("batch_get_image", repositoryName=repository, imageIds=ids, acceptedMediaTypes=list(types))
        images: list[Answer] = answer["images"]
        return images


def _findings(answer: Answer) -> list[Finding]:
    """Read a page of findings, of basic and of enhanced scanning.

    One that a suppression rule of Amazon Inspector hides is left out: whether ECR counts it is not documented, and what
    is not listed is never subtracted.
    """
    found = answer.get("imageScanFindings") or {}
    basic = [Finding(str(each.get("name")), str(each.get("severity"))) for each in found.get("findings") or ()]
    enhanced = [
        Finding(
            str((each.get("packageVulnerabilityDetails") or {}).get("vulnerabilityId") or each.get("title")),
            str(each.get("severity")),
        )
        for each in found.get("enhancedFindings") or ()
        if each.get("status") in (None, "ACTIVE")
    ]
    return basic + enhanced


def _index(text: str) -> Answer:
    """Read an image index (OCI image-spec, "Image Index")."""
    document = _document(text, "the image index")
    manifests = document.get("manifests")
    if not isinstance(manifests, list) or not all(_is_manifest(each) for each in manifests):
        raise AwsError(f"{document.place} has no list of manifests with digests; push the image again")
    return document


def _document(text: str, what: str) -> Answer:
    place = f"ecr:batch_get_image: {what}"
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AwsError(f"{place} is not JSON ({error}); push the image again") from error
    return Answer(document if isinstance(document, dict) else {}, place)


def _is_manifest(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("digest"), str)
        and isinstance(value.get("platform") or {}, dict)
    )


def _status(detail: Mapping[str, Any]) -> str:
    return str(detail.get("imageStatus") or "ACTIVE")

"""Elastic Container Registry: what a tag or digest really is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from lambdas.aws.gateway import Answer, Gateway
from lambdas.release.errors import AwsError, RepositoryNotFound, StepshipError
from lambdas.release.image import FoundImage, Scan

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class _NoImage(StepshipError):
    """The repository has no such image; stays inside this module."""


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

        A multi-architecture index keeps its own digest; its architectures and scans are those of its manifests.

        Returns
        -------
        FoundImage or None
            None when the repository has no such image.
        """
        wanted = {"imageTag": tag} if tag is not None else {"imageDigest": digest}
        details = self._describe(repository, [wanted])
        if not details:
            return None
        detail = details[0]
        architectures: tuple[str, ...] = ()
        scans: tuple[Scan, ...] = (_scan(detail),)
        if detail.get("imageManifestMediaType") in INDEX_TYPES:
            manifests = self._manifests(repository, detail["imageDigest"])
            architectures = tuple(sorted(set(manifests.values())))
            children = self._describe(repository, [{"imageDigest": child} for child in manifests])
            scans = tuple(_scan(child) for child in children) or scans
        return FoundImage(
            repository, uri, detail["imageDigest"], tuple(sorted(detail.get("imageTags", ()))), architectures, scans
        )

    def exists(self, repository: str, digest: str) -> bool:
        """Whether the repository still has the digest; lifecycle rules may have removed it."""
        return bool(self._describe(repository, [{"imageDigest": digest}]))

    def _describe(self, repository: str, ids: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not ids:
            return []
        known = {"RepositoryNotFoundException": RepositoryNotFound, "ImageNotFoundException": _NoImage}
        try:
            answer = self.call("describe_images", known=known, repositoryName=repository, imageIds=ids)
        except _NoImage:
            return []
        found: list[dict[str, Any]] = answer["imageDetails"]
        return found

    def _manifests(self, repository: str, digest: str) -> dict[str, str]:
        """Return digest to architecture of an index; attestations have the platform "unknown" and do not run."""
        answer = self.call(
            "batch_get_image",
            repositoryName=repository,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=list(INDEX_TYPES),
        )
        found: dict[str, str] = {}
        for image in answer["images"]:
            for manifest in _index(image["imageManifest"])["manifests"]:
                architecture = (manifest.get("platform") or {}).get("architecture", "unknown")
                if architecture != "unknown":
                    found[manifest["digest"]] = architecture
        return found


def _index(text: str) -> Answer:
    """Read an image index (OCI image-spec, "Image Index")."""
    place = "ecr:batch_get_image: the image index"
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AwsError(f"{place} is not JSON ({error}); push the image again") from error
    manifests = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(manifests, list) or not all(_is_manifest(each) for each in manifests):
        raise AwsError(f"{place} has no list of manifests with digests; push the image again")
    return Answer(document, place)


def _is_manifest(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("digest"), str)
        and isinstance(value.get("platform") or {}, dict)
    )


def _scan(detail: Mapping[str, Any]) -> Scan:
    status = (detail.get("imageScanStatus") or {}).get("status")
    findings = (detail.get("imageScanFindingsSummary") or {}).get("findingSeverityCounts") or {}
    return Scan(status, dict(findings))

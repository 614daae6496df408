"""The simulated ECR: moto's backend with digests that are digests, virtual push times and scan results.

What moto 5.2.5 lacks and `SimulatedEcr` adds, through moto's class slot:

* a digest is the SHA-256 of the manifest (moto hashes the layer names, and rolls dice for an image index);
* `imagePushedAt` is virtual time;
* DescribeImages keeps the order of the request, says `artifactMediaType`, and leaves out archived images that no
  `filter` asks for. As on AWS it carries no scan data (`imageScanStatus` and `imageScanFindingsSummary` are filled by
  neither basic nor enhanced scanning any more: API reference, ImageDetail);
* DescribeImageScanFindings answers for one manifest what the pushed image says, instead of a canned finding.

`push_image` is what a CI job does: it pushes a manifest and says, to the installed world, how the image behaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import copy
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, cast

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ecr.exceptions import ImageNotFoundException, ScanNotFoundException
from moto.ecr.models import ECRBackend, Image, ecr_backends
from moto.ecr.responses import ECRResponse

from simulator.ecs.context import EcsContext, timestamp
from simulator.ecs.images import FINISHED_SCAN, HEALTHY, ImageBehavior, ScanResult

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

IMAGE_CONFIGS = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
LAYERS = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
IN_TOTO = "application/vnd.in-toto+json"

LAYER_BYTES = 30_000_000
CONFIG_BYTES = 7_000

SCAN_DESCRIPTIONS = {
    "COMPLETE": "The scan was completed successfully.",
    "ACTIVE": "Continuous scan is selected for image.",
    "FAILED": "The scan failed.",
    "UNSUPPORTED_IMAGE": "UnsupportedImageError: The operating system and/or package manager are not supported.",
    "SCAN_ELIGIBILITY_EXPIRED": "Image is no longer eligible for scanning.",
}

Json = dict[str, Any]


class EcrClient(Protocol):
    """The one call of a boto3 ECR client that a push needs."""

    def put_image(self, **request: Any) -> Any:
        """PutImage."""


class SimulatedEcr(ECRBackend):
    """moto's ECR backend with what the list above adds."""

    simulated: ClassVar[EcsContext]

    def put_image(
        self,
        repository_name: str,
        image_manifest: str,
        image_tag: str,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Image:
        """PutImage: the digest is that of the manifest's bytes, as in every registry."""
        digest = digest or digest_of(image_manifest)
        repository = self.repositories.get(repository_name)
        is_new = repository is None or all(each.get_image_digest() != digest for each in repository.images)
        image = super().put_image(repository_name, image_manifest, image_tag, image_manifest_mediatype, digest)
        if is_new:
            image.image_pushed_at = int(self.simulated.now())
        return image

    @property
    def _url_module(self) -> Any:
        # Where moto looks up which class answers: the slot for our own response class.
        bases = [r"https?://ecr\.(.+)\.amazonaws\.com", r"https?://api\.ecr\.(.+)\.amazonaws\.com"]
        return SimpleNamespace(url_bases=bases, url_paths={"{0}/$": SimulatedEcrResponse.dispatch})

    def describe_images(
        self,
        repository_name: str,
        registry_id: str | None = None,
        image_ids: list[dict[str, str]] | None = None,
        image_status: str = "ACTIVE",
    ) -> Iterable[Image]:
        """DescribeImages: ImageNotFoundException for a missing tag, RepositoryNotFoundException as on AWS.

        Parameters
        ----------
        image_status
            `filter.imageStatus`: ACTIVE, ARCHIVED, ACTIVATING or ANY.
        """
        found = super().describe_images(repository_name, registry_id, image_ids)
        repository = self._get_repository(repository_name, registry_id)
        statuses = self.simulated.images.archived
        images = []
        for image in (each for each in repository.images if each in found):
            status = statuses.get(image.get_image_digest(), "ACTIVE")
            # moto's serializer reads each member of `ImageDetail` from an attribute of this name.
            vars(image)["image_status"] = status
            vars(image)["artifact_media_type"] = _artifact_type(image)
            if image_status in ("ANY", status):
                images.append(image)
        if image_ids and not images:
            # What AWS answers to explicit ids of archived images is not documented: this is the harder answer.
            wanted = image_ids[0]
            identity = f"{{imageDigest:'{wanted.get('imageDigest')}', imageTag:'{wanted.get('imageTag')}'}}"
            raise ImageNotFoundException(identity, repository_name, repository.registry_id)
        return images

    def describe_image_scan_findings(
        self, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> dict[str, Any]:
        """DescribeImageScanFindings of one manifest: an index is refused, ScanNotFoundException without a scan."""
        repository = self._get_repository(repository_name, registry_id)
        image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))  # noqa: SLF001 (moto's own lookup)
        media_type = str(image.image_manifest_media_type or "")
        if "index" in media_type or "manifest.list" in media_type:
            refusal = f"An artifact with media type '{media_type}' cannot be scanned."
            raise JsonRESTError("ValidationException", refusal)
        digest = image.get_image_digest()
        scan = self.simulated.images.scan_of(digest)
        age = self.simulated.now() - image.image_pushed_at
        if scan is None or age < scan.unknown_seconds:
            identity = f"{{imageDigest:'{digest}', imageTag:'{image_id.get('imageTag', 'null')}'}}"
            raise ScanNotFoundException(identity, repository_name, repository.registry_id)
        is_done = age >= scan.seconds
        status = scan.final_status if is_done else ("ACTIVE" if scan.enhanced else "IN_PROGRESS")
        answer: Json = {
            "registryId": repository.registry_id,
            "repositoryName": repository_name,
            "imageId": {**image_id, "imageDigest": digest},
            "imageScanStatus": {"status": status, "description": SCAN_DESCRIPTIONS.get(status, "")},
        }
        if is_done and status in FINISHED_SCAN:
            completed_at = timestamp(image.image_pushed_at + scan.seconds)
            # A severity without findings has no key.
            counts = {severity: count for severity, count in scan.counts.items() if count}
            answer["imageScanFindings"] = {
                "imageScanCompletedAt": completed_at,
                "vulnerabilitySourceUpdatedAt": completed_at,
                "findingSeverityCounts": counts,
                **({"enhancedFindings": _enhanced(scan)} if scan.enhanced else {"findings": _findings(scan)}),
            }
        return answer


class SimulatedEcrResponse(ECRResponse):
    """moto's ECR front door, with the parameters that it drops."""

    def describe_images(self) -> ActionResult:
        """DescribeImages with its `filter`."""
        backend = ecr_backends[self.current_account][self.region]
        status = (self._get_param("filter") or {}).get("imageStatus") or "ACTIVE"
        repository, ids = self._get_param("repositoryName"), self._get_param("imageIds")
        images = cast("SimulatedEcr", backend).describe_images(repository, self._get_param("registryId"), ids, status)
        details = []
        for image in images:
            detail = copy(image)
            if not detail.image_tags:
                # AWS leaves out an empty list.
                del detail.image_tags
            details.append(detail)
        return ActionResult({"imageDetails": details})

    def describe_image_scan_findings(self) -> ActionResult:
        """DescribeImageScanFindings page by page: the counts are in each, and a page without `maxResults` has 100."""
        answer = super().describe_image_scan_findings()
        findings = answer.result.get("imageScanFindings", {})  # type: ignore[attr-defined]
        size, start = int(self._get_param("maxResults") or 100), int(self._get_param("nextToken") or 0)
        for name in ("findings", "enhancedFindings"):
            listed = findings.get(name, ())
            if name in findings:
                findings[name] = listed[start : start + size]
            if len(listed) > start + size:
                answer.result["nextToken"] = str(start + size)  # type: ignore[index]
        return answer


# moto finds the service of a backend, and its urls, by the module that the class claims to be from.
SimulatedEcr.__module__ = "moto.ecr.models"


def push_image(  # noqa: PLR0913 (what there is to say about an image; all but four have defaults)
    client: EcrClient,
    repository: str,
    tag: str,
    behavior: ImageBehavior = HEALTHY,
    *,
    per_container: dict[str, ImageBehavior] | None = None,
    architectures: Sequence[str] = ("arm64",),
    index: bool = False,
    attestation: bool = False,
    scan: ScanResult | None = None,
    media_type: str = OCI_MANIFEST,
    content: str | None = None,
    artifact: str | None = None,
    archived: str | None = None,
    operating_system: str = "linux",
) -> str:
    """Push an image as CI does and say how its tasks behave.

    Parameters
    ----------
    client
        A boto3 ECR client; the repository exists.
    tag
        The image is distinct for each tag, see `content`.
    behavior, per_container
        As in `Images.register`.
    architectures
        `arm64`, `amd64`. Several need `index`.
    index
        Push an OCI image index whose children are pushed too, untagged, as `docker buildx` does.
    attestation
        With `index`: add buildx' provenance manifest, whose platform is `unknown/unknown`.
    scan
        The scan result. ECR scans the children of an index, never the index itself.
    media_type
        Of the single manifest: `OCI_MANIFEST` or `DOCKER_MANIFEST`.
    content
        What the layers are made of. Two pushes with the same content have the same digest.
    artifact
        Media type of the config, for what is no image: ``application/vnd.cncf.helm.config.v1+json``.
    archived
        The image's status: ``ARCHIVED``, or ``ACTIVATING`` while it is restored.
    operating_system
        Of the children of an index.

    Returns
    -------
    str
        The digest that the tag points to, `sha256:…`: that of the index with `index`.

    Raises
    ------
    ValueError
        If several architectures are pushed without an index.
    """
    if not index and len(architectures) != 1:
        raise ValueError("several architectures need an image index: index=True")
    seed = content if content is not None else f"{repository}:{tag}"
    images = SimulatedEcr.simulated.images
    children: list[Json] = []
    for architecture in architectures:
        manifest = _manifest(f"{seed}/{architecture}", media_type, config=artifact)
        child_tag = {} if index else {"imageTag": tag}
        digest = _put(client, repository, manifest, media_type, child_tag)
        images.register(digest, behavior, per_container=per_container, architectures=[architecture], scan=scan)
        children.append(_descriptor(manifest, media_type, {"os": operating_system, "architecture": architecture}))
    if not index:
        return _with_status(digest, archived)
    if attestation:
        provenance = _manifest(f"{seed}/attestation", OCI_MANIFEST, layer=IN_TOTO)
        _put(client, repository, provenance, OCI_MANIFEST, {})
        descriptor = _descriptor(provenance, OCI_MANIFEST, {"os": "unknown", "architecture": "unknown"})
        annotations = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": children[0]["digest"],
        }
        children.append({**descriptor, "annotations": annotations})
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, sort_keys=True)
    digest = _put(client, repository, body, OCI_INDEX, {"imageTag": tag})
    images.register(digest, behavior, per_container=per_container, architectures=architectures)
    return _with_status(digest, archived)


def digest_of(content: str) -> str:
    """`sha256:…` of a manifest or blob."""
    return f"sha256:{sha256(content.encode()).hexdigest()}"


def _put(client: EcrClient, repository: str, manifest: str, media_type: str, tag: dict[str, str]) -> str:
    answer = client.put_image(
        repositoryName=repository, imageManifest=manifest, imageManifestMediaType=media_type, **tag
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def _with_status(digest: str, status: str | None) -> str:
    statuses = SimulatedEcr.simulated.images.archived
    statuses.pop(digest, None)
    if status:
        statuses[digest] = status
    return digest


def _artifact_type(image: Image) -> str | None:
    """`artifactMediaType`: the type of a manifest's config; an index has none."""
    manifest = json.loads(image.image_manifest)
    return manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType")


def _manifest(seed: str, media_type: str, *, config: str | None = None, layer: str | None = None) -> str:
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": config or IMAGE_CONFIGS[media_type],
            "size": CONFIG_BYTES,
            "digest": digest_of(f"{seed}/config"),
        },
        "layers": [
            {"mediaType": layer or LAYERS[media_type], "size": LAYER_BYTES, "digest": digest_of(f"{seed}/layer")}
        ],
    }
    return json.dumps(manifest, sort_keys=True)


def _descriptor(manifest: str, media_type: str, platform: dict[str, str]) -> Json:
    return {
        "mediaType": media_type,
        "digest": digest_of(manifest),
        "size": len(manifest.encode()),
        "platform": platform,
    }


def _findings(scan: ScanResult) -> list[Json]:
    findings: list[Json] = []
    for severity, count in scan.counts.items():
        given = scan.names.get(severity, ())
        for number in range(1, count + 1):
            name = given[number - 1] if number <= len(given) else f"CVE-2026-{len(findings) + 1:04d}"
            description = f"Simulated finding {number} of severity {severity}"
            findings.append({"name": name, "description": description, "severity": severity})
    return findings


def _enhanced(scan: ScanResult) -> list[Json]:
    return [
        {
            "title": f"{finding['name']} - a simulated package",
            "severity": finding["severity"],
            "status": "ACTIVE",
            "type": "PACKAGE_VULNERABILITY",
            "packageVulnerabilityDetails": {"vulnerabilityId": finding["name"], "source": "simulated"},
        }
        for finding in _findings(scan)
    ]

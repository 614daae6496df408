"""The simulated ECR: moto's backend with digests that are digests, virtual push times and scan results.

What moto 5.2.5 lacks and `SimulatedEcr` adds, through moto's class slot:

* a digest is the SHA-256 of the manifest (moto hashes the layer names, and rolls dice for an image index);
* `imagePushedAt` is virtual time;
* DescribeImages carries `imageScanStatus` and `imageScanFindingsSummary`, and keeps the order of the request;
* DescribeImageScanFindings agrees with it, instead of a canned finding.

`push_image` is what a CI job does: it pushes a manifest and says, to the installed world, how the image behaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Protocol

from moto.ecr.exceptions import ScanNotFoundException
from moto.ecr.models import ECRBackend, Image

from simulator.ecs.context import EcsContext, timestamp
from simulator.ecs.images import HEALTHY, ImageBehavior, ScanResult

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

LAYER_BYTES = 30_000_000
CONFIG_BYTES = 7_000

SCAN_DESCRIPTIONS = {
    "COMPLETE": "The scan was completed successfully.",
    "FAILED": "The scan failed.",
    "UNSUPPORTED_IMAGE": "UnsupportedImageError: The operating system and/or package manager are not supported.",
    "IN_PROGRESS": "",
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

    def describe_images(
        self,
        repository_name: str,
        registry_id: str | None = None,
        image_ids: list[dict[str, str]] | None = None,
    ) -> Iterable[Image]:
        """DescribeImages: ImageNotFoundException for a missing tag, RepositoryNotFoundException as on AWS."""
        found = super().describe_images(repository_name, registry_id, image_ids)
        repository = self._get_repository(repository_name, registry_id)
        images = [each for each in repository.images if each in found]
        for image in images:
            # moto's serializer reads each member of `ImageDetail` from an attribute of this name.
            fields = self._scan_fields(image)
            if fields is not None:
                vars(image)["image_scan_status"] = fields["imageScanStatus"]
                vars(image)["image_scan_findings_summary"] = fields.get("summary")
        return images

    def describe_image_scan_findings(
        self, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> dict[str, Any]:
        """DescribeImageScanFindings, in agreement with DescribeImages; ScanNotFoundException without a scan."""
        repository = self._get_repository(repository_name, registry_id)
        image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))  # noqa: SLF001 (moto's own lookup)
        fields = self._scan_fields(image)
        if fields is None:
            tag, digest = image_id.get("imageTag", "null"), image_id.get("imageDigest", "null")
            raise ScanNotFoundException(
                f"{{imageDigest:'{digest}', imageTag:'{tag}'}}", repository_name, repository.registry_id
            )
        answer: Json = {
            "registryId": repository.registry_id,
            "repositoryName": repository_name,
            "imageId": {**image_id, "imageDigest": image.get_image_digest()},
            "imageScanStatus": fields["imageScanStatus"],
        }
        if summary := fields.get("summary"):
            answer["imageScanFindings"] = {**summary, "findings": _findings(summary["findingSeverityCounts"])}
        return answer

    def _scan_fields(self, image: Image) -> Json | None:
        scan = self.simulated.images.scan_of(image.get_image_digest())
        if scan is None:
            return None
        completed_at = image.image_pushed_at + scan.seconds
        status = scan.status if self.simulated.now() >= completed_at else "IN_PROGRESS"
        fields: Json = {"imageScanStatus": {"status": status, "description": SCAN_DESCRIPTIONS[status]}}
        if status == "COMPLETE":
            fields["summary"] = {
                "imageScanCompletedAt": timestamp(completed_at),
                "vulnerabilitySourceUpdatedAt": timestamp(completed_at),
                "findingSeverityCounts": dict(scan.counts),
            }
        return fields


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
        manifest = _manifest(f"{seed}/{architecture}", media_type)
        child_tag = {} if index else {"imageTag": tag}
        digest = _put(client, repository, manifest, media_type, child_tag)
        images.register(digest, behavior, per_container=per_container, architectures=[architecture], scan=scan)
        children.append(_descriptor(manifest, media_type, {"os": "linux", "architecture": architecture}))
    if not index:
        return digest
    if attestation:
        provenance = _manifest(f"{seed}/attestation", OCI_MANIFEST)
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
    return digest


def digest_of(content: str) -> str:
    """`sha256:…` of a manifest or blob."""
    return f"sha256:{sha256(content.encode()).hexdigest()}"


def _put(client: EcrClient, repository: str, manifest: str, media_type: str, tag: dict[str, str]) -> str:
    answer = client.put_image(
        repositoryName=repository, imageManifest=manifest, imageManifestMediaType=media_type, **tag
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def _manifest(seed: str, media_type: str) -> str:
    is_docker = media_type == DOCKER_MANIFEST
    config = (
        "application/vnd.docker.container.image.v1+json" if is_docker else "application/vnd.oci.image.config.v1+json"
    )
    layer = (
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
        if is_docker
        else "application/vnd.oci.image.layer.v1.tar+gzip"
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config, "size": CONFIG_BYTES, "digest": digest_of(f"{seed}/config")},
        "layers": [{"mediaType": layer, "size": LAYER_BYTES, "digest": digest_of(f"{seed}/layer")}],
    }
    return json.dumps(manifest, sort_keys=True)


def _descriptor(manifest: str, media_type: str, platform: dict[str, str]) -> Json:
    return {
        "mediaType": media_type,
        "digest": digest_of(manifest),
        "size": len(manifest.encode()),
        "platform": platform,
    }


def _findings(counts: dict[str, int]) -> list[Json]:
    findings: list[Json] = []
    for severity, count in counts.items():
        for number in range(1, count + 1):
            name = f"CVE-2026-{len(findings) + 1:04d}"
            description = f"Simulated finding {number} of severity {severity}"
            findings.append({"name": name, "description": description, "severity": severity})
    return findings

"""Images made of bytes and pushed by ECR's own API: layer, config and manifest, without docker or a base image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.e2e.images import BEHAVIOR, MEDIA_TYPE, Behavior
from tools.acceptance.world.program import executable

PROGRAM = "program"
USER = "10001:10001"

CLEAN: Mapping[str, str] = {
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "var/lib/dpkg/status": (
        "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4+deb12u12\n\n"
    ),
}
"""What a scanner reads of a Debian without a known hole: the list of its packages, and not the packages."""

VULNERABLE: Mapping[str, str] = {
    **CLEAN,
    "var/lib/dpkg/status": CLEAN["var/lib/dpkg/status"]
    + (
        "Package: libcurl4\nStatus: install ok installed\nArchitecture: amd64\nSource: curl\n"
        "Version: 7.88.1-10+deb12u1\n\n"
    ),
}
"""The same with curl before its repair of CVE-2023-38545 (Debian security tracker, DSA-5523)."""


@dataclass(frozen=True)
class Image:
    """An image as a registry keeps it.

    Attributes
    ----------
    manifest
        The document whose hash is the image's digest.
    blobs
        What it names: the config and the layer.
    """

    manifest: str
    blobs: tuple[bytes, ...]


def build(name: str, behavior: Behavior | None = None, files: Mapping[str, str] = CLEAN) -> Image:
    """Return an image; another name makes another digest, and the same arguments the same.

    Parameters
    ----------
    name
        What the image is.
    behavior
        As for ``tests.e2e.images.manifest``; the program in it does so, and the annotation says so to the emulator.
    files
        Text files beside the program, for scanners.
    """
    unpacked = _archive({PROGRAM: executable(behavior or {}), **{path: text.encode() for path, text in files.items()}})
    layer = gzip.compress(unpacked, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": [f"/{PROGRAM}"],
                "User": USER,
                "ExposedPorts": {"8080/tcp": {}},
                "Labels": {"name": name},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(unpacked)]},
            "history": [{"created_by": "tools/acceptance/world/images.py"}],
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": _described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [_described(layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
        "annotations": {BEHAVIOR: json.dumps(behavior or {})},
    }
    return Image(json.dumps(manifest), (config, layer))


def push(ecr: Any, repository: str, tag: str, image: Image) -> str:
    """Push an image with a client of ECR, as docker does in the end; returns its digest."""
    for blob in image.blobs:
        upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=len(blob) - 1, layerPartBlob=blob
        )
        try:
            ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest(blob)])
        except ClientError as error:
            # The clean layer of an image before.
            if error.response["Error"]["Code"] != "LayerAlreadyExistsException":
                raise
    answer = ecr.put_image(
        repositoryName=repository, imageManifest=image.manifest, imageManifestMediaType=MEDIA_TYPE, imageTag=tag
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def digest(content: bytes) -> str:
    """Return the name of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar; the program alone may be executed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755 if path == PROGRAM else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()

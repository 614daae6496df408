"""Looks for a secret in everything that a build has left behind."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

GZIP = b"\x1f\x8b"


def disguises(secret: str) -> list[bytes]:
    """Return what to look for: the secret, and what of its base64 is the same wherever in a longer text it stood.

    Worked example: base64 turns 3 bytes into 4 letters. A secret that begins at the second byte of such a group
    shares its first letters, and perhaps its last ones, with its neighbours; what is left between them is looked for.
    """
    raw = secret.encode()
    found = [raw]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        end = (before + len(raw)) // 3 * 4
        found.append(encoded[-(-before * 4 // 3) : end])
    return found


def hits(folder: Path, secrets: Sequence[str]) -> list[str]:
    """Return the files below a folder that hold one of the secrets, compressed or not, in their bytes or names."""
    needles = [needle for secret in secrets for needle in disguises(secret)]
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(needle in name.encode() for needle in needles):
            found.append(f"the name {name}")
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if any(needle in text for text in (data, unpacked(data)) for needle in needles):
                found.append(name)
    return found


def unpacked(data: bytes) -> bytes:
    """Return what is in a gzip file; nothing when it is none, or is cut off."""
    if not data.startswith(GZIP):
        return b""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return b""


@dataclass(frozen=True)
class Layer:
    """One layer of an image.

    Attributes
    ----------
    files
        Paths to sizes in bytes, of files and links, without folders.
    packed_bytes
        What it takes in a registry.
    """

    files: dict[str, int]
    packed_bytes: int


@dataclass(frozen=True)
class PushedImage:
    """An image in the OCI layout, as a registry would get it.

    Attributes
    ----------
    config
        Its ``config`` object: user, labels, environment.
    layers
        The base's first.
    """

    config: dict[str, object]
    layers: tuple[Layer, ...]


def read_layout(folder: Path) -> PushedImage:
    """Read an OCI layout that holds one image (OCI image specification, ``image-layout.md``)."""

    def blob(digest: str) -> bytes:
        return (folder / "blobs" / digest.replace(":", "/")).read_bytes()

    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]))
    layers = []
    for each in manifest["layers"]:
        data = blob(each["digest"])
        layers.append(Layer(dict(_files(unpacked(data) or data)), len(data)))
    return PushedImage(json.loads(blob(manifest["config"]["digest"]))["config"], tuple(layers))


def _files(data: bytes) -> Iterator[tuple[str, int]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if not member.isdir():
                yield member.name.removeprefix("./"), member.size

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.image.search import disguises, hits, read_layout

SECRET = "0123456789abcdef0123456789abcdef"


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_a_secret_is_found_in_base64_wherever_it_stands(before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + SECRET.encode() + after)
    assert any(needle in encoded for needle in disguises(SECRET))


def test_what_is_looked_for_is_too_long_to_be_found_by_chance() -> None:
    assert min(map(len, disguises(SECRET))) >= 32


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


HIDDEN = {
    "in a file": SECRET.encode(),
    "in the middle of a binary file": b"\0\xff" + SECRET.encode() + b"\0",
    "in base64": base64.b64encode(b"key=" + SECRET.encode()),
    "compressed": gzip.compress(SECRET.encode()),
    "in a layer": packed({"etc/key": SECRET.encode()}),
    "in the name of a file in a layer": packed({SECRET: b""}),
}


@pytest.mark.parametrize("where", HIDDEN)
def test_a_secret_is_found(tmp_path: Path, where: str) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "a").write_bytes(HIDDEN[where])
    (tmp_path / "blobs" / "b").write_bytes(b"nothing")
    assert hits(tmp_path, ["another secret", SECRET]) == ["blobs/a"]


def test_a_secret_in_a_name_is_found(tmp_path: Path) -> None:
    (tmp_path / f"key-{SECRET}").touch()
    assert hits(tmp_path, [SECRET]) == [f"the name key-{SECRET}"]


@pytest.mark.parametrize("data", [b"", b"nothing", SECRET[1:].encode(), b"\x1f\x8b cut off"])
def test_what_holds_no_secret_is_not_accused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "link").symlink_to("nowhere")
    assert hits(tmp_path, [SECRET]) == []


def test_an_image_is_read_as_a_registry_would_get_it(tmp_path: Path) -> None:
    def blob(data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        (tmp_path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        (tmp_path / "blobs" / "sha256" / name).write_bytes(data)
        return f"sha256:{name}"

    base, own = packed({"bin/sh": b"12345"}), packed({"./srv/app/api.py": b"123"})
    manifest = {
        "config": {"digest": blob(json.dumps({"config": {"User": "10001:10001"}}).encode())},
        "layers": [{"digest": blob(base)}, {"digest": blob(own)}],
    }
    index = {"manifests": [{"digest": blob(json.dumps(manifest).encode())}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    image = read_layout(tmp_path)
    assert image.config == {"User": "10001:10001"}
    assert [layer.files for layer in image.layers] == [{"bin/sh": 5}, {"srv/app/api.py": 3}]
    assert [layer.packed_bytes for layer in image.layers] == [len(base), len(own)]

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lambdas.release.errors import (
    DigestMismatch,
    ImageArchived,
    ImageNotFound,
    InvalidInput,
    NotAnImage,
    WrongArchitecture,
)
from lambdas.release.image import (
    FoundImage,
    ReleaseImage,
    check_architecture,
    check_release,
    choose_image,
    choose_images,
    foreign_type,
    may_be_a_referrer,
    needless_push,
    pushed_image,
    release_image,
)
from lambdas.release.task_definition import Platform

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
FOUND = FoundImage("v3-backend", "123456789012.dkr.ecr.us-east-1.amazonaws.com/v3-backend", DIGEST, ("v1", "sha-abc"))


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


def test_an_archived_image_is_refused_with_the_way_to_restore_it() -> None:
    for status in ("ARCHIVED", "ACTIVATING"):
        with pytest.raises(ImageArchived, match=f"is {status} in ECR: nothing can pull it; restore it"):
            choose_image("v3-backend", replace(FOUND, status=status), tag="v1", digest=None)


def test_what_is_no_image_is_refused_by_its_type() -> None:
    with pytest.raises(NotAnImage, match=rf"{DIGEST} is no container image but {re.escape(HELM)};"):
        choose_image("v3-backend", replace(FOUND, foreign_type=HELM), tag="v1", digest=None)


HELM = "application/vnd.cncf.helm.config.v1+json"
OCI, DOCKER = "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"
COSIGN, DSSE = "application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TYPES: dict[str, tuple[str | None, str | None, tuple[str, ...], str | None]] = {
    "image": (OCI, CONFIG, (), None),
    "image of docker": (DOCKER, "application/vnd.docker.container.image.v1+json", (), None),
    "index": ("application/vnd.oci.image.index.v1+json", None, (), None),
    "manifest list": ("application/vnd.docker.distribution.manifest.list.v2+json", None, (), None),
    "image of the first schema": ("application/vnd.docker.distribution.manifest.v1+prettyjws", None, (), None),
    "the type of the manifest twice": (OCI, OCI, (), None),
    "ECR says nothing": (None, None, (), None),
    "layers of an image": (OCI, CONFIG, ("application/vnd.oci.image.layer.v1.tar+zstd",), None),
    "layers of docker": (DOCKER, None, ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",), None),
    "chart": (OCI, HELM, (), HELM),
    "artifact without a config": (OCI, "application/vnd.oci.empty.v1+json", (), "application/vnd.oci.empty.v1+json"),
    "SBOM": (OCI, "application/spdx+json", (), "application/spdx+json"),
    "signature with the config of an image": (OCI, CONFIG, (COSIGN,), COSIGN),
    "attestation with the config of an image": (OCI, CONFIG, (DSSE, DSSE), DSSE),
    "artifact manifest": ("application/vnd.oci.artifact.manifest.v1+json", None, (),
                          "application/vnd.oci.artifact.manifest.v1+json"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "artifact", "layers", "expected"), TYPES.values(), ids=TYPES)
def test_media_types_tell_what_is_no_image(
    manifest: str | None, artifact: str | None, layers: tuple[str, ...], expected: str | None
) -> None:
    assert foreign_type(manifest, artifact, layers) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), True),
        ((f"sha256-{'a' * 64}.sig",), True),
        ((f"sha256-{'a' * 64}.att", f"sha256-{'a' * 64}"), True),
        ((f"sha256-{'a' * 64}.sig", "v1"), False),
        (("sha-abc",), False),
    ],
)
def test_a_referrer_is_told_by_its_tags(tags: tuple[str, ...], expected: bool) -> None:
    assert may_be_a_referrer(tags) is expected


ARM, INTEL = Platform("ARM64", "LINUX"), Platform("X86_64", "LINUX")
WINDOWS = Platform("X86_64", "WINDOWS_SERVER_2022_CORE")
ARCHITECTURES: dict[str, tuple[tuple[str, ...], dict[str, Platform], str | None]] = {
    "an index for both": (("linux/amd64", "linux/arm64"), {"api": INTEL, "worker": ARM}, None),
    "a single image does not say": ((), {"api": ARM}, None),
    "no services": (("linux/amd64",), {}, None),
    "the other CPU": (
        ("linux/amd64",),
        {"worker": ARM, "api": INTEL},
        "built for linux/amd64, but worker asks for LINUX ARM64:",
    ),
    "two of the other CPU": (("linux/arm64",), {"b": INTEL, "a": INTEL}, "a asks for LINUX X86_64; b asks for LINUX"),
    "a CPU that ECS adds later": (("linux/riscv64",), {"api": Platform("RISCV64", "LINUX")}, None),
    "the other system": (("linux/amd64",), {"api": WINDOWS}, "api asks for WINDOWS_SERVER_2022_CORE X86_64:"),
    "Windows for Linux": (("windows/amd64",), {"api": INTEL}, "built for windows/amd64, but api asks for LINUX X86_64"),
    "Windows": (("linux/amd64", "windows/amd64"), {"api": WINDOWS}, None),
    "CPU and system of two manifests": (("linux/arm64", "windows/amd64"), {"api": INTEL}, "api asks for LINUX X86_64"),
    "tasks that do not say": (("linux/arm64",), {"api": Platform()}, None),
    "tasks that say the system alone": (("linux/arm64",), {"api": Platform(None, "LINUX")}, None),
    "tasks that say the CPU alone": (("linux/arm64",), {"api": Platform("X86_64")}, "api asks for X86_64:"),
    "an index that does not say the system": (("/amd64",), {"api": INTEL}, None),
}


@pytest.mark.parametrize(("built_for", "wanted", "words"), ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_an_index_needs_a_manifest_for_every_service(
    built_for: tuple[str, ...], wanted: dict[str, Platform], words: str | None
) -> None:
    image = replace(FOUND, platforms=built_for)
    if words is None:
        check_architecture(image, wanted)
        return
    with pytest.raises(WrongArchitecture, match=words):
        check_architecture(image, wanted)


@pytest.mark.parametrize("put_together", [release_image, pushed_image])
def test_a_verified_image_is_compared_with_what_its_repository_s_services_run_on(
    put_together: Callable[..., ReleaseImage],
) -> None:
    index, single = replace(FOUND, platforms=("linux/arm64",)), replace(FOUND, repository="other", platforms=())
    image = put_together([index, single], "v1")
    assert image.platforms == {FOUND.repository: ("linux/arm64",)}
    check_release(image, {"other": {"web": INTEL}})
    check_release(image, {FOUND.repository: {"api": Platform("ARM64", "LINUX")}})
    with pytest.raises(
        WrongArchitecture, match=f"{FOUND.name} is built for linux/arm64, but api asks for LINUX X86_64"
    ):
        check_release(image, {FOUND.repository: {"api": INTEL}})


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


# --- one release, several repositories

ADMIN = replace(FOUND, repository="v3-admin", uri=FOUND.uri.replace("v3-backend", "v3-admin"), digest=OTHER)
BOTH = {"v3-backend": replace(FOUND, pushed_at=100.0), "v3-admin": replace(ADMIN, pushed_at=130.0)}


@pytest.mark.parametrize("digest", [None, DIGEST, OTHER], ids=["the tag alone", "of the one", "of the other"])
def test_a_digest_is_that_of_the_tag_in_whichever_repository_was_pushed(digest: str | None) -> None:
    assert choose_images(BOTH, tag="v1", digest=digest) == tuple(BOTH.values())


def test_a_digest_of_none_of_them_is_a_mismatch_that_names_them_all() -> None:
    with pytest.raises(DigestMismatch, match=f"v3-backend:v1 is {DIGEST}, v3-admin:v1 is {OTHER}.*give imageTag alone"):
        choose_images(BOTH, tag="v1", digest="sha256:" + "3" * 64)


def test_a_digest_alone_is_in_one_repository_and_makes_no_release_of_two() -> None:
    with pytest.raises(InvalidInput, match=r"v3-backend, v3-admin.*give imageTag too"):
        choose_images(BOTH, tag=None, digest=DIGEST)
    assert choose_images({"v3-backend": FOUND}, tag=None, digest=DIGEST) == (FOUND,)


@pytest.mark.parametrize(
    ("found", "digest", "why"),
    [
        (BOTH, DIGEST, None),
        (BOTH, None, None),
        ({**BOTH, "v3-admin": None}, DIGEST, "v3-admin has no image v1 yet"),
        ({"v3-backend": None, "v3-admin": None}, DIGEST, None),
        (BOTH, "sha256:" + "3" * 64, "v1 was pushed again meanwhile"),
    ],
    ids=["whole", "no digest", "half of it", "nothing: an error says so", "pushed again"],
)
def test_a_push_deploys_when_it_makes_the_release_whole(
    found: dict[str, FoundImage | None], digest: str | None, why: str | None
) -> None:
    said = needless_push(found, tag="v1", digest=digest)
    assert (said is None) == (why is None)
    assert (why or "") in (said or "")


def test_the_last_of_its_pushes_makes_a_release() -> None:
    made = pushed_image(BOTH.values(), "v1")
    assert (made.tag, made.pushed_at, set(made.pinned)) == ("v1", 130.0, set(BOTH))

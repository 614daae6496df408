"""Which images may be deployed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lambdas.release.errors import (
    DigestMismatch,
    ImageArchived,
    ImageNotFound,
    InvalidInput,
    NotAnImage,
    WrongArchitecture,
)
from lambdas.release.task_definition import Platform
from lambdas.release.wording import and_list, shorten

ARCHIVED = ("ARCHIVED", "ACTIVATING")
"""ECR's ``imageStatus`` of an image that cannot be pulled; one that is restored is ACTIVATING for a while."""

RESTORE = "restore it (aws ecr update-image-storage-class, STANDARD) and wait until it is ACTIVE, or push it again"


INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
CONFIG_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
"""Of an image's config, which ECR calls its ``artifactMediaType``; a chart's or a signature's is another."""

LAYER_WORDS = (".image.layer.", ".image.rootfs.")
"""In the media type of each layer of an image (OCI image-spec, "Image Manifest"; Docker's schema 2)."""

REFERRER_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z0-9.-]+)?")
"""How cosign and OCI's fallback scheme tag a signature, an attestation or an SBOM of another image."""

CPU_NAMES = {"X86_64": "amd64", "ARM64": "arm64"}
"""ECS's ``runtimePlatform.cpuArchitecture`` in the words of an image manifest."""


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
    platforms
        ``linux/arm64`` for each manifest of an index; empty when that is not said (a single image).
    manifests
        The digests that would run: the image's own, or those of the manifests of an index.
    status
        ECR's ``imageStatus``: ``ACTIVE``, ``ARCHIVED`` or ``ACTIVATING``.
    pushed_at
        Unix seconds; 0 when ECR does not say.
    foreign_type
        The media type by which one sees that it is no image; None for an image.
    """

    repository: str
    uri: str
    digest: str
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    status: str = "ACTIVE"
    pushed_at: float = 0.0
    foreign_type: str | None = None

    @property
    def pinned(self) -> str:
        """The image as task definitions carry it: ``uri@sha256:…``."""
        return f"{self.uri}@{self.digest}"

    @property
    def name(self) -> str:
        """The image as messages name it: ``v3-backend@sha256:…``."""
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class ReleaseImage:
    """The verified image of a deployment, in the state as ``$.image``.

    Attributes
    ----------
    tag
        What was asked for, or the first tag of the digest, or the digest when it has no tag.
    pinned
        Repository to ``uri@sha256:…``.
    platforms
        Repository to what its index is built for, where the image is one: ``Plan`` knows what runs it.
    """

    tag: str
    pinned: Mapping[str, str]
    platforms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class PushedImage(ReleaseImage):
    """The image of a deployment that its push has started.

    Attributes
    ----------
    pushed_at
        When the last of them was pushed (unix seconds); 0 when ECR does not say.
    """

    pushed_at: float = 0.0

    @property
    def digests(self) -> str:
        """What was pushed, as one text."""
        return ",".join(sorted(pinned.rpartition("@")[2] for pinned in self.pinned.values()))


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
    NotAnImage, ImageArchived
        It is there, and cannot run.
    DigestMismatch
        ``imageTag`` points to another digest than ``imageDigest``.
    """
    if found is None:
        what = f"imageTag {tag}" if tag is not None else f"imageDigest {digest}"
        raise ImageNotFound(f"{what}: repository {repository} has no such image; push it first, then start again")
    if found.foreign_type is not None:
        raise NotAnImage(
            f"{found.name} is no container image but {shorten(found.foreign_type)}; "
            "give the tag or the digest of an image"
        )
    if found.status in ARCHIVED:
        raise ImageArchived(f"{found.name} is {found.status} in ECR: nothing can pull it; {RESTORE}")
    if digest is not None and found.digest != digest:
        raise DigestMismatch(
            f"imageDigest: {repository}:{tag} is {found.digest}, the input says {digest}; "
            "the tag was moved or the input mixes two builds: give one of them alone"
        )
    return found


def foreign_type(manifest_type: str | None, artifact_type: str | None, layers: Iterable[str] = ()) -> str | None:
    """Return the media type by which one sees that something is no image; None for an image.

    Parameters
    ----------
    manifest_type, artifact_type
        ECR's ``imageManifestMediaType`` and ``artifactMediaType``; an index has no second one, and what ECR does not
        say is no reason to refuse.
    layers
        The media types of the layers, where somebody has looked: a signature or an attestation may have the config of
        an image, and never its layers.
    """
    if manifest_type is not None and manifest_type not in (*INDEX_TYPES, *MANIFEST_TYPES):
        return manifest_type
    # Some registries repeat the type of the manifest there.
    if artifact_type is not None and artifact_type not in (*CONFIG_TYPES, *MANIFEST_TYPES, *INDEX_TYPES):
        return artifact_type
    layers = tuple(layers)
    if layers and not any(word in layer for layer in layers for word in LAYER_WORDS):
        return layers[0]
    return None


def may_be_a_referrer(tags: Iterable[str]) -> bool:
    """Whether a manifest with the config of an image may be a signature or an attestation: no tag of an image."""
    return all(REFERRER_TAG.fullmatch(tag) for tag in tags)


def check_architecture(image: FoundImage, wanted: Mapping[str, Platform]) -> None:
    """Check that an index has a manifest for every service's CPU and operating system.

    Parameters
    ----------
    image
        A single image passes: its manifest does not say what it is built for.
    wanted
        Service name to what its tasks run on.

    Raises
    ------
    WrongArchitecture
        Names the services that could not start.
    """
    if image.platforms:
        _check_platforms(image.name, image.platforms, wanted)


def check_release(image: ReleaseImage, wanted: Mapping[str, Mapping[str, Platform]]) -> None:
    """Check the same of a verified image.

    Parameters
    ----------
    wanted
        Repository to service name to what the revision runs on of which its next one is made.

    Raises
    ------
    WrongArchitecture
    """
    for repository, platforms in image.platforms.items():
        name = f"{repository}@{image.pinned[repository].rpartition('@')[2]}"
        _check_platforms(name, platforms, wanted.get(repository, {}))


def _check_platforms(name: str, platforms: Sequence[str], wanted: Mapping[str, Platform]) -> None:
    wrong = [
        f"{service} asks for {platform}"
        for service, platform in sorted(wanted.items())
        if not any(_fits(platform, built) for built in platforms)
    ]
    if wrong:
        raise WrongArchitecture(
            f"{name} is built for {', '.join(platforms)}, but "
            f"{'; '.join(wrong)}: build it for that platform, or change the task definition's runtimePlatform"
        )


def _fits(wanted: Platform, built: str) -> bool:
    system, _, cpu = built.partition("/")
    family = wanted.operating_system
    if family and system and system.lower() != ("windows" if family.upper().startswith("WINDOWS") else family.lower()):
        return False
    return not wanted.cpu or CPU_NAMES.get(wanted.cpu, wanted.cpu.lower()) == cpu


def choose_images(
    found: Mapping[str, FoundImage | None], *, tag: str | None, digest: str | None
) -> tuple[FoundImage, ...]:
    """Return the image of each repository if it is what the request says.

    A tag is one build in all repositories that the services use, a digest is in one of them: with several repositories
    ``imageDigest`` is the one of ``imageTag`` in whichever was pushed.

    Raises
    ------
    InvalidInput
        A digest alone, and several repositories.
    ImageNotFound, DigestMismatch
    """
    if len(found) == 1 or digest is None:
        return tuple(choose_image(name, image, tag=tag, digest=digest) for name, image in found.items())
    if tag is None:
        raise InvalidInput(
            f"imageDigest: the services use several repositories ({', '.join(found)}), a digest is in one; "
            "give imageTag too"
        )
    chosen = tuple(choose_image(name, image, tag=tag, digest=None) for name, image in found.items())
    if digest not in {image.digest for image in chosen}:
        seen = ", ".join(f"{image.repository}:{tag} is {image.digest}" for image in chosen)
        raise DigestMismatch(
            f"imageDigest: {seen}, the input says {digest}; "
            "the tag was moved or the input mixes two builds: give imageTag alone"
        )
    return chosen


def needless_push(found: Mapping[str, FoundImage | None], *, tag: str | None, digest: str | None) -> str | None:
    """Say why the push of an image starts no deployment; None when it does.

    A release is a tag that all repositories have. The push that makes it whole deploys it; its event may also be late.
    """
    there = {name: image for name, image in found.items() if image is not None}
    missing = [name for name in found if name not in there]
    if there and missing:
        return f"{and_list(missing)} has no image {tag} yet: the push of it there will start the deployment"
    if there and digest is not None and digest not in {image.digest for image in there.values()}:
        return f"{tag} was pushed again meanwhile: that push has an event of its own"
    return None


def release_image(images: Iterable[FoundImage], tag: str | None) -> ReleaseImage:
    """Put together what the plan needs of the verified images."""
    found = tuple(images)
    name = tag or next((t for image in found for t in image.tags), found[0].digest)
    platforms = {image.repository: image.platforms for image in found if image.platforms}
    return ReleaseImage(name, {image.repository: image.pinned for image in found}, platforms=platforms)


def pushed_image(images: Iterable[FoundImage], tag: str | None) -> PushedImage:
    """Put together the same for a deployment that a push has started: the last push makes the release."""
    found = tuple(images)
    released = release_image(found, tag)
    pushed_at = max(image.pushed_at for image in found)
    return PushedImage(released.tag, released.pinned, pushed_at, platforms=released.platforms)

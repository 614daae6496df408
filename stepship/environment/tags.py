"""Which tag an image had when it was deployed: task definitions and parameters only know digests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lambdas.aws.releases_table import ReleasesTable
from lambdas.release.history import Release
from lambdas.release.image import short_image

SEARCHED = 50
"""Releases that are read; what runs is nearly always the live one or the one before."""


@dataclass(frozen=True)
class Tags:
    """Digest to tag; ``unreadable`` names the releases that could not be read."""

    by_digest: Mapping[str, str]
    unreadable: tuple[str, ...] = ()

    def of(self, image: str | None) -> str | None:
        """Return the tag of a pinned image; None when no release tells."""
        return self.by_digest.get((image or "").rpartition("@")[2])

    def name(self, image: str | None, tag: str | None = None) -> str:
        """Return ``v2 (b839975aa4c8)``; an image that was never released by its own name."""
        if not image:
            return "nothing known"
        tag, digest = tag or self.of(image), image.partition("@sha256:")[2]
        if not digest:
            return short_image(image)
        return f"{tag} ({digest[:12]})" if tag else short_image(image)


def tags_of(releases: Iterable[Release]) -> Tags:
    """Collect the tags; a digest that was released under two has the newest.

    Parameters
    ----------
    releases
        Newest first. The image of each one's own tag is the one that most of its services run: a deploy of some
        services carries the others over from the release before, and these have the tag of that.
    """
    found: dict[str, str] = {}
    before: set[str] = set()
    for release in reversed(tuple(releases)):
        digests = {image.rpartition("@")[2] for image in release.images.values()}
        new = digests - before
        found.update(dict.fromkeys(new or (digests if len(digests) == 1 else ()), release.image_tag))
        before = digests
    return Tags(found)


def read_tags(table: ReleasesTable) -> Tags:
    """Read the tags of the last releases."""
    releases = table.releases(SEARCHED)
    return replace(tags_of(releases), unreadable=releases.unreadable)

"""What outlives a stack that is deleted, for whoever is asked whether it may go."""

from __future__ import annotations

from collections.abc import Collection

BUCKETS = ("compute-shared", "log-forwarder", "frontend", "cicd", "frontend-cicd")
"""Parts whose buckets stay, in every environment."""

SHARED = "bootstrap"
"""The part with what other environments use too: the image repository, and GitHub's identity provider."""


def retained(parts: Collection[str], *, production: bool) -> str:
    """Say what stays when the stacks of these parts go; empty when nothing does.

    Examples
    --------
    >>> retained(["network", "frontend", "bootstrap"], production=False)
    "the image repository, GitHub's identity provider and the buckets of frontend"
    >>> retained(["network"], production=False)
    ''
    """
    things = ["the image repository", "GitHub's identity provider"] if SHARED in parts else []
    if owners := [part for part in BUCKETS if part in parts]:
        things.append(f"the buckets of {', '.join(owners)}")
    if production:
        things.append("the data and logs of production")
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)

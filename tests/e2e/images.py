"""Images as the tests push them: a manifest that says itself how its containers behave.

Read on both sides: the tests write the annotation, the emulator's container engine follows it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

BEHAVIOR = "dev.stepship.behavior"
"""An annotation: JSON from the command of a container to ``{"exit_code": 1, "seconds": 0.4, "logs": ["…"]}``."""

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

Behavior = dict[str, dict[str, Any]]


def manifest(name: str, behavior: Behavior | None = None) -> str:
    """Return an OCI manifest; another name makes another digest.

    Parameters
    ----------
    name
        What the image is.
    behavior
        What ends by itself, by the command that it is started with (``api``, ``migrate``, …). What is not named
        runs until it is stopped, and ``migrate`` ends well.
    """
    config = json.dumps({"name": name}).encode()
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
                "size": len(config),
            },
            "layers": [],
            "annotations": {BEHAVIOR: json.dumps(behavior or {})},
        }
    )


def behavior_of(text: str) -> Behavior:
    """Read what ``manifest`` wrote; nothing in a manifest of somebody else."""
    behavior: Behavior = json.loads(json.loads(text).get("annotations", {}).get(BEHAVIOR, "{}"))
    return behavior

"""How container images behave once ECS starts them: the part of a deploy that AWS cannot know.

A scenario pushes an image together with an `ImageBehavior`; the simulated ECS asks the `Images` registry what
the tasks of a digest do. The registry also keeps what the simulated ECR reports about an image: its platforms
and its scan result.

>>> images = Images()
>>> images.register("sha256:" + "1" * 64, ImageBehavior(outcome="crash", exit_code=3, logs=("KeyError: 'DB'",)))
>>> images.behavior_of("sha256:" + "1" * 64, "v3-backend-api").exit_code
3
>>> images.behavior_of("sha256:" + "2" * 64, "v3-backend-api").outcome   # nobody said otherwise
'healthy'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal[
    "healthy",
    "crash",
    "unhealthy",
    "out_of_memory",
    "cannot_pull",
    "secret_missing",
    "no_capacity",
    "slow",
    "flaky",
]

SLOW_START_SECONDS = 1800.0
"""How long a `slow` image takes to reach RUNNING: longer than any sensible deadline of a rollout."""


@dataclass(frozen=True)
class ImageBehavior:
    """What every task of an image does, in virtual seconds.

    Parameters
    ----------
    outcome
        `healthy` runs until it is stopped. `crash` and `out_of_memory` exit `crash_seconds` after RUNNING,
        `flaky` does so for its first `crashes` tasks in a service. `unhealthy` runs, but its health check
        fails `unhealthy_seconds` after RUNNING. `cannot_pull` and `secret_missing` never reach RUNNING,
        `no_capacity` is never placed, `slow` reaches RUNNING after half an hour.
    start_seconds
        From creation to RUNNING: network interface, pull, start. A failure to start also takes this long.
    healthy_seconds
        From RUNNING until the health check has passed. ECS counts the task from then on.
    exit_code
        Of the service container when it ends by itself. None: 1 for `crash` and `flaky`, 0 for a one-off task
        that ends well. `out_of_memory` always exits with 137.
    logs
        Lines that the container prints: at RUNNING if it keeps running, else just before it exits.
    crash_after_healthy_seconds
        A task that passed its health check crashes so much later: a release that goes bad while it bakes.
    run_seconds
        How long a one-off task (`RunTask`, a migration) runs before it exits with `exit_code`.
    hang
        A one-off task never exits.
    reason
        Replaces the wording of ECS in `stoppedReason` for `cannot_pull` and `secret_missing`.
    """

    outcome: Outcome = "healthy"
    start_seconds: float = 20.0
    healthy_seconds: float = 10.0
    crash_seconds: float = 5.0
    unhealthy_seconds: float = 30.0
    exit_code: int | None = None
    logs: tuple[str, ...] = ()
    crashes: int = 2
    crash_after_healthy_seconds: float | None = None
    run_seconds: float = 15.0
    hang: bool = False
    reason: str | None = None

    @property
    def seconds_to_running(self) -> float:
        """Seconds from the creation of a task to RUNNING."""
        return max(self.start_seconds, SLOW_START_SECONDS) if self.outcome == "slow" else self.start_seconds


HEALTHY = ImageBehavior()

FINISHED_SCAN = ("COMPLETE", "ACTIVE")
"""The statuses that come with findings: of basic and of enhanced scanning."""


@dataclass(frozen=True)
class ScanResult:
    """What a scan of ECR finds in an image.

    Parameters
    ----------
    status
        How the scan ends, in the words of ECR's `ScanStatus`. None: COMPLETE, or ACTIVE where `enhanced`.
    counts
        Findings per severity, such as `{"CRITICAL": 1}`. Severities as in ECR's `FindingSeverity`.
    seconds
        How long the scan runs after the push: IN_PROGRESS, or, where `enhanced`, ACTIVE without a completion.
        https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-basic.html
    enhanced
        Amazon Inspector scans: the status stays ACTIVE, the scan is continuous.
        https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-enhanced.html
    names
        Names of the findings of a severity, `{"HIGH": ["CVE-2026-1"]}`, one for each; those that are missing are made
        up. One finding in two packages is there twice.
    unknown_seconds
        For so long after the push ECR knows of no scan (ScanNotFoundException); about a minute where `enhanced`.
    """

    status: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    enhanced: bool = False
    unknown_seconds: float = 0.0
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def final_status(self) -> str:
        """The status once the scan is done."""
        return self.status or ("ACTIVE" if self.enhanced else "COMPLETE")


@dataclass
class Images:
    """The registry of what is known about digests (`sha256:…`). An unknown digest is healthy, never scanned."""

    _behaviors: dict[str, ImageBehavior] = field(default_factory=dict)
    _of_containers: dict[tuple[str, str], ImageBehavior] = field(default_factory=dict)
    _architectures: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _scans: dict[str, ScanResult] = field(default_factory=dict)
    archived: dict[str, str] = field(default_factory=dict)
    """Digest to `imageStatus`, of images that are not ACTIVE: `ARCHIVED`, `ACTIVATING`."""

    def register(
        self,
        digest: str,
        behavior: ImageBehavior = HEALTHY,
        *,
        per_container: Mapping[str, ImageBehavior] | None = None,
        architectures: Sequence[str] = (),
        scan: ScanResult | None = None,
    ) -> None:
        """Say how the tasks of an image behave; a later call for the same digest replaces the earlier one.

        Parameters
        ----------
        digest
            `sha256:…`.
        behavior
            For every container that runs the image.
        per_container
            Exceptions by container name: one image serves all services of a release, and a migration may fail
            although the api would start well.
        architectures
            `arm64`, `amd64`; empty when unknown.
        scan
            None: never scanned.
        """
        self.forget(digest)
        self._behaviors[digest] = behavior
        for container, exception in (per_container or {}).items():
            self._of_containers[digest, container] = exception
        if architectures:
            self._architectures[digest] = tuple(architectures)
        if scan is not None:
            self._scans[digest] = scan

    def forget(self, digest: str) -> None:
        """Drop everything known about a digest; its tasks are healthy from now on."""
        self._behaviors.pop(digest, None)
        self._architectures.pop(digest, None)
        self._scans.pop(digest, None)
        for key in [key for key in self._of_containers if key[0] == digest]:
            del self._of_containers[key]

    def knows(self, digest: str | None) -> bool:
        """Whether somebody registered this digest. It decides which container of a task is the service's own."""
        return digest in self._behaviors

    def behavior_of(self, digest: str | None, container: str = "") -> ImageBehavior:
        """How a container of this name behaves with this image."""
        if digest is None:
            return HEALTHY
        return self._of_containers.get((digest, container)) or self._behaviors.get(digest, HEALTHY)

    def architectures_of(self, digest: str | None) -> tuple[str, ...]:
        """The platforms of an image in the words of OCI (`arm64`, `amd64`), empty when unknown."""
        return self._architectures.get(digest or "", ())

    def scan_of(self, digest: str) -> ScanResult | None:
        """The scan of an image, or None when it was never scanned."""
        return self._scans.get(digest)

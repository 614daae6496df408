from __future__ import annotations

from typing import Any

import pytest

from lambdas.aws.ecr import ImageRegistry
from lambdas.release.errors import RepositoryNotFound
from lambdas.release.image import FoundImage, Scan
from simulator.ecs.ecr import push_image
from simulator.ecs.images import ScanResult
from simulator.engine.machine import SimulatedAws
from tests.lambdas.aws.conftest import Inside

REGISTRY = ImageRegistry()
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app"


@pytest.fixture
def ecr(aws: SimulatedAws) -> Any:
    aws.client("ecr").create_repository(repositoryName="app")
    return aws.client("ecr")


def found(*, tag: str | None = None, digest: str | None = None) -> FoundImage:
    image = REGISTRY.find("app", URI, tag=tag, digest=digest)
    assert image is not None
    return image


def test_repositories_have_a_uri(ecr: Any) -> None:
    ecr.create_repository(repositoryName="other")
    uris = REGISTRY.repository_uris(("app", "other"))
    assert uris == {"app": URI, "other": URI.replace("/app", "/other")}


def test_a_repository_that_does_not_exist_is_named(ecr: Any) -> None:
    with pytest.raises(RepositoryNotFound, match="nowhere"):
        REGISTRY.repository_uris(("app", "nowhere"))
    with pytest.raises(RepositoryNotFound, match="nowhere"):
        REGISTRY.find("nowhere", URI, tag="v1", digest=None)


def test_a_tag_is_the_digest_that_it_points_to(ecr: Any) -> None:
    digest = push_image(ecr, "app", "v1")
    ecr.put_image(
        repositoryName="app",
        imageManifest=ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"][0][
            "imageManifest"
        ],
        imageTag="latest",
    )
    image = found(tag="v1")
    assert image.digest == digest
    assert image.tags == ("latest", "v1")
    assert image.pinned == f"{URI}@{digest}"
    assert found(digest=digest) == image


def test_what_is_not_there_is_none(ecr: Any) -> None:
    assert REGISTRY.find("app", URI, tag="v1", digest=None) is None
    assert REGISTRY.find("app", URI, tag=None, digest=f"sha256:{'0' * 64}") is None


def test_a_single_image_says_nothing_about_its_cpu(ecr: Any) -> None:
    push_image(ecr, "app", "v1", architectures=("amd64",))
    assert found(tag="v1").architectures == ()


@pytest.mark.parametrize("attestation", [False, True])
def test_an_index_keeps_its_digest_and_has_the_cpus_of_its_manifests(ecr: Any, attestation: bool) -> None:
    digest = push_image(ecr, "app", "v1", architectures=("amd64", "arm64"), index=True, attestation=attestation)
    image = found(tag="v1")
    assert image.digest == digest
    assert image.architectures == ("amd64", "arm64")
    assert len(image.scans) == 2


def test_the_scan_of_an_index_is_that_of_its_manifests(ecr: Any) -> None:
    scan = ScanResult(counts={"CRITICAL": 1, "LOW": 3})
    push_image(ecr, "app", "v1", architectures=("amd64", "arm64"), index=True, scan=scan)
    assert found(tag="v1").scans == (Scan("COMPLETE", {"CRITICAL": 1, "LOW": 3}),) * 2


def test_a_scan_has_a_status_and_findings_by_severity(aws: SimulatedAws, ecr: Any) -> None:
    push_image(ecr, "app", "none")
    push_image(ecr, "app", "running", scan=ScanResult(counts={"HIGH": 2}, seconds=30))
    assert found(tag="none").scans == (Scan(None, {}),)
    assert found(tag="running").scans == (Scan("IN_PROGRESS", {}),)
    aws.clock.sleep(30)
    assert found(tag="running").scans == (Scan("COMPLETE", {"HIGH": 2}),)


def test_whether_a_digest_is_still_there(ecr: Any) -> None:
    digest = push_image(ecr, "app", "v1")
    assert REGISTRY.exists("app", digest)
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])
    assert not REGISTRY.exists("app", digest)


def test_a_single_image_costs_one_call_and_an_index_three(aws: SimulatedAws, ecr: Any, inside: Inside) -> None:
    push_image(ecr, "app", "single")
    push_image(ecr, "app", "index", architectures=("amd64", "arm64"), index=True)
    inside(lambda: found(tag="single"))
    assert len(aws.calls) == 1
    inside(lambda: found(tag="index"))
    assert len(aws.calls) == 4

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from lambdas.aws.ecr import ImageRegistry
from lambdas.aws.gateway import client_of
from lambdas.release.errors import AccessDenied, RepositoryNotFound
from lambdas.release.image import FoundImage
from lambdas.release.scan import Scan
from simulator.ecs.ecr import OCI_INDEX, push_image
from simulator.ecs.images import ScanResult
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
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


def scans(tag: str) -> tuple[Scan, ...]:
    return REGISTRY.scans(found(tag=tag))


def test_a_single_image_says_nothing_about_its_platform(ecr: Any) -> None:
    digest = push_image(ecr, "app", "v1", architectures=("amd64",))
    image = found(tag="v1")
    assert image.platforms == ()
    assert image.manifests == (digest,)


@pytest.mark.parametrize("attestation", [False, True])
def test_an_index_keeps_its_digest_and_has_the_cpus_of_its_manifests(ecr: Any, attestation: bool) -> None:
    digest = push_image(ecr, "app", "v1", architectures=("amd64", "arm64"), index=True, attestation=attestation)
    image = found(tag="v1")
    assert image.digest == digest
    assert image.platforms == ("linux/amd64", "linux/arm64")
    assert len(image.manifests) == 2


def test_the_platform_of_a_manifest_has_its_operating_system(ecr: Any) -> None:
    push_image(ecr, "app", "v1", architectures=("amd64",), index=True, operating_system="windows")
    assert found(tag="v1").platforms == ("windows/amd64",)


def put_index(ecr: Any, *manifests: dict[str, Any]) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)})
    ecr.put_image(repositoryName="app", imageManifest=body, imageManifestMediaType=OCI_INDEX, imageTag="v1")


def test_a_manifest_without_a_platform_runs_anywhere(ecr: Any) -> None:
    child = push_image(ecr, "app", "child")
    put_index(
        ecr, {"digest": child}, {"digest": f"sha256:{'1' * 64}", "platform": {"os": "linux", "architecture": "s390x"}}
    )
    assert found(tag="v1").platforms == ()
    assert found(tag="v1").manifests[0] == child


def test_an_index_of_attestations_alone_is_no_image(ecr: Any) -> None:
    child = push_image(ecr, "app", "child")
    put_index(
        ecr,
        {"digest": child, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": child, "artifactType": "application/spdx+json"},
    )
    assert found(tag="v1").foreign_type == "application/vnd.in-toto+json"


def test_a_chart_is_no_image(ecr: Any) -> None:
    push_image(ecr, "app", "v1", artifact="application/vnd.cncf.helm.config.v1+json")
    assert found(tag="v1").foreign_type == "application/vnd.cncf.helm.config.v1+json"


def test_an_attestation_that_looks_like_an_image_is_told_by_its_layers(ecr: Any) -> None:
    index = push_image(ecr, "app", "v1", index=True, attestation=True)
    answer = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": index}])
    image, attestation = (each["digest"] for each in json.loads(answer["images"][0]["imageManifest"])["manifests"])
    assert found(digest=attestation).foreign_type == "application/vnd.in-toto+json"
    assert found(digest=image).foreign_type is None


def test_an_archived_image_is_found_as_such(ecr: Any) -> None:
    digest = push_image(ecr, "app", "v1", archived="ARCHIVED")
    assert found(tag="v1").status == "ARCHIVED"
    assert REGISTRY.status("app", digest) == "ARCHIVED"


def test_where_no_filter_goes_with_explicit_ids_an_archived_image_is_one_that_is_not_there(ecr: Any) -> None:
    push_image(ecr, "app", "v1", archived="ARCHIVED")

    def refuse(model: Any, params: Any, **_: Any) -> Any:
        if "filter" in json.loads(params["body"]):
            error = {"Code": "InvalidParameterException", "Message": "imageIds and filter"}
            return AWSResponse("", 400, {}, None), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return None

    events = client_of("ecr").meta.events
    events.register_first("before-call.ecr.DescribeImages", refuse)
    try:
        assert REGISTRY.find("app", URI, tag="v1", digest=None) is None
    finally:
        events.unregister("before-call.ecr.DescribeImages", refuse)


def test_the_scans_of_an_index_are_those_of_its_manifests(ecr: Any) -> None:
    scan = ScanResult(counts={"CRITICAL": 1, "LOW": 3})
    push_image(ecr, "app", "v1", architectures=("amd64", "arm64"), index=True, scan=scan)
    assert scans("v1") == (Scan("COMPLETE", {"CRITICAL": 1, "LOW": 3}, is_complete=True),) * 2


def test_a_scan_has_a_status_and_findings_by_severity(aws: SimulatedAws, ecr: Any) -> None:
    push_image(ecr, "app", "none")
    push_image(ecr, "app", "running", scan=ScanResult(counts={"HIGH": 2}, seconds=30))
    push_image(ecr, "app", "enhanced", scan=ScanResult(counts={"HIGH": 0}, seconds=30, enhanced=True))
    assert scans("none") == (Scan(None, {}),)
    assert scans("running") == (Scan("IN_PROGRESS", {}),)
    assert scans("enhanced") == (Scan("ACTIVE", {}),)
    aws.clock.sleep(30)
    assert scans("running") == (Scan("COMPLETE", {"HIGH": 2}, is_complete=True),)
    assert scans("enhanced") == (Scan("ACTIVE", {}, is_complete=True),)


@pytest.mark.parametrize("enhanced", [False, True])
def test_the_findings_of_a_scan_are_listed_page_by_page(
    aws: SimulatedAws, ecr: Any, inside: Inside, enhanced: bool
) -> None:
    names = {"HIGH": [f"CVE-2026-{number:05}" for number in range(1500)]}
    push_image(ecr, "app", "v1", scan=ScanResult(counts={"HIGH": 1500, "LOW": 501}, names=names, enhanced=enhanced))
    image, before = found(tag="v1"), len(aws.calls)
    (scan,) = inside(lambda: REGISTRY.scans(image, named=True))
    assert len(aws.calls) == before + 3
    assert [each.name for each in scan.named if each.severity == "HIGH"] == names["HIGH"]
    assert len(scan.named) == 2001
    assert replace(scan, named=()) == REGISTRY.scans(image)[0]


class Answering(ImageRegistry):
    """A registry that has one answer to every question about a scan."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    @property
    def client(self) -> Any:
        return SimpleNamespace(describe_image_scan_findings=lambda **_: self.answer)


def test_a_list_without_an_end_is_read_to_a_limit() -> None:
    page = {"imageScanFindings": {"findings": [{"name": "CVE-1"}]}, "nextToken": "n"}
    assert len(Answering(page).scans(FoundImage("app", URI, "d", manifests=("sha256:0",)), named=True)[0].named) == 10


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ({"status": "ACTIVE", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-1"}}, ("CVE-1",)),
        ({"packageVulnerabilityDetails": {"vulnerabilityId": "CVE-1"}}, ("CVE-1",)),
        ({"title": "a key in a file"}, ("a key in a file",)),
        ({"status": "SUPPRESSED", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-1"}}, ()),
        ({"status": "CLOSED", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-1"}}, ()),
    ],
)
def test_an_enhanced_finding_is_listed_by_its_id(finding: dict[str, Any], expected: tuple[str, ...]) -> None:
    page = {"imageScanFindings": {"enhancedFindings": [{"severity": "HIGH", **finding}]}}
    (scan,) = Answering(page).scans(FoundImage("app", URI, "d", manifests=("d",)), named=True)
    assert tuple(each.name for each in scan.named) == expected


def test_a_manifest_that_is_gone_was_never_scanned(ecr: Any) -> None:
    digest = push_image(ecr, "app", "v1", scan=ScanResult())
    image = found(tag="v1")
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])
    assert REGISTRY.scans(image) == (Scan(),)


def test_who_may_not_read_scans_hears_which_permissions_that_takes(aws: SimulatedAws, ecr: Any, inside: Inside) -> None:
    push_image(ecr, "app", "v1", scan=ScanResult())
    fault = CallFault(action=CallAction.ERROR, service="ecr", operation="DescribeImageScanFindings",
                      code="AccessDeniedException", http_status=400)  # fmt: skip
    aws.faults.add(fault)
    with pytest.raises(AccessDenied, match="inspector2:ListCoverage and inspector2:ListFindings"):
        inside(lambda: scans("v1"))


def test_whether_a_digest_is_still_there(ecr: Any) -> None:
    digest = push_image(ecr, "app", "v1")
    assert REGISTRY.status("app", digest) == "ACTIVE"
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])
    assert REGISTRY.status("app", digest) is None


def test_an_image_costs_one_call_an_index_two_and_each_scan_one(aws: SimulatedAws, ecr: Any, inside: Inside) -> None:
    push_image(ecr, "app", "single")
    push_image(ecr, "app", "index", architectures=("amd64", "arm64"), index=True)
    inside(lambda: found(tag="single"))
    assert len(aws.calls) == 1
    inside(lambda: found(tag="index"))
    assert len(aws.calls) == 3
    inside(lambda: scans("index"))
    assert len(aws.calls) == 6 + 1

"""boto3 calls against the simulated ECR."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.ecs.ecr import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, digest_of, push_image
from simulator.ecs.images import ImageBehavior, ScanResult
from tests.simulator.ecs.ecs_fixtures import START, Account, account

__all__ = ["account"]  # a fixture is found by its name in the module

CRASH = ImageBehavior(outcome="crash")


def describe(account: Account, **image_id: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = account.ecr.describe_images(repositoryName="app", imageIds=[image_id])[
        "imageDetails"
    ]
    return details[0]


def manifest(account: Account, **image_id: str) -> dict[str, Any]:
    image = account.ecr.batch_get_image(repositoryName="app", imageIds=[image_id])["images"][0]
    content: dict[str, Any] = json.loads(image["imageManifest"])
    assert digest_of(image["imageManifest"]) == image["imageId"]["imageDigest"]
    return content


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_pushed_image_has_the_digest_of_its_manifest(account: Account, media_type: str) -> None:
    digest = push_image(account.ecr, "app", "v1", CRASH, media_type=media_type)
    detail = describe(account, imageTag="v1")
    assert (detail["imageDigest"], detail["imageTags"]) == (digest, ["v1"])
    assert detail["imageManifestMediaType"] == media_type
    assert detail["imagePushedAt"].timestamp() == START
    assert manifest(account, imageTag="v1")["mediaType"] == media_type
    assert account.simulated.images.behavior_of(digest) == CRASH


def test_an_index_has_children_and_an_attestation(account: Account) -> None:
    digest = push_image(account.ecr, "app", "v1", CRASH, architectures=("arm64", "amd64"), index=True, attestation=True)
    index = manifest(account, imageDigest=digest)
    assert describe(account, imageTag="v1")["imageManifestMediaType"] == OCI_INDEX
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["arm64", "amd64", "unknown"]
    for child in index["manifests"]:
        assert describe(account, imageDigest=child["digest"])["imageManifestMediaType"] == OCI_MANIFEST
    children = [each["digest"] for each in index["manifests"][:2]]
    assert {account.simulated.images.behavior_of(each).outcome for each in [digest, *children]} == {"crash"}
    assert account.simulated.images.architectures_of(digest) == ("arm64", "amd64")


def test_several_architectures_need_an_index(account: Account) -> None:
    with pytest.raises(ValueError, match="image index"):
        push_image(account.ecr, "app", "v1", architectures=("arm64", "amd64"))


def scan_of(account: Account, **image_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = account.ecr.describe_image_scan_findings(repositoryName="app", imageId=image_id)
    return answer


def code_of(act: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        act()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_basic_scan_is_in_progress_until_it_is_complete(account: Account) -> None:
    push_image(account.ecr, "app", "v1", scan=ScanResult(counts={"CRITICAL": 1, "LOW": 2, "HIGH": 0}, seconds=60))
    running = scan_of(account, imageTag="v1")
    assert running["imageScanStatus"]["status"] == "IN_PROGRESS"
    assert "imageScanFindings" not in running
    account.wait(60)
    done = scan_of(account, imageTag="v1")
    assert done["imageScanStatus"]["status"] == "COMPLETE"
    assert done["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1, "LOW": 2}
    assert [each["severity"] for each in done["imageScanFindings"]["findings"]] == ["CRITICAL", "LOW", "LOW"]


def test_an_enhanced_scan_is_unknown_at_first_and_active_for_ever(account: Account) -> None:
    scan = ScanResult(counts={"HIGH": 1}, enhanced=True, unknown_seconds=60, seconds=90)
    push_image(account.ecr, "app", "v1", scan=scan)
    assert code_of(lambda: scan_of(account, imageTag="v1"))[0] == "ScanNotFoundException"
    account.wait(60)
    running = scan_of(account, imageTag="v1")
    assert running["imageScanStatus"] == {"status": "ACTIVE", "description": "Continuous scan is selected for image."}
    assert "imageScanFindings" not in running
    account.wait(30)
    done = scan_of(account, imageTag="v1")
    assert done["imageScanStatus"]["status"] == "ACTIVE"
    assert done["imageScanFindings"]["imageScanCompletedAt"].timestamp() == START + 90
    assert done["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}
    assert len(done["imageScanFindings"]["enhancedFindings"]) == 1


def test_the_first_page_of_findings_has_all_the_counts(account: Account) -> None:
    push_image(account.ecr, "app", "v1", scan=ScanResult(counts={"HIGH": 3}))
    page = account.ecr.describe_image_scan_findings(repositoryName="app", imageId={"imageTag": "v1"}, maxResults=1)
    assert page["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 3}
    assert len(page["imageScanFindings"]["findings"]) == 1
    assert "nextToken" in page


@pytest.mark.parametrize("status", ["FAILED", "UNSUPPORTED_IMAGE", "SCAN_ELIGIBILITY_EXPIRED", "OF_NEXT_YEAR"])
def test_a_scan_may_end_without_findings(account: Account, status: str) -> None:
    push_image(account.ecr, "app", "v1", scan=ScanResult(status=status))
    findings = scan_of(account, imageTag="v1")
    assert findings["imageScanStatus"]["status"] == status
    assert "imageScanFindings" not in findings


def test_images_carry_no_scan_data(account: Account) -> None:
    push_image(account.ecr, "app", "v1", scan=ScanResult(counts={"CRITICAL": 1}))
    detail = describe(account, imageTag="v1")
    assert "imageScanStatus" not in detail
    assert "imageScanFindingsSummary" not in detail
    assert detail["imageStatus"] == "ACTIVE"
    assert detail["artifactMediaType"] == "application/vnd.oci.image.config.v1+json"


def test_the_children_of_an_index_are_scanned_and_the_index_is_refused(account: Account) -> None:
    digest = push_image(account.ecr, "app", "v1", index=True, scan=ScanResult(counts={"HIGH": 1}))
    child = manifest(account, imageDigest=digest)["manifests"][0]["digest"]
    _, message = code_of(lambda: scan_of(account, imageDigest=digest))
    assert message == f"An artifact with media type '{OCI_INDEX}' cannot be scanned."
    assert scan_of(account, imageDigest=child)["imageScanStatus"]["status"] == "COMPLETE"


def test_an_archived_image_is_there_for_whoever_asks_for_it(account: Account) -> None:
    push_image(account.ecr, "app", "v1", archived="ARCHIVED")
    assert code_of(lambda: describe(account, imageTag="v1"))[0] == "ImageNotFoundException"
    found = account.ecr.describe_images(repositoryName="app", filter={"imageStatus": "ANY"})["imageDetails"]
    assert [each["imageStatus"] for each in found] == ["ARCHIVED"]


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("describe_images", {"repositoryName": "app", "imageIds": [{"imageTag": "no"}]}, "ImageNotFoundException"),
        ("describe_images", {"repositoryName": "no"}, "RepositoryNotFoundException"),
        (
            "describe_image_scan_findings",
            {"repositoryName": "app", "imageId": {"imageTag": "never-scanned"}},
            "ScanNotFoundException",
        ),
    ],
)
def test_what_is_missing_is_an_error(account: Account, operation: str, arguments: dict[str, Any], code: str) -> None:
    push_image(account.ecr, "app", "never-scanned")
    with pytest.raises(ClientError) as caught:
        getattr(account.ecr, operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == code


def test_a_tag_moves_to_the_newest_push(account: Account) -> None:
    push_image(account.ecr, "app", "v1", content="one")
    second = push_image(account.ecr, "app", "v1", content="two")
    assert describe(account, imageTag="v1")["imageDigest"] == second

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import config
from config.schema import FindingException
from simulator.ecs.ecr import push_image
from simulator.ecs.images import ImageBehavior, ScanResult
from simulator.environment.simulated_environment import SimulatedEnvironment
from statemachine.triggers import PUSHED_IMAGE_INPUT
from tests.lambdas.handlers.flow import Flow, footprint, writes


def error_of(simulated: SimulatedEnvironment, **request: object) -> tuple[str, str]:
    """Return name and message of the error; nothing may have been written."""
    existing = footprint(simulated)
    error = Flow(simulated, request).fails("Verify image")
    assert footprint(simulated) == existing
    assert writes(simulated.aws.calls) == []
    assert error.message.startswith("Verify image: ")
    assert len(error.message) < 700
    return error.error_type, error.message


def image_of(simulated: SimulatedEnvironment, **request: object) -> dict[str, object]:
    image: dict[str, object] = Flow(simulated, request).call("Verify image")["image"]
    return image


def uri(repository: str = "v3-backend") -> str:
    return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}"


def register_in(simulated: SimulatedEnvironment, service: str, repository: str) -> None:
    """Move a service to a repository of its own."""
    client, name = simulated.aws.client("ssm"), simulated.identity.services_path + service
    entry = json.loads(client.get_parameter(Name=name)["Parameter"]["Value"])
    client.put_parameter(Name=name, Value=json.dumps({**entry, "repository": repository}), Overwrite=True)


def environment_with(scan_required: bool = False, max_critical: int = 5) -> SimulatedEnvironment:
    dev = config.load("dev")
    image = replace(dev.image, scan_required=scan_required, max_critical_findings=max_critical)
    return SimulatedEnvironment(settings=replace(dev, image=image), recovery=False)


def test_a_tag_becomes_the_digest_that_it_points_to(simulated: SimulatedEnvironment) -> None:
    digest = simulated.push("v1")
    state = Flow(simulated, {"imageTag": "v1"}).call("Verify image")
    assert state["image"] == {
        "tag": "v1",
        "pinned": {"v3-backend": f"{uri()}@{digest}"},
        "platforms": {},
    }
    assert state["request"]["action"] == "deploy"
    assert state["request"]["runMigration"] is True


def test_the_result_replaces_the_input_so_that_other_steps_can_add_their_keys(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    flow = Flow(simulated, {"imageTag": "v1"})
    flow.step()
    assert set(flow.state) == {"step", "at", "message", "request", "image"}


def test_a_digest_alone_is_reported_under_its_first_tag(simulated: SimulatedEnvironment) -> None:
    digest = simulated.push("v1")
    assert image_of(simulated, imageDigest=digest) == {
        "tag": "v1",
        "pinned": {"v3-backend": f"{uri()}@{digest}"},
        "platforms": {},
    }


def test_a_tag_and_the_digest_it_points_to_agree(simulated: SimulatedEnvironment) -> None:
    digest = simulated.push("v1")
    assert image_of(simulated, imageTag="v1", imageDigest=digest)["tag"] == "v1"


def test_a_tag_that_was_moved_since_disagrees_with_its_digest(simulated: SimulatedEnvironment) -> None:
    old = simulated.push("v1")
    push_image(simulated.aws.client("ecr"), "v3-backend", "v1", content="moved")
    error, message = error_of(simulated, imageTag="v1", imageDigest=old)
    assert error == "DigestMismatch"
    assert "imageDigest" in message
    assert old in message


def test_an_index_is_deployed_by_the_digest_of_the_index(simulated: SimulatedEnvironment) -> None:
    index = simulated.push("v1", architectures=("arm64", "amd64"), index=True)
    assert image_of(simulated, imageTag="v1")["pinned"] == {"v3-backend": f"{uri()}@{index}"}


def test_an_attestation_in_an_index_is_no_architecture(simulated: SimulatedEnvironment) -> None:
    push_image(simulated.aws.client("ecr"), "v3-backend", "v1", architectures=("arm64",), index=True, attestation=True)
    assert image_of(simulated, imageTag="v1")["tag"] == "v1"


def test_an_index_without_the_cpu_of_the_tasks_is_refused(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", architectures=("amd64",), index=True)
    error, message = error_of(simulated, imageTag="v1")
    assert error == "WrongArchitecture"
    assert "api asks for LINUX ARM64" in message
    assert "amd64" in message


def test_an_index_is_kept_with_what_it_is_built_for(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", architectures=("arm64", "amd64"), index=True)
    assert image_of(simulated, imageTag="v1")["platforms"] == {"v3-backend": ["linux/amd64", "linux/arm64"]}


def test_only_the_services_that_are_deployed_must_fit_the_index(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", architectures=("amd64",), index=True)
    _, message = error_of(simulated, imageTag="v1", services=["worker"])
    assert "worker asks for LINUX ARM64" in message
    assert "api" not in message


@pytest.mark.parametrize("request_", [{"imageTag": "gone"}, {"imageDigest": f"sha256:{'0' * 64}"}])
def test_an_image_that_was_never_pushed_is_not_found(simulated: SimulatedEnvironment, request_: dict[str, str]) -> None:
    error, message = error_of(simulated, **request_)
    assert error == "ImageNotFound"
    (field, value), *_ = request_.items()
    assert f"{field} {value}" in message


def test_a_repository_that_does_not_exist_is_named(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    register_in(simulated, "worker", "nowhere")
    error, message = error_of(simulated, imageTag="v1")
    assert error == "RepositoryNotFound"
    assert "nowhere" in message


def test_a_tag_is_looked_up_in_every_repository_of_the_services(simulated: SimulatedEnvironment) -> None:
    first = simulated.push("v1")
    simulated.aws.client("ecr").create_repository(repositoryName="worker")
    register_in(simulated, "worker", "worker")
    error, message = error_of(simulated, imageTag="v1")
    assert error == "ImageNotFound"
    assert "worker" in message
    second = push_image(simulated.aws.client("ecr"), "worker", "v1")
    pinned = image_of(simulated, imageTag="v1")["pinned"]
    assert pinned == {"v3-backend": f"{uri()}@{first}", "worker": f"{uri('worker')}@{second}"}


def test_a_digest_cannot_be_deployed_to_several_repositories(simulated: SimulatedEnvironment) -> None:
    digest = simulated.push("v1")
    register_in(simulated, "worker", "worker")
    error, message = error_of(simulated, imageDigest=digest)
    assert error == "InvalidInput"
    assert "imageDigest" in message
    assert "v3-backend, worker" in message


# --- a deployment that the push of an image has started, with two repositories in the catalog


def pushes(simulated: SimulatedEnvironment) -> tuple[str, str]:
    """Register the worker in a repository of its own; returns the digests of v1 in both."""
    first = simulated.push("v1")
    simulated.aws.client("ecr").create_repository(repositoryName="worker")
    register_in(simulated, "worker", "worker")
    simulated.aws.clock.sleep(90)
    return first, push_image(simulated.aws.client("ecr"), "worker", "v1")


def by_push(tag: str, digest: str) -> dict[str, object]:
    return {**PUSHED_IMAGE_INPUT, "imageTag": tag, "imageDigest": digest}


def test_a_push_deploys_its_tag_when_all_repositories_have_it(simulated: SimulatedEnvironment) -> None:
    first, second = pushes(simulated)
    now = simulated.aws.clock.now()
    for digest in (first, second):
        image = Flow(simulated, by_push("v1", digest), digest[-9:]).call("Verify image")["image"]
        assert image["pinned"] == {"v3-backend": f"{uri()}@{first}", "worker": f"{uri('worker')}@{second}"}
        assert image["pushedAt"] == int(now), "the last push makes the release"


def test_a_tag_and_the_digest_of_one_repository_agree(simulated: SimulatedEnvironment) -> None:
    first, second = pushes(simulated)
    for digest in (first, second):
        flow = Flow(simulated, {"imageTag": "v1", "imageDigest": digest}, digest[-9:])
        assert flow.call("Verify image")["image"]["tag"] == "v1"
    error, message = error_of(simulated, imageTag="v1", imageDigest="sha256:" + "0" * 64)
    assert (error, first in message, second in message) == ("DigestMismatch", True, True)


def test_the_first_push_of_two_deploys_nothing_and_fails_nothing(simulated: SimulatedEnvironment) -> None:
    digest = simulated.push("v1")
    simulated.aws.client("ecr").create_repository(repositoryName="worker")
    register_in(simulated, "worker", "worker")
    flow = Flow(simulated, by_push("v1", digest))
    assert flow.run_to_end() == "NothingToDo"
    assert flow.state["report"]["message"].startswith("worker has no image v1 yet")
    assert writes(simulated.aws.calls) == ["TransactWriteItems", "PutEvents"]


def test_a_tag_that_was_pushed_again_since_is_deployed_by_its_own_event(simulated: SimulatedEnvironment) -> None:
    old = simulated.push("v1")
    simulated.push("v1b")
    ecr, repository = simulated.aws.client("ecr"), simulated.platform.repository
    image = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1b"}])["images"][0]
    ecr.put_image(repositoryName=repository, imageManifest=image["imageManifest"], imageTag="v1")
    flow = Flow(simulated, by_push("v1", old))
    assert flow.run_to_end() == "NothingToDo"
    assert "was pushed again" in flow.state["report"]["message"]


def test_a_push_whose_image_is_gone_is_rejected(simulated: SimulatedEnvironment) -> None:
    flow = Flow(simulated, by_push("v9", "sha256:" + "0" * 64))
    assert flow.run_to_end() == "Rejected"
    assert flow.state["report"]["errorType"] == "ImageNotFound"


def test_of_two_pushes_in_the_wrong_order_the_newer_image_wins(simulated: SimulatedEnvironment) -> None:
    older = simulated.push("v2")
    simulated.aws.clock.sleep(5)
    newer = simulated.push("v3", ImageBehavior(start_seconds=9))
    assert Flow(simulated, by_push("v3", newer), "newer").run_to_end() == "Deployed"
    simulated.aws.clock.sleep(60)
    late = Flow(simulated, by_push("v2", older), "late")
    assert late.run_to_end() == "Superseded"
    had_it = "an image that was pushed later had its turn already, in newer"
    assert late.state["report"]["message"] == f"{had_it}; to deploy this one all the same, start it by hand"
    again = Flow(simulated, by_push("v3", newer), "again")
    assert (again.run_to_end(), again.state["report"]["message"]) == (
        "Superseded",
        "the same push had its turn already, in newer",
    )
    by_hand = Flow(simulated, {"imageTag": "v2"}, "by-hand")
    assert by_hand.run_to_end() == "Deployed", "a person may deploy what they like"


def test_services_that_share_a_repository_are_looked_up_once(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    image_of(simulated, imageTag="v1")
    assert len(simulated.aws.calls.of("ecr", "DescribeImages")) == 1


@pytest.mark.parametrize("index", [False, True])
def test_findings_above_the_limit_are_refused(simulated: SimulatedEnvironment, index: bool) -> None:
    simulated.push("v1", scan=ScanResult(counts={"CRITICAL": 6, "HIGH": 51}), index=index)
    error, message = error_of(simulated, imageTag="v1")
    assert error == "ScanFindings"
    assert "6 CRITICAL (allowed 5), 51 HIGH (allowed 50)" in message


def test_findings_at_the_limit_pass(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", scan=ScanResult(counts={"CRITICAL": 5, "HIGH": 50, "LOW": 1000}))
    assert image_of(simulated, imageTag="v1")["tag"] == "v1"


def environment_that_accepts(*ids: str, until: str = "2999-12-31") -> SimulatedEnvironment:
    """Return an environment in which no finding is allowed, and these are accepted."""
    dev = config.load("dev")
    entries = tuple(FindingException(each, until, "no fix yet") for each in ids)
    image = replace(dev.image, max_critical_findings=0, max_high_findings=0, accepted_findings=entries)
    return SimulatedEnvironment(settings=replace(dev, image=image), recovery=False)


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("enhanced", [False, True])
def test_accepted_findings_let_an_image_through_and_are_named(index: bool, enhanced: bool) -> None:
    scan = ScanResult(counts={"HIGH": 2}, names={"HIGH": ["CVE-2026-1", "CVE-2026-1"]}, enhanced=enhanced)
    with environment_that_accepts("CVE-2026-1", "CVE-2025-9") as simulated:
        simulated.push("v1", scan=scan, index=index)
        state = Flow(simulated, {"imageTag": "v1"}).call("Verify image")
    assert state["accepted"] == [{"id": "CVE-2026-1", "until": "2999-12-31"}]
    assert state["message"].endswith("; accepted: CVE-2026-1 until 2999-12-31")


def test_a_finding_that_is_accepted_no_longer_is_named() -> None:
    with environment_that_accepts("CVE-2026-1", "CVE-2025-9", until="2000-01-31") as simulated:
        simulated.push("v1", scan=ScanResult(counts={"HIGH": 2}, names={"HIGH": ["CVE-2026-1"]}))
        error, message = error_of(simulated, imageTag="v1")
    assert error == "ScanFindings"
    assert (
        "2 HIGH (allowed 0): CVE-2026-0002, CVE-2026-1; accepted no longer: CVE-2026-1 (until 2000-01-31);" in message
    )
    assert "accepted and not in this image: CVE-2025-9;" in message


@pytest.mark.parametrize(("severity", "calls"), [("LOW", 1), ("HIGH", 2)])
def test_names_of_findings_are_read_only_where_they_decide(severity: str, calls: int) -> None:
    with environment_that_accepts("CVE-2026-1") as simulated:
        simulated.push("v1", scan=ScanResult(counts={severity: 1}, names={severity: ["CVE-2026-1"]}))
        image_of(simulated, imageTag="v1")
        assert len(simulated.aws.calls.of("ecr", "DescribeImageScanFindings")) == calls


def test_a_running_scan_is_asked_for_again_until_it_is_done(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", scan=ScanResult(seconds=40))
    flow = Flow(simulated, {"imageTag": "v1"})
    assert flow.fails().error_type == "ScanInProgress"
    flow.step()
    assert flow.at == "Acquire lock"
    assert set(flow.retried) == {"ScanInProgress"}


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (None, "ScanMissing"),
        (ScanResult("FAILED"), "ScanFailed"),
        (ScanResult("UNSUPPORTED_IMAGE"), "ScanUnsupported"),
        (ScanResult("SCAN_ELIGIBILITY_EXPIRED", enhanced=True), "ScanExpired"),
        (ScanResult("IMAGE_ARCHIVED", enhanced=True), "ImageArchived"),
        (ScanResult("OF_NEXT_YEAR"), "ScanFailed"),
    ],
)
@pytest.mark.parametrize("index", [False, True])
def test_a_required_scan_must_be_finished(scan: ScanResult | None, expected: str, index: bool) -> None:
    with environment_with(scan_required=True) as simulated:
        simulated.push("v1", scan=scan, index=index)
        simulated.aws.clock.sleep(600)
        error, _ = error_of(simulated, imageTag="v1")
    assert error == expected


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("enhanced", [False, True])
def test_a_required_scan_lets_a_scanned_image_through(index: bool, enhanced: bool) -> None:
    with environment_with(scan_required=True) as simulated:
        simulated.push("v1", scan=ScanResult(counts={"LOW": 9}, enhanced=enhanced), index=index)
        assert image_of(simulated, imageTag="v1")["tag"] == "v1"


def test_an_enhanced_scan_that_has_not_begun_is_waited_for() -> None:
    with environment_with(scan_required=True) as simulated:
        simulated.push("v1", scan=ScanResult(enhanced=True, unknown_seconds=60, seconds=75))
        flow = Flow(simulated, {"imageTag": "v1"})
        flow.step()
        assert flow.at == "Acquire lock"
        assert set(flow.retried) == {"ScanInProgress"}


def test_an_archived_image_is_refused_and_not_called_missing(simulated: SimulatedEnvironment) -> None:
    push_image(simulated.aws.client("ecr"), "v3-backend", "v1", archived="ARCHIVED")
    error, message = error_of(simulated, imageTag="v1")
    assert error == "ImageArchived"
    assert "restore it" in message


def test_a_chart_is_refused(simulated: SimulatedEnvironment) -> None:
    helm = "application/vnd.cncf.helm.config.v1+json"
    push_image(simulated.aws.client("ecr"), "v3-backend", "chart-1.2.3", artifact=helm)
    error, message = error_of(simulated, imageTag="chart-1.2.3")
    assert error == "NotAnImage"
    assert helm in message


def test_the_operating_system_of_an_index_is_compared(simulated: SimulatedEnvironment) -> None:
    client = simulated.aws.client("ecr")
    push_image(client, "v3-backend", "v1", index=True, operating_system="windows")
    error, message = error_of(simulated, imageTag="v1")
    assert error == "WrongArchitecture"
    assert "built for windows/arm64" in message


def test_tasks_that_leave_their_cpu_to_the_instance_are_not_guessed(simulated: SimulatedEnvironment) -> None:
    ecs = simulated.aws.client("ecs")
    for name in ("api", "worker", "scheduler", "migration"):
        found = ecs.describe_task_definition(taskDefinition=f"v3-backend-dev-{name}")["taskDefinition"]
        ecs.register_task_definition(
            family=found["family"],
            containerDefinitions=found["containerDefinitions"],
            requiresCompatibilities=["EC2"],
            networkMode="bridge",
            memory="512",
        )
    simulated.push("v1", index=True)
    assert image_of(simulated, imageTag="v1")["tag"] == "v1"


def test_an_image_that_was_never_scanned_passes_where_no_scan_is_required(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    assert image_of(simulated, imageTag="v1")["tag"] == "v1"


def test_a_service_that_is_not_registered_is_named_with_those_that_are(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    error, message = error_of(simulated, imageTag="v1", services=["api", "ghost"])
    assert error == "NoServices"
    assert "ghost" in message
    assert "api, scheduler, worker" in message


def test_an_environment_without_services_says_what_to_deploy_first() -> None:
    with SimulatedEnvironment(services=(), migration=False, recovery=False) as simulated:
        simulated.push("v1")
        error, message = error_of(simulated, imageTag="v1")
    assert error == "NoServices"
    assert "deploy a service stack" in message


@pytest.mark.parametrize(
    ("value", "about"),
    [
        ("not json", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"cluster": "c"}', "service must be a non-empty text"),
        ('{"cluster": 7}', "cluster must be a non-empty text"),
    ],
)
def test_a_broken_registration_names_its_parameter_and_key(
    simulated: SimulatedEnvironment, value: str, about: str
) -> None:
    simulated.push("v1")
    name = simulated.identity.services_path + "api"
    simulated.aws.client("ssm").put_parameter(Name=name, Value=value, Overwrite=True)
    error, message = error_of(simulated, imageTag="v1")
    assert error == "InvalidRegistration"
    assert name in message
    assert about in message


def test_a_registry_of_several_pages_is_read_whole(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1")
    name = simulated.identity.services_path + "api"
    entry = simulated.aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    for number in range(24):
        other = json.dumps({**json.loads(entry), "service": f"v3-backend-dev-api-{number:02}"})
        simulated.aws.client("ssm").put_parameter(Name=f"{name}-{number:02}", Value=other, Type="String")
    assert image_of(simulated, imageTag="v1", services=["api-23", "worker"])["tag"] == "v1"
    assert len(simulated.aws.calls.of("ssm", "GetParametersByPath")) == 3


def test_a_rollback_needs_no_image(simulated: SimulatedEnvironment) -> None:
    state = Flow(simulated, {"action": "rollback"}).call("Verify image")
    assert state["image"] is None
    assert list(simulated.aws.calls) == []

"""How ``Plan`` plans a rollback and a recovery."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lambdas.release.codec import encode
from simulator.ecs.images import ImageBehavior
from simulator.environment.simulated_environment import SimulatedEnvironment
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.handlers.flow import Flow, Json
from tests.lambdas.handlers.surroundings import (
    DEPLOY,
    ROLLBACK,
    change_definition,
    deployed,
    push,
    put_alarm,
    refused,
    with_alarms,
)


def test_a_rollback_returns_to_the_verified_release_before_the_live_one(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["releaseId"] == first.state["report"]["release"]
    assert plan["imageTag"] == "v1"
    assert plan["services"]["api"]["target"].endswith("api:2")
    assert plan["waves"] == [["scheduler", "worker"], ["api"]], "the last wave goes back first"
    assert plan["migration"]["needed"] is False
    assert plan["onFailure"] == "noRollbackPossible"


def test_a_rollback_to_a_named_release_can_itself_be_rolled_back(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["report"]["release"]
    deployed(simulated, "v2", "two")
    plan = Flow(simulated, {**ROLLBACK, "releaseId": first}, "three").run_to("Plan").call()
    assert plan["releaseId"] == first
    assert plan["onFailure"] == "rollBack"


def test_a_rollback_repairs_the_live_release_when_a_service_is_not_on_it(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    live = deployed(simulated, "v2", "two").state["report"]["release"]
    simulated.aws.client("ecs").update_service(
        cluster=simulated.platform.cluster, service="v3-backend-dev-api", taskDefinition="v3-backend-dev-api:2"
    )
    simulated.aws.clock.sleep(300)
    plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["releaseId"] == live
    assert plan["services"]["api"]["target"].endswith("api:3")
    assert plan["services"]["worker"]["target"] == plan["services"]["worker"]["previous"]


def test_a_rollback_ignores_the_alarm_that_is_the_reason_for_it() -> None:
    with with_alarms("errors") as simulated:
        put_alarm(simulated, "errors", "OK")
        deployed(simulated, "v1", "one")
        deployed(simulated, "v2", "two")
        put_alarm(simulated, "errors", "ALARM")
        plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["rollout"]["alarms"] == []


@pytest.mark.parametrize(
    ("releases", "request_", "about"),
    [
        (0, {}, "no release was verified yet"),
        (1, {}, "there is none before"),
        (1, {"releaseId": "r-unknown"}, "no verified release r-unknown"),
    ],
)
def test_a_release_that_is_not_there_is_named(
    simulated: SimulatedEnvironment, releases: int, request_: Json, about: str
) -> None:
    for number in range(releases):
        deployed(simulated, f"v{number}", f"flow-{number}")
    error = Flow(simulated, {**ROLLBACK, **request_}, "back").run_to("Plan").fails()
    assert error.error_type == "ReleaseNotFound"
    assert about in error.message


def test_a_rollback_to_an_image_that_was_removed_is_not_good(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one")
    image = first.state["plan"]["services"]["api"]["image"].rsplit("@", 1)[-1]
    deployed(simulated, "v2", "two")
    simulated.aws.client("ecr").batch_delete_image(repositoryName="v3-backend", imageIds=[{"imageDigest": image}])
    message = refused(Flow(simulated, ROLLBACK, "three").run_to("Plan"))
    assert f"FAIL api: image — v3-backend no longer has {image}" in message


def test_a_rollback_to_a_task_definition_that_was_deleted_is_not_good(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    flow = Flow(simulated, ROLLBACK, "three").run_to("Plan")
    gone = CallFault(
        CallAction.ERROR,
        operation="DescribeTaskDefinition",
        nth=4,  # the first three are what runs now
        code="ClientException",
        message="Unable to describe task definition.",
        http_status=400,
    )
    simulated.aws.faults.add(gone)
    assert "v3-backend-dev-scheduler:2 was deleted" in refused(flow)


def test_a_failed_deployment_that_was_stopped_is_planned_the_other_way_round(simulated: SimulatedEnvironment) -> None:
    simulated.push("v1", ImageBehavior("crash"))
    one = Flow(simulated, DEPLOY, "one").run_to("Check rollout")
    one.stop()
    simulated.aws.clock.sleep(120)
    plan = Flow(simulated, {**ROLLBACK, "takeover": one.arn}, "recovery").run_to("Plan").call()
    assert plan["recovers"] is True
    assert plan["releaseId"] is None
    assert plan["services"]["api"]["target"] == one.state["plan"]["services"]["api"]["previous"]
    assert {each["target"] for each in plan["parameters"]} == {None}
    assert plan["onFailure"] == "noRollbackPossible"


def move_repository(simulated: SimulatedEnvironment) -> None:
    """Let the catalog name another repository from now on."""
    ssm = simulated.aws.client("ssm")
    for parameter in ssm.get_parameters_by_path(Path=simulated.identity.services_path)["Parameters"]:
        value = json.dumps({**json.loads(parameter["Value"]), "repository": "moved"})
        ssm.put_parameter(Name=parameter["Name"], Value=value, Overwrite=True)


@pytest.mark.parametrize(
    ("code", "result", "detail"),
    [
        (None, "OK", "v3-backend@sha256:"),
        ("AccessDeniedException", "SKIP", "this function may not look into v3-backend; add it to [image] repositories"),
        ("RepositoryNotFoundException", "FAIL", "there is no repository v3-backend any more, and so no sha256:"),
    ],
)
def test_the_image_of_a_release_is_looked_up_once_where_its_pin_says(
    simulated: SimulatedEnvironment, code: str | None, result: str, detail: str
) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    move_repository(simulated)
    flow = Flow(simulated, {**ROLLBACK, "dryRun": True}, "three").run_to("Plan")
    if code:
        fault = CallFault(
            CallAction.ERROR, operation="DescribeImages", code=code, message="no", http_status=400, times=9
        )
        simulated.aws.faults.add(fault)
    if result == "FAIL":
        message = refused(flow)
        assert all(f"FAIL {name}: image — {detail}" in message for name in ("api", "worker", "scheduler"))
        return
    start = len(simulated.aws.calls)
    found = [c for c in flow.call()["checks"] if c["check"] == "image"]
    assert {(c["subject"], c["result"]) for c in found} == {(n, result) for n in ("api", "worker", "scheduler")}
    assert all(detail in c["detail"] for c in found)
    calls = [call for call in simulated.aws.calls[start:] if call.operation == "DescribeImages"]
    assert {call.params["repositoryName"] for call in calls} == {"v3-backend"}
    if not code:
        assert len(calls) == 1


def test_an_image_of_another_registry_is_not_looked_up(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["report"]["release"]
    deployed(simulated, "v2", "two")
    release = simulated.table.release(first)
    assert release is not None
    images = {name: image.replace("us-east-1", "us-west-2") for name, image in release.images.items()}
    forget(simulated, first, text=json.dumps(encode(replace(release, images=images))))
    plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    found = [c for c in plan["checks"] if c["check"] == "image"]
    assert {c["result"] for c in found} == {"SKIP"}
    assert all("is in another registry" in c["detail"] for c in found)


def test_a_rollback_leaves_a_revision_with_another_container_behind(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    change_definition(simulated, "api", lambda new: new["containerDefinitions"][0].update(name="renamed"))
    flow = Flow(simulated, {**ROLLBACK, "releaseId": "live"}, "three").run_to("Plan")
    plan = flow.call()
    assert plan["services"]["api"]["target"].endswith("api:3")
    assert flow.run_to_end() == "Deployed"


def test_a_rollback_looks_up_what_the_revisions_need_that_it_moves_to(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    group = f"{simulated.settings.permissions.log_group_prefix}new"
    simulated.aws.client("logs").create_log_group(logGroupName=group)
    for name in ("api", "worker"):
        change_definition(
            simulated,
            name,
            lambda new: new["containerDefinitions"][0]["logConfiguration"]["options"].update({"awslogs-group": group}),
        )
    deployed(simulated, "v2", "two")
    old = f"{simulated.settings.permissions.log_group_prefix}worker"
    simulated.aws.client("logs").delete_log_group(logGroupName=old)
    live = Flow(simulated, {**ROLLBACK, "releaseId": "live", "dryRun": True}, "live").run_to("Plan")
    checks = live.call()["checks"]
    assert not [c for c in checks if c["check"].endswith("exists")], "nothing moves"
    live.stop()
    message = refused(Flow(simulated, ROLLBACK, "three").run_to("Plan"))
    assert f"FAIL worker: log group exists — {old} does not exist" in message
    assert "api" not in message


@pytest.mark.parametrize(("request_", "tag"), [({}, "v1"), ({"releaseId": "live"}, "v2")])
def test_an_infrastructure_deploy_that_still_rolls_is_no_other_code(
    simulated: SimulatedEnvironment, request_: Json, tag: str
) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    change_definition(simulated, "worker", lambda new: new.update(memory="2048"), settle_seconds=5)
    assert simulated.snapshot().services["worker"]["rolloutState"] == "IN_PROGRESS"
    flow = Flow(simulated, {**ROLLBACK, **request_}, "three").run_to("Plan")
    plan = flow.call()
    assert plan["imageTag"] == tag
    stays = plan["services"]["worker"]["target"] == plan["services"]["worker"]["previous"]
    assert stays is (tag == "v2")
    assert flow.run_to_end() == "Deployed"


def test_a_rollback_goes_to_the_live_release_while_ecs_still_brings_a_service_there(
    simulated: SimulatedEnvironment,
) -> None:
    deployed(simulated, "v1", "one")
    live = deployed(simulated, "v2", "two").state["report"]["release"]
    ecs, cluster = simulated.aws.client("ecs"), simulated.platform.cluster
    for revision in (2, 3):
        ecs.update_service(cluster=cluster, service=f"{cluster}-api", taskDefinition=f"v3-backend-dev-api:{revision}")
    plan = Flow(simulated, ROLLBACK, "three").run_to("Plan").call()
    assert plan["releaseId"] == live


def delete(simulated: SimulatedEnvironment, name: str) -> None:
    place = {"cluster": simulated.platform.cluster, "service": f"{simulated.platform.cluster}-{name}"}
    simulated.aws.client("ecs").delete_service(**place, force=True)


def test_a_deleted_service_does_not_block_the_way_back_of_the_others(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    delete(simulated, "scheduler")
    flow = Flow(simulated, ROLLBACK, "three").run_to("Plan")
    plan = flow.call()
    assert plan["waves"] == [["worker"], ["api"]]
    assert plan["releaseId"] == first.state["report"]["release"]
    (left,) = [c for c in plan["checks"] if c["check"] == "not rolled back"]
    assert (left["result"], left["subject"]) == ("SKIP", "scheduler")
    assert flow.run_to_end() == "Deployed"
    assert "not rolled back: scheduler: it is" in flow.state["report"]["message"]


def test_where_all_services_are_gone_a_rollback_is_refused(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    deployed(simulated, "v2", "two")
    for name in ("api", "worker", "scheduler"):
        delete(simulated, name)
    assert "FAIL api: service is ACTIVE" in refused(Flow(simulated, ROLLBACK, "three").run_to("Plan"))


def stopped_at_worker(simulated: SimulatedEnvironment) -> Flow:
    """Stop the deployment of v2 after api has moved."""
    deployed(simulated, "v1", "one")
    push(simulated, "v2")
    two = Flow(simulated, {**DEPLOY, "imageTag": "v2"}, "two").run_to("Deploy wave")
    two.call()
    two.stop()
    simulated.aws.clock.sleep(120)
    return two


@pytest.mark.parametrize("renamed", [False, True])
def test_a_recovery_restores_a_service_that_the_catalog_has_no_more(
    simulated: SimulatedEnvironment, *, renamed: bool
) -> None:
    two = stopped_at_worker(simulated)
    ssm, name = simulated.aws.client("ssm"), simulated.identity.services_path + "api"
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ssm.delete_parameter(Name=name)
    if renamed:
        ssm.put_parameter(Name=f"{simulated.identity.services_path}web", Value=value, Type="String")
    flow = Flow(simulated, {**ROLLBACK, "takeover": two.arn}, "recovery").run_to("Plan")
    plan = flow.call()
    assert plan["services"]["api"]["target"] == two.state["plan"]["services"]["api"]["previous"]
    assert set(plan["services"]) == {"api", "scheduler", "worker"}
    assert flow.run_to_end() == "Deployed"
    assert {simulated.tag_of(image) for image in simulated.images().values()} == {"v1"}


@pytest.mark.parametrize("names", [["worker"], ["api", "worker", "scheduler"]])
def test_a_recovery_goes_on_without_the_services_that_were_deleted(
    simulated: SimulatedEnvironment, names: list[str]
) -> None:
    two = stopped_at_worker(simulated)
    for name in names:
        delete(simulated, name)
    flow = Flow(simulated, {**ROLLBACK, "takeover": two.arn}, "recovery").run_to("Plan")
    plan = flow.call()
    assert not set(plan["services"]) & set(names)
    assert {p["target"] for p in plan["parameters"]} == {p["previous"] for p in two.state["plan"]["parameters"]}
    assert flow.run_to_end() == "Deployed"
    assert all(f"{name}: it is" in flow.state["report"]["message"] for name in names)


def test_a_recovery_that_cannot_look_at_a_service_fails_and_leaves_the_journal(simulated: SimulatedEnvironment) -> None:
    two = stopped_at_worker(simulated)
    flow = Flow(simulated, {**ROLLBACK, "takeover": two.arn}, "recovery").run_to("Plan")
    simulated.aws.faults.add(
        CallFault(
            CallAction.ERROR,
            operation="DescribeServices",
            code="ClusterNotFoundException",
            message="no",
            http_status=400,
        )
    )
    assert flow.run_to_end() == "RollbackFailed"
    assert simulated.table.read_journal() is not None


def test_a_service_that_joined_later_stays_and_the_report_says_so(simulated: SimulatedEnvironment) -> None:
    ssm, name = simulated.aws.client("ssm"), simulated.identity.services_path + "scheduler"
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ssm.delete_parameter(Name=name)
    deployed(simulated, "v1", "one")
    ssm.put_parameter(Name=name, Value=value, Type="String")
    deployed(simulated, "v2", "two")
    flow = Flow(simulated, ROLLBACK, "three")
    assert flow.run_to_end() == "Deployed"
    assert (
        "does not know it: it joined later, and stays on v3-backend-dev-scheduler:2" in flow.state["report"]["message"]
    )
    assert simulated.tag_of(simulated.images()["scheduler"]) == "v2"


def test_a_rollback_returns_to_what_was_live_when_the_release_was_first_deployed(
    simulated: SimulatedEnvironment,
) -> None:
    """v1, v2, v3, rollback to v2, v4, rollback to v2 (not v3, which somebody fled from), rollback to v1."""
    for tag in ("v1", "v2", "v3"):
        deployed(simulated, tag, tag)
    tags = []
    then: tuple[str | None, ...] = (None, "v4", None, None)
    for number, new in enumerate(then):
        if new:
            deployed(simulated, new, new)
        else:
            assert Flow(simulated, ROLLBACK, f"back-{number}").run_to_end() == "Deployed"
        live = simulated.table.live()
        assert live is not None
        tags.append(live.image_tag)
    assert tags == ["v2", "v4", "v2", "v1"]


def test_rolling_back_and_forth_changes_no_release(simulated: SimulatedEnvironment) -> None:
    made = [str(deployed(simulated, tag, tag).state["report"]["release"]) for tag in ("v1", "v2", "v3")]
    releases = [simulated.table.release(each) for each in made]
    assert [each.before for each in releases if each] == [None, made[0], made[1]]
    for number, to in enumerate((made[0], made[2], made[1])):
        assert Flow(simulated, {**ROLLBACK, "releaseId": to}, f"to-{number}").run_to_end() == "Deployed"
    assert [simulated.table.release(each) for each in made] == releases


def test_an_old_tag_that_is_deployed_again_makes_a_new_release(simulated: SimulatedEnvironment) -> None:
    deployed(simulated, "v1", "one")
    second = deployed(simulated, "v2", "two").state["report"]["release"]
    again = deployed(simulated, "v1", "again").state["report"]["release"]
    made = simulated.table.release(str(again))
    assert made is not None
    assert (made.image_tag, made.before) == ("v1", second)
    plan = Flow(simulated, ROLLBACK, "back").run_to("Plan").call()
    assert plan["releaseId"] == second


def forget(simulated: SimulatedEnvironment, release_id: str, *, text: str | None = None) -> None:
    """Delete a release, or let it be one that cannot be read."""
    client, key = simulated.aws.client("dynamodb"), {"pk": {"S": "release"}, "sk": {"S": release_id}}
    if text is None:
        client.delete_item(TableName=simulated.identity.table, Key=key)
    else:
        client.put_item(TableName=simulated.identity.table, Item={**key, "document": {"S": text}})


@pytest.mark.parametrize(
    ("text", "said"), [(None, "was deleted from the history"), ("{", "document cannot be read")], ids=["gone", "broken"]
)
def test_a_release_that_is_gone_or_broken_is_passed_over_and_named(
    simulated: SimulatedEnvironment, text: str | None, said: str
) -> None:
    first, second, _ = (deployed(simulated, tag, tag).state["report"]["release"] for tag in ("v1", "v2", "v3"))
    forget(simulated, second, text=text)
    flow = Flow(simulated, ROLLBACK, "back").run_to("Plan")
    plan = flow.call()
    assert plan["releaseId"] == first
    (check,) = [each for each in plan["checks"] if each["check"] == "release before"]
    assert check["result"] == "SKIP"
    assert second in check["detail"]
    assert said in check["detail"]
    assert flow.run_to_end() == "Deployed"
    assert f"{first} is live; passed over: " in flow.state["report"]["message"]
    assert second in flow.state["report"]["message"]


def test_where_no_release_is_left_the_message_names_those_that_were(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["report"]["release"]
    deployed(simulated, "v2", "two")
    forget(simulated, first)
    error = Flow(simulated, ROLLBACK, "back").run_to("Plan").fails()
    assert error.error_type == "ReleaseNotFound"
    assert f"{first} was deleted from the history" in error.message
    assert "give a releaseId, or deploy a tag" in error.message


def test_a_record_that_cannot_be_read_keeps_no_rollback_from_happening(simulated: SimulatedEnvironment) -> None:
    first = deployed(simulated, "v1", "one").state["report"]["release"]
    deployed(simulated, "v2", "two")
    item = {"pk": {"S": "history"}, "sk": {"S": "2026-01-05T09:01:00Z#bad"}, "document": {"S": "{"}}
    simulated.aws.client("dynamodb").put_item(TableName=simulated.identity.table, Item=item)
    plan = Flow(simulated, ROLLBACK, "back").run_to("Plan").call()
    assert plan["releaseId"] == first
    (check,) = [each for each in plan["checks"] if each["check"] == "history"]
    assert "item history / 2026-01-05T09:01:00Z#bad" in check["detail"]

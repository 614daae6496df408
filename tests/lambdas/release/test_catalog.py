from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdas.release.catalog as catalog_module
import statemachine
from config import reading
from lambdas.release.catalog import MIGRATION as MIGRATION_NAME
from lambdas.release.catalog import Catalog, MigrationTask, Service, parse_catalog
from lambdas.release.errors import InvalidRegistration, NoServices
from lambdas.release.policies import SERVICE_NAME

PATH = "/v3-backend/dev/services/"
API = {"cluster": "c", "service": "s", "family": "f", "container": "k", "repository": "r", "wave": 1}
MIGRATION = {"cluster": "c", "family": "f", "container": "k", "repository": "m"}


WORKER, CRON = API | {"service": "w"}, API | {"service": "x"}


def catalog(**entries: dict[str, Any]) -> Catalog:
    return parse_catalog({PATH + name: json.dumps(entry) for name, entry in entries.items()})


def test_a_service_is_named_by_its_parameter() -> None:
    assert catalog(api=API) == Catalog((Service("api", "c", "s", "f", "k", "r", 1),), None)


def test_the_migration_is_no_service() -> None:
    assert catalog(migration=MIGRATION) == Catalog((), MigrationTask("c", "f", "k", "m"))


def test_the_migration_may_bring_its_network() -> None:
    network = {"subnets": ["subnet-1"], "securityGroups": ["sg-1", "sg-2"]}
    task = catalog(migration=MIGRATION | network).migration
    assert task == MigrationTask("c", "f", "k", "m", ("subnet-1",), ("sg-1", "sg-2"))


def test_without_a_wave_a_service_is_in_the_first() -> None:
    entry = {key: value for key, value in API.items() if key != "wave"}
    assert catalog(api=entry).services[0].wave == 1


def test_waves_go_up_and_services_in_them_by_name() -> None:
    found = catalog(
        worker=WORKER | {"wave": 2},
        admin=API | {"wave": 2, "service": "a"},
        api=API,
        cron=CRON | {"wave": -1},
    )
    assert found.waves == (("cron",), ("api",), ("admin", "worker"))


def test_each_repository_is_named_once() -> None:
    assert catalog(api=API, worker=WORKER, migration=MIGRATION).repositories == ("r", "m")
    assert catalog(api=API).repositories == ("r",)


WRONG: dict[str, tuple[str, str, str]] = {
    "not JSON": ("api", "{", "not JSON"),
    "nested too deep": ("api", "[" * 4096, "not JSON"),
    "an integer with too many digits": ("api", "9" * 5000, "not JSON"),
    "a list": ("api", "[]", "must be a JSON object"),
    "a text": ("api", '"api"', "must be a JSON object"),
    "nothing": ("api", "null", "must be a JSON object"),
    "no cluster": ("api", json.dumps(API | {"cluster": None}), "cluster must be a non-empty text"),
    "empty service": ("api", json.dumps(API | {"service": ""}), "service must be a non-empty text"),
    "family a number": ("api", json.dumps(API | {"family": 1}), "family must be a non-empty text"),
    "container a list": ("api", json.dumps(API | {"container": []}), "container must be a non-empty text"),
    "repository missing": ("api", json.dumps({**API, "repository": None}), "repository must be a non-empty text"),
    "wave a text": ("api", json.dumps(API | {"wave": "1"}), "wave must be a whole number"),
    "wave a truth value": ("api", json.dumps(API | {"wave": True}), "wave must be a whole number"),
    "wave a fraction": ("api", json.dumps(API | {"wave": 1.5}), "wave must be a whole number"),
    "migration without a family": ("migration", json.dumps({"cluster": "c"}), "family must be a non-empty text"),
    "subnets a text": ("migration", json.dumps(MIGRATION | {"subnets": "a"}), "subnets must be a list of texts"),
    "groups of numbers": (
        "migration",
        json.dumps(MIGRATION | {"securityGroups": [1]}),
        "securityGroups must be a list of texts",
    ),
}


@pytest.mark.parametrize(("name", "value", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_registration_is_named_by_parameter_and_key(name: str, value: str, words: str) -> None:
    with pytest.raises(InvalidRegistration, match=f"^{PATH}{name}: {words}"):
        parse_catalog({PATH + name: value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("cluster", "service", "family", "container", "repository", "wave", "subnets", "securityGroups")
entries = st.dictionaries(st.sampled_from(KEYS), st.just("x") | st.integers() | json_values)
raw = st.text(max_size=20) | json_values.map(json.dumps) | entries.map(json.dumps)


@given(st.dictionaries(st.sampled_from(["api", "worker", "migration", ""]).map(PATH.__add__), raw, max_size=3))
def test_whatever_stands_in_a_parameter_is_read_or_refused(parameters: dict[str, str]) -> None:
    with suppress(InvalidRegistration, NoServices):
        found = parse_catalog(parameters).select(())
        assert {name for wave in found.waves for name in wave} == {s.name for s in found.services}
        assert found.services


def test_selecting_nothing_selects_all() -> None:
    found = catalog(api=API, worker=WORKER, migration=MIGRATION)
    assert found.select(()) == found


def test_selecting_some_keeps_order_waves_and_migration() -> None:
    found = catalog(api=API | {"wave": 2}, worker=WORKER, cron=CRON, migration=MIGRATION)
    chosen = found.select(["api", "worker", "api"])
    assert chosen.waves == (("worker",), ("api",))
    assert chosen.migration == found.migration


def test_an_unknown_service_is_refused_with_those_there_are() -> None:
    with pytest.raises(NoServices, match=r"^services: web, cron not registered; registered are api, worker"):
        catalog(api=API, worker=WORKER).select(["web", "api", "cron"])


def test_a_name_is_not_a_service_because_the_migration_has_it() -> None:
    with pytest.raises(NoServices, match=r"^services: migration not registered"):
        catalog(api=API, migration=MIGRATION).select(["migration"])


@pytest.mark.parametrize("names", [(), ("api",)], ids=["all", "one"])
def test_an_empty_registry_says_what_to_do(names: tuple[str, ...]) -> None:
    with pytest.raises(NoServices, match=r"^services: none is registered; deploy a service stack"):
        catalog(migration=MIGRATION).select(names)


@pytest.mark.parametrize("key", ["family", "container", "repository"])
def test_what_is_no_name_is_refused_with_parameter_key_and_value(key: str) -> None:
    with pytest.raises(InvalidRegistration) as refused:
        catalog(api=API | {key: "arn:aws:ecs:us-east-1:123456789012:thing/x"})
    said = str(refused.value)
    assert said.startswith(f"{PATH}api: {key} is 'arn:aws:ecs")
    assert "which is no name of one" in said


def test_one_pattern_holds_for_the_names_of_catalog_config_and_input() -> None:
    """Or a service could be registered that no input can name."""
    schema = json.loads((Path(statemachine.__file__).parent / "input.schema.json").read_text())
    assert schema["properties"]["services"]["items"]["pattern"] == f"^{SERVICE_NAME.pattern}$"
    assert vars(reading)["SERVICE_NAME"] is vars(catalog_module)["SERVICE_NAME"] is SERVICE_NAME
    assert SERVICE_NAME.fullmatch(MIGRATION_NAME)


@pytest.mark.parametrize("name", ["Api", "api_v2", "api.v2", "2api", "-api", "a" * 64, "api\n", "ä", ""])
def test_a_parameter_whose_name_no_input_could_ask_for_is_refused_with_its_name(name: str) -> None:
    with pytest.raises(InvalidRegistration) as refused:
        parse_catalog({PATH + name: json.dumps(API), PATH + "worker": json.dumps(API)})
    said = str(refused.value)
    assert said.startswith(f"{PATH}{name}: ")
    assert "is no name of a service" in said
    assert "publish it under such a name" in said


@pytest.mark.parametrize("name", ["a", "api", "api-2", "a" * 63, "migration-2"])
def test_a_name_that_an_input_can_ask_for_is_registered(name: str) -> None:
    assert catalog(**{name: API}).select([name]).waves == ((name,),)


def test_several_containers_of_a_service_get_its_image() -> None:
    only = {key: value for key, value in API.items() if key != "container"}
    found = catalog(
        both=API | {"service": "1", "containers": ["k", "worker", "worker"]},
        listed=only | {"service": "2", "containers": ["web", "worker"]},
        one=API | {"service": "3"},
        first=API | {"service": "4", "container": "worker", "containers": ["web", "worker"]},
    )
    assert {service.name: service.containers for service in found.services} == {
        "both": ("k", "worker"),
        "listed": ("web", "worker"),
        "one": ("k",),
        "first": ("worker", "web"),
    }


@pytest.mark.parametrize("containers", ["web", [5], ["web/1"], [""], ["arn:aws:ecs:x"], {}])
def test_what_is_no_list_of_containers_is_refused(containers: Any) -> None:
    with pytest.raises(InvalidRegistration, match=f"{PATH}api: containers "):
        catalog(api=API | {"containers": containers})


CLUSTER_ARN = "arn:aws:ecs:us-east-1:123456789012:cluster/c"


@pytest.mark.parametrize("cluster", ["c", CLUSTER_ARN])
def test_one_ecs_service_is_registered_once_and_the_way_to_have_two_containers_is_told(cluster: str) -> None:
    with pytest.raises(InvalidRegistration) as refused:
        catalog(
            web=API | {"container": "web", "containers": ["log"]}, jobs=API | {"cluster": cluster, "container": "jobs"}
        )
    message = str(refused.value)
    assert f"{PATH}web: the ECS service s is registered as jobs already" in message
    assert '"containers": ["jobs", "web", "log"]' in message


def test_services_of_several_clusters_may_have_one_name() -> None:
    assert len(catalog(a=API, b=API | {"cluster": "d"}).services) == 2


def test_a_container_of_a_family_has_its_image_from_one_repository() -> None:
    with pytest.raises(
        InvalidRegistration, match="container k of f has its image from other, and a says that it is from r"
    ):
        catalog(a=API, b=API | {"service": "t", "repository": "other"})
    apart = catalog(a=API, b=API | {"service": "t", "repository": "other", "container": "sidecar"})
    assert len(apart.services) == 2
    assert len(catalog(a=API, b=API | {"service": "t"}).services) == 2

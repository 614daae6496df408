from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.release.codec import decode, encode, read_object
from lambdas.release.explanation import Explanation
from lambdas.release.history import DeploymentRecord, Release, Report
from lambdas.release.image import ReleaseImage
from lambdas.release.lock import Claim
from lambdas.release.plan import (
    Plan,
    PlannedApproval,
    PlannedMigration,
    PlannedParameter,
    PlannedRollout,
    PlannedService,
)
from lambdas.release.preflight import Check
from lambdas.release.request import Request
from lambdas.release.rollout import Verdict
from lambdas.release.verdicts import Status

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=5)
json_objects = st.dictionaries(
    texts, st.recursive(texts | st.integers(), lambda inner: st.lists(inner, max_size=2)), max_size=2
)
explanations = st.from_type(Explanation)
reports = st.builds(Report, explanation=st.none() | explanations)
plans = st.builds(
    Plan,
    waves=st.lists(st.lists(texts, max_size=2).map(tuple), max_size=2).map(tuple),
    services=st.dictionaries(texts, st.from_type(PlannedService), max_size=2),
    parameters=st.lists(st.from_type(PlannedParameter), max_size=2).map(tuple),
    migration=st.builds(PlannedMigration, launch=json_objects, network=json_objects),
    rollout=st.builds(PlannedRollout, alarms=st.lists(texts, max_size=2).map(tuple)),
    approval=st.from_type(PlannedApproval),
    checks=st.lists(st.from_type(Check), max_size=2).map(tuple),
)
KEPT: dict[type[Any], st.SearchStrategy[Any]] = {
    Request: st.from_type(Request),
    Claim: st.builds(Claim, started_at=finite),
    ReleaseImage: st.from_type(ReleaseImage),
    Plan: plans,
    Release: st.from_type(Release),
    Report: reports,
    DeploymentRecord: st.builds(DeploymentRecord, report=reports, durations=st.dictionaries(texts, finite, max_size=2)),
    Explanation: explanations,
    Verdict: st.from_type(Verdict),
}


@pytest.mark.parametrize("kind", KEPT, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_kept_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(KEPT[kind])
    assert decode(kind, json.loads(json.dumps(encode(value)))) == value


@dataclass(frozen=True)
class Inner:
    some_number: float = 0.0


@dataclass(frozen=True)
class Outer:
    two_words: str
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_key: dict[str, Inner] = field(default_factory=dict)
    anything: Any = None
    status: Status = Status.STEADY


def test_names_change_and_data_does_not() -> None:
    value = Outer("a_b", Inner(1.5), (Inner(),), {"some_key": Inner()}, {"other_key": [1, (2,)]})
    assert encode(value) == {
        "twoWords": "a_b",
        "inner": {"someNumber": 1.5},
        "many": [{"someNumber": 0.0}],
        "byKey": {"some_key": {"someNumber": 0.0}},
        "anything": {"other_key": [1, [2]]},
        "status": "steady",
    }


def test_a_verdict_s_status_is_its_word() -> None:
    assert json.dumps(encode(Verdict(Status.IN_PROGRESS, "r"))) == (
        '{"status": "inProgress", "reason": "r", "running": 0, "desired": 0}'
    )


def test_a_status_is_read_as_a_member_of_its_enum() -> None:
    assert decode(Verdict, {"status": "steady", "reason": "r"}).status is Status.STEADY


def test_a_class_is_not_a_value_to_take_apart() -> None:
    assert encode(Inner) is Inner


def test_unknown_keys_are_left_out_and_missing_ones_take_the_default() -> None:
    assert decode(Outer, {"twoWords": "a", "ofANewerVersion": 1}) == Outer("a")


def test_a_missing_field_without_a_default_is_an_error() -> None:
    with pytest.raises(TypeError, match="two_words"):
        decode(Outer, {"inner": None})


def test_a_whole_number_becomes_a_fraction_where_one_is_wanted() -> None:
    decoded = decode(Inner, {"someNumber": 2})
    assert isinstance(decoded.some_number, float)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"twoWords": 1}, "twoWords"),
        ({"twoWords": None}, "twoWords"),
        ([], "Outer"),
        ({"twoWords": "a", "inner": {"someNumber": None}}, "inner.someNumber"),
        ({"twoWords": "a", "inner": "b"}, "inner"),
        ({"twoWords": "a", "many": {}}, "many"),
        ({"twoWords": "a", "many": [{}, 5]}, r"many\[1\]"),
        ({"twoWords": "a", "byKey": []}, "byKey"),
        ({"twoWords": "a", "byKey": {"k": None}}, "byKey.k"),
        ({"twoWords": "a", "status": "so so"}, "status: 'so so' is not a valid Status"),
    ],
)
def test_a_value_of_another_kind_is_named(document: object, field: str) -> None:
    with pytest.raises(TypeError, match=field):
        decode(Outer, document)


REPORT = {
    "outcome": "RolledBack",
    "step": "Check rollout",
    "message": 'api: said "no", \\ and \u00e4 \U0001f600\n{[,]}',
    "explanation": {"summary": "s", "causes": [{"cause": "exit-code", "weight": 1.5e3}, {"cause": "x"}], "n": [[], {}]},
    "release": None,
    "ok": True,
}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_object_that_was_cut_anywhere_is_read_up_to_there(ascii_only: bool) -> None:
    text = json.dumps(REPORT, ensure_ascii=ascii_only)
    assert read_object(text) == REPORT
    for length in range(1, len(text)):
        found = read_object(text[:length])
        assert list(found) == list(REPORT)[: len(found)]
        *whole, _last = [*found, None]
        for key in whole[:-1]:
            assert found[key] == REPORT[key], text[:length]
        if length > text.index('"step"'):
            assert found["outcome"] == "RolledBack"
    assert str(REPORT["message"]).startswith(read_object(text[:90])["message"][:20])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, {}),
        ("", {}),
        ("[1, 2", {}),
        ('"a', {}),
        ("null", {}),
        ("{", {}),
        ('{"a', {}),
        ('{"a":', {}),
        ('{"a": 1', {}),
        ('{"a": true', {"a": True}),
        ('{"a": 1, "b": 2', {"a": 1}),
        ('{"a": [1], "b": 2.', {"a": [1]}),
        ('{"a": tr', {}),
        ('{"a": "b\\', {"a": "b"}),
        ('{"a": "b\\u00e', {"a": "b"}),
        ('{"a": "b", "c": {"d": [1, {"e": "f', {"a": "b", "c": {"d": [1, {"e": "f"}]}}),
        ('{"a": "b", "c": {"d": [1, {"e', {"a": "b", "c": {"d": [1, {}]}}),
        ('{"a": {"b": 1}, "c', {"a": {"b": 1}}),
        ('{"a": "b"', {"a": "b"}),
        ('{"a": [],', {"a": []}),
        ('{"a": 1]', {}),
        ('{"a": 1}}', {}),
        ('{"a": 1} and more', {}),
        ("it said {", {}),
        ('{"a": ' * 20_000, {}),
    ],
)
def test_what_is_no_object_or_hardly_begun_is_read_as_far_as_it_goes(text: str | None, expected: object) -> None:
    assert read_object(text) == expected

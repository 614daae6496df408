from __future__ import annotations

import pytest

from app.chains import CHAINS
from app.settings import DATABASE_NEEDS, NEEDS, InvalidSettings, read_settings
from tests.workload.app.fakes import CANARY, make_settings

GOOD = {"APP_ENVIRONMENT": "dev", "AWS_REGION": "eu-central-1"}
ALL = {**GOOD, "POOLS_TABLE": "pools", "JOBS_QUEUE_URL": "https://sqs.test/jobs"}


@pytest.mark.parametrize("role", NEEDS)
def test_a_role_starts_with_what_it_needs_and_no_more(role: str) -> None:
    assert read_settings(role, {**GOOD, **{name: ALL[name] for name in NEEDS[role]}}).environment == "dev"


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NEEDS.items() for name in names])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_the_role_needs_is_missed_by_name(role: str, name: str, value: str | None) -> None:
    environ = {key: text for key, text in {**ALL, name: value}.items() if text is not None}
    with pytest.raises(InvalidSettings, match=f"{name}: {role} cannot do without it"):
        read_settings(role, environ)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("APP_ENVIRONMENT", "Dev Environment", "match pattern"),
        ("AWS_REGION", "eu central", "match pattern"),
        ("PORT", "eighty", "valid integer"),
        ("PORT", "0", "greater than or equal to 1"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("JOBS_QUEUE_URL", "jobs", "match pattern"),
        ("THEGRAPH_GATEWAY_URL", "gateway", "match pattern"),
        ("REFRESH_INTERVAL_SECONDS", "1", "greater than or equal to 10"),
        ("POLL_SECONDS", "21", "less than or equal to 20"),
        ("CACHE_SECONDS", "-1", "greater than or equal to 0"),
        ("DRAIN_SECONDS", "61", "less than or equal to 60"),
        ("DATABASE_HOST", "postgresql://x", "match pattern"),
        ("DATABASE_PORT", "0", "greater than or equal to 1"),
        ("DATABASE_TLS", "prefer", "verify-full"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_wrong(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{name}: .*{message}"):
        read_settings("worker", {**ALL, name: value})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings("worker", {"PORT": "x"})
    assert [problem.partition(":")[0] for problem in str(caught.value).split("; ")] == [
        "POOLS_TABLE",
        "JOBS_QUEUE_URL",
        "APP_ENVIRONMENT",
        "AWS_REGION",
        "PORT",
    ]


def test_a_migration_with_a_database_needs_its_name_and_user_and_password() -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings("migrate", {**ALL, "DATABASE_HOST": "database.internal"})
    assert [problem.partition(":")[0] for problem in str(caught.value).split("; ")] == list(DATABASE_NEEDS)


def test_the_databases_password_is_a_secret_and_its_server_has_to_prove_who_it_is() -> None:
    given = {"DATABASE_HOST": "h", "DATABASE_NAME": "n", "DATABASE_USER": "u", "DATABASE_PASSWORD": CANARY}
    settings = read_settings("migrate", {**ALL, **given})
    assert settings.database_tls == "verify-full"
    assert settings.secrets == (CANARY,)
    assert CANARY not in repr(settings)


@pytest.mark.parametrize("value", ["", " ", "not-set", "not-set\n"])
def test_a_key_that_nobody_has_filled_in_is_no_error(value: str) -> None:
    assert make_settings(THEGRAPH_BALANCER_KEY=value).key(CHAINS["balancer"]) is None


@pytest.mark.parametrize("value", [f"{CANARY} x", f"{CANARY}\nx", f"{CANARY}é"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(InvalidSettings, match=r"THEGRAPH_FANTOM_KEY: .*cannot be an API key") as caught:
        make_settings(THEGRAPH_FANTOM_KEY=value)
    assert CANARY not in str(caught.value)


def test_a_key_loses_the_line_break_that_a_file_ends_with() -> None:
    assert make_settings(THEGRAPH_BALANCER_KEY=f"{CANARY}\n").key(CHAINS["balancer"]) == CANARY


def test_settings_can_be_printed_without_a_key() -> None:
    settings = make_settings()
    assert CANARY in settings.secrets
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_settings().port = 1

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import config
from config.history import longest_execution_seconds
from config.rules import LONGEST_STEP, RULES
from lambdas.release.policies import AcceptedFinding, ImagePolicy, Policy
from lambdas.settings import read_policy
from statemachine.steps import STEPS
from tests.conftest import SERVICES

PLATFORM = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")
DEV = PLATFORM.replace("enabled = true\n\n[github]", "enabled = false\n\n[github]")
"""Without the platform, whose names would have to agree with what a test changes."""


def problems(folder: Path, text: str, name: str = "dev") -> list[str]:
    """Return what is wrong with a file of this text, without the file's name."""
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    try:
        config.load(name, folder)
    except config.ConfigError as error:
        lines = str(error).splitlines()
        assert all(line.startswith(f"{folder / name}.toml: ") for line in lines)
        return [line.removeprefix(f"{folder / name}.toml: ") for line in lines]
    return []


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_each_committed_file_loads_and_names_itself(environment: str) -> None:
    settings = config.load(environment)
    assert settings.environment == environment
    assert settings.identity.table == f"v3-backend-{environment}-releases"


def test_the_environments_are_the_files() -> None:
    assert config.environments() == ("dev", "production", "staging")


def test_production_asks_a_person_and_dev_does_not() -> None:
    assert config.load("production").approval.required
    assert not config.load("dev").approval.required


@pytest.mark.parametrize("environment", config.environments())
def test_no_environment_may_touch_another_ones_names(environment: str) -> None:
    permissions = config.load(environment).permissions
    limits = (*permissions.clusters, permissions.role_path, permissions.secret_prefix, permissions.log_group_prefix)
    assert all(environment in limit for limit in limits)


@pytest.mark.parametrize("environment", config.environments())
def test_each_step_gets_policies_that_it_can_read_back(environment: str) -> None:
    settings = config.load(environment)
    for step in STEPS:
        variables = step.environment(settings.identity, settings.policies)
        for policy in step.policies:
            read: Policy = read_policy(policy, variables)
            assert read == settings.policies[policy]


@pytest.mark.parametrize("environment", config.environments())
def test_every_key_of_a_committed_file_stands_below_a_comment(environment: str) -> None:
    lines = (config.FOLDER / f"{environment}.toml").read_text(encoding="utf-8").splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"\w+ = ", line):
            assert above.startswith("#") or re.match(r"\w+ = ", above), line


def accepted(*entries: str) -> str:
    return f"accepted_findings = [{', '.join(f'{{ {each} }}' for each in entries)}]"


GOOD = 'id = "CVE-2026-1", until = 2026-12-31, reason = "no fix in Debian"'
ENTRY = "[image.accepted_findings entry"
ACCEPTED = {
    "no id": ((GOOD, 'until = 2026-12-31, reason = "x"'), f"{ENTRY} 2] id is missing; add id = "),
    "no reason": (('id = "CVE-2026-1", until = 2026-12-31',), f"{ENTRY} 1] reason is missing; add reason = "),
    "no day": (('id = "CVE-2026-1", reason = "x"',), f"{ENTRY} 1] until is missing; add until = 2026-12-31 (a day"),
    "an unknown key": ((f"{GOOD}, untill = 2026-12-31",), f"{ENTRY} 1] untill is unknown; did you mean until?"),
    "a pattern": (
        (GOOD.replace("CVE-2026-1", "CVE-2026-*"),),
        f'{ENTRY} 1] id is "CVE-2026-*"; give a finding\'s name',
    ),
    "everything": ((GOOD.replace("CVE-2026-1", "*"),), f'{ENTRY} 1] id is "*"; give'),
    "no name": ((GOOD.replace("CVE-2026-1", "CVE-"),), f'{ENTRY} 1] id is "CVE-"; give'),
    "a long name": ((GOOD.replace("CVE-2026-1", f"CVE-{'1' * 37}"),), f"{ENTRY} 1] id is "),
    "a number": ((GOOD.replace('"CVE-2026-1"', "1"),), f"{ENTRY} 1] id is 1, not text; give"),
    "no day of ours": ((GOOD.replace("2026-12-31", '"soon"'),), f'{ENTRY} 1] until is "soon"; give a day, the last'),
    "no day at all": ((GOOD.replace("2026-12-31", '"2026-02-30"'),), f'{ENTRY} 1] until is "2026-02-30"; give'),
    "a moment": ((GOOD.replace("2026-12-31", "2026-12-31T10:00:00Z"),), f"{ENTRY} 1] until is 2026-12-31 10:00"),
    "a year": ((GOOD.replace("2026-12-31", "2026"),), f"{ENTRY} 1] until is 2026; give a day"),
    "for ever": ((GOOD.replace("2026-12-31", "true"),), f"{ENTRY} 1] until is true; give a day"),
    "an empty reason": ((GOOD.replace("no fix in Debian", " "),), f'{ENTRY} 1] reason is " "; give a line of text'),
    "twice": ((GOOD, GOOD.replace("CVE", "cve")), "[image] accepted_findings names CVE-2026-1 twice; delete one"),
    "too many": (
        tuple(GOOD.replace("CVE-2026-1", f"CVE-2026-{n}") for n in range(31)),
        "[image] accepted_findings has 31 entries; keep 30",
    ),
}


@pytest.mark.parametrize(("entries", "expected"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_accepted_finding_has_a_name_a_last_day_and_a_reason(
    tmp_path: Path, entries: tuple[str, ...], expected: str
) -> None:
    (problem,) = problems(tmp_path, DEV.replace("accepted_findings = []", accepted(*entries)))
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("value", "shown"),
    [('["CVE-2026-1"]', "['CVE-2026-1']"), ('"CVE-2026-1"', '"CVE-2026-1"'), ("true", "true"), ("{}", "{}")],
)
def test_accepted_findings_are_a_list_of_tables(tmp_path: Path, value: str, shown: str) -> None:
    (problem,) = problems(tmp_path, DEV.replace("accepted_findings = []", f"accepted_findings = {value}"))
    fix = "give a list of at most 30 tables with id, until and reason, such as accepted_findings = [{ id ="
    assert problem.startswith(f"[image] accepted_findings is {shown}, not a list of tables; {fix}")


def test_functions_are_told_names_and_days_and_no_reasons(tmp_path: Path) -> None:
    entries = (GOOD, 'id = "GHSA-abcd-1234-wxyz", until = "2027-01-31", reason = "behind the firewall"')
    (tmp_path / "dev.toml").write_text(DEV.replace("accepted_findings = []", accepted(*entries)), encoding="utf-8")
    settings = config.load("dev", tmp_path)
    assert settings.image.accepted_findings[0].reason == "no fix in Debian"
    told = read_policy(ImagePolicy, STEPS[0].environment(settings.identity, settings.policies)).accepted_findings
    assert told == (AcceptedFinding("CVE-2026-1", "2026-12-31"), AcceptedFinding("GHSA-abcd-1234-wxyz", "2027-01-31"))


def test_the_longest_list_leaves_room_in_a_function_s_environment(tmp_path: Path) -> None:
    entries = tuple(GOOD.replace("CVE-2026-1", f"CVE-{n:036}") for n in range(30))
    (tmp_path / "dev.toml").write_text(DEV.replace("accepted_findings = []", accepted(*entries)), encoding="utf-8")
    settings = config.load("dev", tmp_path)
    variables = STEPS[0].environment(settings.identity, settings.policies)
    assert sum(len(name) + len(value) for name, value in variables.items()) < 4096 - 512


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "bake_seconds = 60",
            "bake_minutes = 5",
            "[rollout] bake_minutes has the wrong unit; give whole seconds: bake_seconds = 300",
        ),
        (
            "bake_seconds = 60",
            'bake = "5m"',
            "[rollout] bake has the wrong unit; give whole seconds: bake_seconds = 300",
        ),
        (
            "bake_seconds = 60",
            'bake_seconds = "5m"',
            '[rollout] bake_seconds is "5m", not a whole number; give whole seconds: bake_seconds = 300',
        ),
        (
            "bake_seconds = 60",
            "bake_seconds = 60.0",
            "[rollout] bake_seconds is 60.0, not a whole number; give whole seconds: bake_seconds = 60",
        ),
        (
            "bake_seconds = 60",
            "bake_seconds = true",
            (
                "[rollout] bake_seconds is true, not a whole number; "
                "give whole seconds, at least 0 and at most 31536000, such as bake_seconds = 600"
            ),
        ),
        (
            "bake_seconds = 60",
            "bake_seconds = -1",
            (
                "[rollout] bake_seconds is -1; "
                "give whole seconds, at least 0 and at most 31536000, such as bake_seconds = 600"
            ),
        ),
        (
            "failed_tasks = 2",
            "failed_tasks = 0",
            (
                "[circuit_breaker] failed_tasks is 0; "
                "give a whole number of tasks, at least 1 and at most 31536000, such as failed_tasks = 3"
            ),
        ),
        (
            "failed_tasks = 2\n",
            "",
            (
                "[circuit_breaker] failed_tasks is missing; "
                "add failed_tasks = 3 (a whole number of tasks, at least 1 and at most 31536000)"
            ),
        ),
        ("failed_tasks = 2", "faild_tasks = 2", "[circuit_breaker] faild_tasks is unknown; did you mean failed_tasks?"),
        (
            "\nrequired = false",
            '\nrequired = "no"',
            '[approval] required is "no", not true or false; give true or false, such as required = true',
        ),
        ("[approval]", "[aproval]", "[aproval] is unknown; did you mean approval?"),
        (
            'environment = "dev"',
            'environment = "staging"',
            'environment is "staging", but the file is dev.toml; write environment = "dev", or rename the file',
        ),
        (
            'app = "v3-backend"',
            'app = "V3_Backend"',
            (
                'app is "V3_Backend"; give lower-case letters, digits and single hyphens, '
                'not beginning with aws or ssm, such as app = "v3-backend"'
            ),
        ),
        (
            'app = "v3-backend"',
            'app = "an-application-with-a-rather-long-name"',
            "app is too long: app and environment have 41 characters together; shorten them to 37",
        ),
        (
            'repositories = ["v3-backend"]',
            "repositories = []",
            (
                "[image] repositories is empty; give a list of ECR repository names, without registry and tag, "
                'such as ["v3-backend"]'
            ),
        ),
        (
            'repositories = ["v3-backend"]',
            'repositories = "v3-backend"',
            (
                '[image] repositories is "v3-backend", not a list of texts; '
                'give a list of ECR repository names, without registry and tag, such as ["v3-backend"]'
            ),
        ),
        (
            'tag_patterns = ["sha-*"]',
            "tag_patterns = []",
            '[ecr_push] tag_patterns is empty, so no push would start anything; give tag_patterns = ["sha-*"]',
        ),
        (
            '"v3-backend-dev-api-unreachable"',
            '"v3-backend-dev-api-5xx"',
            "[circuit_breaker] alarms names something twice; delete the second one",
        ),
        (
            "wait_timeout_seconds = 900\npoll_seconds = 15",
            "wait_timeout_seconds = 900\npoll_seconds = 901",
            "[lock] poll_seconds is 901, more than the timeout of 900 seconds beside it; give 900 or less",
        ),
        (
            "bake_poll_seconds = 15",
            "bake_poll_seconds = 61",
            "[rollout] bake_poll_seconds is 61, more than bake_seconds = 60; give 60 or less",
        ),
        (
            "timeout_seconds = 7200",
            "timeout_seconds = 3059",
            (
                "[machine] timeout_seconds is 3059, but one deployment may take 3060 seconds in all its steps; "
                "give 3060 or more (and another rollout timeout per further wave)"
            ),
        ),
        (
            'role_path = "/v3-backend/dev/"',
            'role_path = "/"',
            (
                '[permissions] role_path is "/"; give a role path such as /v3-backend/dev/, '
                'or a path and the beginning of the name; not / alone, such as role_path = "/v3-backend/dev/"'
            ),
        ),
        (
            'clusters = ["v3-backend-dev"]',
            'clusters = ["*"]',
            '[permissions] clusters holds "*"; give a list of ECS cluster names, not ARNs, such as ["v3-backend-dev"]',
        ),
    ],
)
def test_a_wrong_value_is_one_problem_that_names_key_and_fix(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in DEV
    found = problems(tmp_path, DEV.replace(old, new, 1))
    assert found == [expected]


def test_a_log_retention_that_cloudwatch_does_not_have_is_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, DEV.replace("log_retention_days = 14", "log_retention_days = 15"))
    assert found.startswith("[machine] log_retention_days is 15; give whole days, one of the values")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "memory = 512",
            "memory = 4096",
            "is 4096, which Fargate does not have with cpu = 256 (512 to 2048 MiB); give 2048",
        ),
        (
            "memory = 512",
            "memory = 1536",
            "is 1536, which Fargate does not have with cpu = 256 (512 to 2048 MiB); give 1024",
        ),
        (
            "memory = 512",
            "memory = 600",
            "is 600, which Fargate does not have with cpu = 256 (512 to 2048 MiB); give 512",
        ),
    ],
)
def test_a_size_that_fargate_does_not_have_is_refused_with_the_nearest(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    before, after = DEV.split("[api]")
    (found,) = problems(tmp_path, f"{before}[api]{after.replace(old, new, 1)}")
    assert found == f"[api] memory {expected}"


def test_fewer_tasks_at_most_than_at_least_are_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, DEV.replace("min_tasks = 1", "min_tasks = 5", 1))
    assert found == "[api] min_tasks is 5, more than max_tasks = 2; give 2 or less"


def test_a_cluster_cannot_scale_down_to_more_than_up(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, DEV.replace("min_acu = 0", "min_acu = 3", 1))
    assert found == "[aurora] min_acu is 3, more than max_acu = 2; give 2 or less"


def test_more_nat_gateways_than_zones_are_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, DEV.replace("nat_gateways = 1", "nat_gateways = 3"))
    assert found == "[network] nat_gateways is 3 for 2 zones; give 2 or less"


@pytest.mark.parametrize(
    ("old", "new", "key", "fix"),
    [
        ('app = "v3-backend"', 'app = "shop"', "[permissions] clusters", 'add "shop-dev"'),
        ('clusters = ["v3-backend-dev"]', 'clusters = ["other"]', "[permissions] clusters", 'add "v3-backend-dev"'),
        ('"/v3-backend/dev/"', '"/v3-backend/staging/"', "[permissions] role_path", 'give "/v3-backend/dev/"'),
        ('"v3-backend/dev/"', '"v3-backend/"', "[permissions] secret_prefix", 'give "v3-backend/dev/"'),
        (
            "v3-backend-dev-api-5xx",
            "v3-backend-staging-api-5xx",
            "[circuit_breaker] alarms",
            "give those of v3-backend-dev",
        ),
        (
            "[scheduler]",
            SERVICES.split("[services.migration]")[0] + "[scheduler]",
            "[services.api]",
            "delete it, or say",
        ),
    ],
)
def test_the_deployer_must_be_allowed_what_the_platform_is_called(
    old: str, new: str, key: str, fix: str, tmp_path: Path
) -> None:
    assert old in PLATFORM
    first = problems(tmp_path, PLATFORM.replace(old, new, 1))[0]
    assert first.startswith(key)
    assert fix in first


def test_a_missing_section_names_each_of_its_keys(tmp_path: Path) -> None:
    without = re.sub(r"\[migration\].*?\n\n", "", DEV, flags=re.DOTALL)
    found = problems(tmp_path, without)
    assert [line.split(" is missing")[0] for line in found] == [
        "[migration] timeout_seconds",
        "[migration] poll_seconds",
        "[migration] cpu",
        "[migration] memory",
    ]


def test_a_value_where_a_section_belongs_is_refused(tmp_path: Path) -> None:
    without = re.sub(r"\[migration\].*?\n\n", "", DEV, flags=re.DOTALL)
    found = problems(tmp_path, f'migration = "yes"\n{without}')
    assert found == ["migration is not a table; write [migration] on a line of its own, and its keys below"]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = DEV.replace("bake_seconds = 60", "bake_minutes = 1").replace("owner =", "ownr =")
    assert len(problems(tmp_path, text)) == 2


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, 'app = "v3-backend"\nenvironment = dev\n')
    assert found.startswith("file is not TOML: ")
    assert "at line 2" in found


def test_an_unknown_environment_is_told_which_there_are(tmp_path: Path) -> None:
    problems(tmp_path, DEV)
    with pytest.raises(config.ConfigError, match=r"does not exist; the environments are: dev$"):
        config.load("prod", tmp_path)


def test_every_rule_has_an_example_that_it_allows() -> None:
    import tomllib

    for key, rule in RULES.items():
        example = tomllib.loads(f"value = {rule.example}")["value"]
        assert all(map(rule.allows, example if isinstance(example, list) else [example])), key


def test_own_services_are_read(tmp_path: Path) -> None:
    assert problems(tmp_path, DEV + SERVICES) == []
    services = config.load("dev", tmp_path).services
    assert services["api"].catalog_entry() == {
        "cluster": "v3-backend-dev",
        "service": "v3-backend-dev-api",
        "family": "v3-backend-dev-api",
        "container": "v3-backend-api",
        "repository": "v3-backend",
        "wave": 1,
    }
    assert services["migration"].catalog_entry()["kind"] == "migration"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[services.api]", "[services.Api]", "[services.Api] has a bad name"),
        ("wave = 1\n", "", "[services.api] wave is missing"),
        ("wave = 1", "wave = -1", "[services.api] wave is -1"),
        ("wave = 1", "wvae = 1", "[services.api] wvae is unknown; did you mean wave?"),
        ("[services.migration]", "[services.migrate]", "[services.migrate] kind makes it the migration"),
        ('kind = "migration"', 'kind = "task"', '[services.migration] kind is "task"'),
        (
            'repository = "v3-backend"',
            'repository = "other"',
            '[services.api] repository is "other", which the functions may not read; add it to [image] repositories',
        ),
        (
            'cluster = "v3-backend-dev"',
            'cluster = "other"',
            '[services.api] cluster is "other", which the functions may not touch; add it to [permissions] clusters',
        ),
        ('subnets = ["subnet-0123456789abcdef0"]', "subnets = []", "[services.migration] subnets is empty"),
    ],
)
def test_a_wrong_service_is_one_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SERVICES
    (found,) = problems(tmp_path, DEV + SERVICES.replace(old, new, 1))
    assert found.startswith(expected)


def test_the_migration_needs_its_kind(tmp_path: Path) -> None:
    service = SERVICES[: SERVICES.index("[services.migration]")].replace("services.api", "services.migration")
    (found,) = problems(tmp_path, DEV + service)
    assert found.startswith("[services.migration] kind is missing")


def test_an_approval_counts_in_the_longest_execution_only_where_one_is_asked_for() -> None:
    assert longest_execution_seconds(config.load("dev")) == 900 + 900 + 600 + 60 + 600
    assert longest_execution_seconds(config.load("production")) == 1800 + 14400 + 1800 + 1200 + 600 + 1200


def test_the_room_for_names_is_measured_with_the_longest_step() -> None:
    assert max((step.slug for step in STEPS), key=len) == LONGEST_STEP

"""What can be said of migrations without a server."""

from __future__ import annotations

import ssl
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from database.files import Migration, MigrationFailed, check, load
from database.migrate import CERTIFICATES

A, B = Migration("0001", "0001_a.sql", "aa"), Migration("0002", "0002_b.sql", "bb")


def write(folder: Path, *names: str, sql: str = "SELECT 1;") -> None:
    for name in names:
        (folder / name).write_text(sql)


def test_files_are_read_in_order(tmp_path: Path) -> None:
    write(tmp_path, "0002_b.sql", "0001_a_b1.sql")
    assert [(script.version, script.file) for script in load(tmp_path)] == [
        ("0001", "0001_a_b1.sql"),
        ("0002", "0002_b.sql"),
    ]


def test_committed_migrations_are_there() -> None:
    assert load()[0].file.startswith("0001_")


@pytest.mark.parametrize("names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_a_gap_or_a_number_given_twice_is_refused(tmp_path: Path, names: list[str]) -> None:
    write(tmp_path, *names)
    with pytest.raises(MigrationFailed, match="not numbered"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["1_a.sql", "0001_A.sql", "0001.sql", "0001_a.txt", "0001_a.SQL", "0001__a.sql"])
def test_another_kind_of_name_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    with pytest.raises(MigrationFailed, match=r"is called like 0001_"):
        load(tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT;",
        "SELECT 1;\n rollback ;",
        "START  TRANSACTION;",
        "BEGIN;",
        "begin transaction;",
        "SELECT 1; abort work;",
    ],
)
def test_a_file_that_would_leave_its_transaction_is_refused(tmp_path: Path, sql: str) -> None:
    write(tmp_path, "0001_a.sql", sql=sql)
    with pytest.raises(MigrationFailed, match=r"0001_a\.sql: holds .* one transaction"):
        load(tmp_path)


def test_a_word_that_only_begins_so_is_none(tmp_path: Path) -> None:
    columns = "CREATE TABLE a (\n  commit_sha text,\n  committed_at timestamptz\n);\nROLLBACK TO SAVEPOINT a;\n"
    write(tmp_path, "0001_a.sql", sql=f"/*\nRollback: drop it.\n*/\n{columns}")
    assert load(tmp_path)


def test_a_block_of_plpgsql_is_no_transaction(tmp_path: Path) -> None:
    write(tmp_path, "0001_a.sql", sql="DO $$\nBEGIN\n  PERFORM 1;\nEND;\n$$;\n-- commit often\n")
    assert load(tmp_path)


@pytest.mark.parametrize("applied", [[], [A], [A, B], [A, B, Migration("0003", "0003_c.sql", "cc")]])
def test_what_was_applied_as_it_is_fits(applied: list[Migration]) -> None:
    check([A, B], applied)


@pytest.mark.parametrize(
    ("had", "why"),
    [(Migration("0002", "0002_b.sql", "xx"), "changed since"), (Migration("0002", "0002_x.sql", "bb"), "had 0002_x")],
)
def test_what_was_changed_or_renamed_does_not_fit(had: Migration, why: str) -> None:
    with pytest.raises(MigrationFailed, match=why):
        check([A, B], [A, had])


def test_the_authorities_are_amazon_rds_own_and_will_last() -> None:
    """Three for each region: a cluster may have a certificate of any of the three kinds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATES)
    found = context.get_ca_certs()
    assert len(found) == CERTIFICATES.read_text().count("BEGIN CERTIFICATE")
    regions: Counter[str] = Counter()
    kinds = set()
    for each in found:
        subject = dict(names[0] for names in cast("tuple[tuple[tuple[str, str], ...], ...]", each["subject"]))
        assert each["subject"] == each["issuer"]
        assert subject["organizationName"] == "Amazon Web Services, Inc."
        amazon, rds, region, root, ca, kind, generation = subject["commonName"].split()
        assert (amazon, rds, root, ca, generation) == ("Amazon", "RDS", "Root", "CA", "G1")
        regions[region] += 1
        kinds.add(kind)
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(each["notAfter"])), UTC)
        assert ends.year >= 2061
    assert kinds == {"RSA2048", "RSA4096", "ECC384"}
    assert regions["eu-central-1"] == 3
    assert set(regions.values()) == {3}

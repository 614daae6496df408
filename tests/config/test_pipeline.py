"""``[pipeline]``: whole ids, a repository with its owner, and artifacts that a rollback still finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import config
from config.pipeline import BRANCH


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("repository", '"v3-backend"', "owner/name of a GitHub repository"),
        *(
            ("branch", f'"{branch}"', "the name of a branch")
            for branch in (
                "",
                "a..b",
                "main/",
                "/main",
                "main.",
                "a//b",
                "a/.b",
                "a.lock",
                "a.lock/b",
                "-a",
                "a b",
                "a" * 101,
            )
        ),
        ("connection_arn", '"arn:aws:iam::1:role/x"', "the ARN of a connection"),
        ("keep_artifacts_days", "3", "at least 30"),
        ("slack_channel_id", '"C07EZ1ABC"', "give both, or none"),
    ],
)
def test_a_wrong_key_is_refused(key: str, value: str, what: str, tmp_path: Path) -> None:
    text = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")
    start = text.index("[pipeline]")
    wrong = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text[start:], count=1)
    (tmp_path / "dev.toml").write_text(text[:start] + wrong, encoding="utf-8")
    with pytest.raises(config.ConfigError, match=what):
        config.load("dev", tmp_path)


@pytest.mark.parametrize(
    "branch", ["main", "release/2026-11", "feature/a.b_c", "x", "1.2", "locksmith.locked/b", "a" * 100]
)
def test_a_branch_may_be_called_what_git_lets_it(branch: str) -> None:
    assert re.fullmatch(BRANCH, branch)

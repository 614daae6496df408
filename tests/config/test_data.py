"""``[dynamodb]``: limits that AWS lets a table have."""

from __future__ import annotations

from pathlib import Path

import pytest

import config

DEV = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["max_read_units = 200", "max_write_units = 100"])
def test_more_units_than_a_table_may_have_are_refused_and_the_most_is_named(key: str, tmp_path: Path) -> None:
    name, _ = key.split(" = ")
    (tmp_path / "dev.toml").write_text(DEV.replace(key, f"{name} = 40000"), encoding="utf-8")
    assert getattr(config.load("dev", tmp_path).dynamodb, name) == 40_000
    (tmp_path / "dev.toml").write_text(DEV.replace(key, f"{name} = 40001"), encoding="utf-8")
    with pytest.raises(config.ConfigError, match=rf"\[dynamodb\] {name} is 40001; give .* at most 40000"):
        config.load("dev", tmp_path)

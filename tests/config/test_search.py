"""``[search]``: the official image by version, and a size that Fargate has."""

from __future__ import annotations

from pathlib import Path

import pytest

import config

DEV = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")
IMAGE = 'image = "docker.io/typesense/typesense:28.0"'


def load(folder: Path, text: str) -> config.EnvironmentConfig:
    (folder / "dev.toml").write_text(text, encoding="utf-8")
    return config.load("dev", folder)


@pytest.mark.parametrize(
    "image", ["typesense/typesense:28.0", "docker.io/typesense/typesense:30.1@sha256:" + "0a" * 32]
)
def test_the_official_image_is_taken_by_version(image: str, tmp_path: Path) -> None:
    assert IMAGE in DEV
    assert load(tmp_path, DEV.replace(IMAGE, f'image = "{image}"')).search.image == image


@pytest.mark.parametrize(
    "image",
    [
        "typesense/typesense",
        "typesense/typesense:latest",
        "typesense/typesense:28",
        "someone/typesense:28.0",
        "ghcr.io/typesense/typesense:28.0",
        "docker.io/typesense/typesense:28.0-rc1",
        "",
    ],
)
def test_another_image_or_a_tag_that_moves_is_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"\[search\] image is .*; give Typesense's official image"):
        load(tmp_path, DEV.replace(IMAGE, f'image = "{image}"'))


def test_a_size_that_fargate_does_not_have_is_refused(tmp_path: Path) -> None:
    before, after = DEV.split("[search]")
    with pytest.raises(config.ConfigError, match=r"\[search\] memory is 8192, .* give 4096"):
        load(tmp_path, before + "[search]" + after.replace("memory = 1024", "memory = 8192", 1))

"""``[api_gateway]`` and ``[frontend]``: origins without a wildcard, a certificate where CloudFront looks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import config

DEV = (config.FOLDER / "dev.toml").read_text(encoding="utf-8")
BEFORE, FRONTEND = DEV.split("[frontend]\n")
ARN = "arn:aws:acm:us-east-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"


def load(folder: Path, text: str) -> config.EnvironmentConfig:
    (folder / "dev.toml").write_text(text, encoding="utf-8")
    return config.load("dev", folder)


def frontend(domain: str, arn: str) -> str:
    changed = FRONTEND.replace('domain = ""', f'domain = "{domain}"', 1)
    return f"{BEFORE}[frontend]\n" + changed.replace('certificate_arn = ""', f'certificate_arn = "{arn}"', 1)


def test_origins_are_taken_as_browsers_send_them(tmp_path: Path) -> None:
    origins = '["https://www.example.com", "http://localhost:8000", "https://a.com:1", "https://a.com:65535"]'
    settings = load(tmp_path, DEV.replace("allowed_origins = []", f"allowed_origins = {origins}"))
    assert settings.api_gateway.allowed_origins[:2] == ("https://www.example.com", "http://localhost:8000")
    assert len(settings.api_gateway.allowed_origins) == 4


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "https://*.example.com", "http://example.com", "https://example.com/", ""),
        *(
            "https://a.com:99999",
            "https://a.com:65536",
            "https://a.com:0",
            "https://a.com:0443",
            "http://localhost:70000",
        ),
    ],
)
def test_another_origin_is_refused(origin: str, tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"\[api_gateway\] allowed_origins holds .* never \*"):
        load(tmp_path, DEV.replace("allowed_origins = []", f'allowed_origins = ["{origin}"]'))


def test_a_name_comes_with_its_certificate(tmp_path: Path) -> None:
    settings = load(tmp_path, frontend("www.example.com", ARN)).frontend
    assert (settings.domain, settings.certificate_arn) == ("www.example.com", ARN)


@pytest.mark.parametrize(
    ("domain", "arn", "message"),
    [
        ("www.example.com", ARN.replace("us-east-1", "eu-west-1"), r"\[frontend\] certificate_arn .* in us-east-1"),
        ("www.example.com", "", r"\[frontend\] certificate_arn is empty, .* in us-east-1"),
        ("", ARN, r"\[frontend\] domain is empty"),
        ("https://www.example.com", ARN, r"\[frontend\] domain is .* give a name"),
    ],
)
def test_a_certificate_that_cloudfront_cannot_use_is_refused(
    domain: str, arn: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(config.ConfigError, match=message):
        load(tmp_path, frontend(domain, arn))


def test_a_price_class_that_cloudfront_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"\[frontend\] price_class is .* give PriceClass_100"):
        load(tmp_path, DEV.replace('price_class = "PriceClass_100"', 'price_class = "100"'))

"""``[functions]``, ``[api_gateway]`` and ``[frontend]``: what serves people beside the services, and its rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.rule import YES_OR_NO, Rule, at_least, text, texts


@dataclass(frozen=True)
class Functions:
    """``[functions]``: the functions that read and write the application's items.

    Attributes
    ----------
    enabled
        Whether this environment has them; they need ``[dynamodb]``.
    memory
        MiB of each.
    """

    enabled: bool
    memory: int


@dataclass(frozen=True)
class ApiGateway:
    """``[api_gateway]``: the HTTP API in front of the functions.

    Attributes
    ----------
    enabled
        Whether this environment has it; it needs ``[functions]``.
    rate_per_second, burst
        Requests that it lets through, all callers together (API Gateway Developer Guide, "Throttle requests to your
        HTTP APIs": a token bucket).
    allowed_origins
        Whose pages a browser lets read it, such as ``https://www.example.com``; none when empty.
    """

    enabled: bool
    rate_per_second: int
    burst: int
    allowed_origins: tuple[str, ...]


@dataclass(frozen=True)
class Frontend:
    """``[frontend]``: the page, in S3 behind CloudFront.

    Attributes
    ----------
    enabled
        Whether this environment has it; it needs ``[api_gateway]``, and ``[search]`` for the form in it.
    price_class
        In which parts of the world CloudFront answers.
    noncurrent_days
        How long a replaced or deleted file is kept.
    domain, certificate_arn
        The page's own name and its certificate; both or neither.
    """

    enabled: bool
    price_class: str
    noncurrent_days: int
    domain: str
    certificate_arn: str

    def contradictions(self) -> Iterator[tuple[str, str, str]]:
        """Yield (key, what is wrong, the fix) for values that are good alone and wrong together."""
        if self.domain and not self.certificate_arn:
            yield (
                "[frontend] certificate_arn",
                f'is empty, and CloudFront has no certificate for "{self.domain}"',
                "give the ARN of one for it in us-east-1",
            )
        if self.certificate_arn and not self.domain:
            yield "[frontend] domain", "is empty, so nothing would use certificate_arn", "give a name that it is for"


PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
"""1 to 65535, as browsers write it: without a zero in front."""

APPLICATION_RULES: dict[str, Rule] = {
    "[functions] enabled": YES_OR_NO,
    "[functions] memory": at_least(128, "MiB", 256, at_most=10_240),
    "[api_gateway] enabled": YES_OR_NO,
    "[api_gateway] rate_per_second": at_least(1, "a whole number of requests a second", 50, at_most=10_000),
    "[api_gateway] burst": at_least(1, "a whole number of requests", 100, at_most=5000),
    "[api_gateway] allowed_origins": texts(
        rf"https://[a-z0-9-]+(\.[a-z0-9-]+)*(:{PORT})?|http://localhost:{PORT}",
        "a list of origins: https:// and a host, or http://localhost and a port; no path, never *",
        '["https://www.example.com"]',
        not_empty=False,
    ),
    "[frontend] enabled": YES_OR_NO,
    "[frontend] price_class": text(
        "PriceClass_(100|200|All)", "PriceClass_100, PriceClass_200 or PriceClass_All", "PriceClass_100"
    ),
    "[frontend] noncurrent_days": at_least(1, "whole days", 30, at_most=3653),
    "[frontend] domain": text(
        r"([a-z0-9-]+(\.[a-z0-9-]+)+)?", "a name such as www.example.com, or empty for CloudFront's own", ""
    ),
    "[frontend] certificate_arn": text(
        r"(arn:aws[a-z-]*:acm:us-east-1:\d{12}:certificate/[0-9a-f-]{36})?",
        "the ARN of an ACM certificate in us-east-1, which is where CloudFront looks for it, or empty",
        "",
    ),
}
"""The limits are an account's own, which AWS raises on request: 10,000 requests a second and 5,000 at once
(API Gateway quotas, "Account-level quotas per Region")."""

"""What a container is told by its environment variables, as one validated type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.chains import GATEWAY, KEY, NO_KEY, Chain
from app.health import HEALTH_FILE

NEEDS = {
    "api": ("POOLS_TABLE",),
    "worker": ("POOLS_TABLE", "JOBS_QUEUE_URL"),
    "scheduler": ("JOBS_QUEUE_URL",),
    "migrate": ("POOLS_TABLE",),
}
"""The variables without which a role cannot start, beside those that all roles need."""

DATABASE_NEEDS = ("DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD")
"""What ``migrate`` needs beside DATABASE_HOST, where that is set."""


class InvalidSettings(Exception):
    """An environment variable is missing or wrong; the message names it and shows no value."""


class Settings(BaseModel):
    """The settings of one container; each field reads the variable of its alias.

    Attributes
    ----------
    environment, region
        ``dev`` and ``eu-central-1``.
    git_sha, built_at
        Baked into the image.
    port
        Of the API.
    pools_table, jobs_queue_url
        Empty where the role has no use for it.
    balancer_key, fantom_key
        API keys of the subgraphs; None while nobody has filled them in.
    gateway
        URL in front of the subgraphs.
    refresh_interval_seconds
        How often the scheduler sends its jobs.
    poll_seconds
        How long one question to the queue waits for a message; SQS allows 20.
    cache_seconds
        How long the API repeats an answer of a subgraph.
    drain_seconds
        How long the API still serves after SIGTERM, saying on ``/health`` that it is going.
    database_host, database_port, database_name, database_user, database_password
        Where the SQL migrations go, and as whom; without a host there is no database.
    database_tls
        libpq's ``sslmode``; ``disable`` is for a server on one's own machine.
    health_file
        How ``app health`` learns what runs here; below ``/tmp``, the one place that can be written to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Annotated[str, Field(alias="APP_ENVIRONMENT", pattern=r"^[a-z][a-z0-9-]*$")]
    region: Annotated[str, Field(alias="AWS_REGION", pattern=r"^[a-z0-9-]+$")]
    git_sha: Annotated[str, Field(alias="GIT_SHA")] = "unknown"
    built_at: Annotated[str, Field(alias="BUILT_AT")] = "unknown"
    port: Annotated[int, Field(alias="PORT", ge=1, le=65535)] = 8080
    pools_table: Annotated[str, Field(alias="POOLS_TABLE")] = ""
    jobs_queue_url: Annotated[str, Field(alias="JOBS_QUEUE_URL", pattern=r"^(https?://\S+)?$")] = ""
    balancer_key: Annotated[SecretStr | None, Field(alias="THEGRAPH_BALANCER_KEY")] = None
    fantom_key: Annotated[SecretStr | None, Field(alias="THEGRAPH_FANTOM_KEY")] = None
    gateway: Annotated[str, Field(alias="THEGRAPH_GATEWAY_URL", pattern=r"^https?://\S+$")] = GATEWAY
    refresh_interval_seconds: Annotated[int, Field(alias="REFRESH_INTERVAL_SECONDS", ge=10)] = 300
    poll_seconds: Annotated[int, Field(alias="POLL_SECONDS", ge=1, le=20)] = 10
    cache_seconds: Annotated[int, Field(alias="CACHE_SECONDS", ge=0)] = 30
    drain_seconds: Annotated[float, Field(alias="DRAIN_SECONDS", ge=0, le=60)] = 5
    database_host: Annotated[str, Field(alias="DATABASE_HOST", pattern=r"^[A-Za-z0-9.-]*$")] = ""
    database_port: Annotated[int, Field(alias="DATABASE_PORT", ge=1, le=65535)] = 5432
    database_name: Annotated[str, Field(alias="DATABASE_NAME")] = ""
    database_user: Annotated[str, Field(alias="DATABASE_USER")] = ""
    database_password: Annotated[SecretStr | None, Field(alias="DATABASE_PASSWORD")] = None
    database_tls: Annotated[Literal["verify-full", "disable"], Field(alias="DATABASE_TLS")] = "verify-full"
    health_file: Annotated[Path, Field(alias="HEALTH_FILE")] = Path(HEALTH_FILE)

    @field_validator("balancer_key", "fantom_key", mode="before")
    @classmethod
    def _read_key(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.strip()
            if value in NO_KEY:
                return None
            if not KEY.fullmatch(value):
                raise ValueError("holds what cannot be an API key")
        return value

    def key(self, chain: Chain) -> str | None:
        """Return the API key of a chain; None while nobody has filled it in."""
        key = {"balancer": self.balancer_key, "fantom": self.fantom_key}[chain.name]
        return key.get_secret_value() if key else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be in no log line."""
        held = (self.balancer_key, self.fantom_key, self.database_password)
        return tuple(secret.get_secret_value() for secret in held if secret)


def read_settings(role: str, environ: Mapping[str, str]) -> Settings:
    """Read and check the settings of a role.

    Parameters
    ----------
    role
        A key of ``NEEDS``.
    environ
        The environment variables; an empty one counts as not set.

    Raises
    ------
    InvalidSettings
        Names every variable that is wrong.
    """
    values = {name: value for name, value in environ.items() if value.strip()}
    needed = (*NEEDS[role], *(DATABASE_NEEDS if role == "migrate" and "DATABASE_HOST" in values else ()))
    problems = [f"{name}: {role} cannot do without it" for name in needed if name not in values]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)]
    if problems:
        raise InvalidSettings("; ".join(problems))
    return settings

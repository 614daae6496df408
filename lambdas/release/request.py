"""What was asked for: the execution input after validation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lambdas.release.errors import InvalidInput

ECR_PUSH = "eventbridge:ecr-push"
"""Who asks for the deployment of an image when its push has started it (``statemachine/triggers.py``)."""


STOPPED_EXECUTION = "eventbridge:stopped-execution"
"""Who asks for a recovery when an event has told that an execution ended (``statemachine/triggers.py``)."""


class Action(StrEnum):
    """What an execution does."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Request:
    """The validated execution input, with its defaults filled in (``statemachine/input.schema.json``)."""

    action: str = Action.DEPLOY
    image_tag: str | None = None
    image_digest: str | None = None
    release_id: str | None = None
    services: tuple[str, ...] = ()
    run_migration: bool = True
    dry_run: bool = False
    force: bool = False
    environment: str | None = None
    requested_by: str | None = None
    reason: str | None = None
    takeover: str | None = None
    override_freeze: str | None = None

    @property
    def is_deploy(self) -> bool:
        """Whether new code goes out."""
        return self.action == Action.DEPLOY

    @property
    def is_push(self) -> bool:
        """Whether the push of an image asks for it, and no person: then push times decide which image is newer."""
        return self.is_deploy and self.requested_by == ECR_PUSH


def check_request(request: Request, environment: str) -> None:
    """Check what a JSON Schema cannot say clearly: the rules between fields.

    Raises
    ------
    InvalidInput
        Names the field and the fix.
    """
    if request.environment is not None and request.environment != environment:
        raise InvalidInput(
            f"environment: this state machine deploys {environment!r}, the input says {request.environment!r}; "
            f"start the machine of {request.environment!r}, or leave the field out"
        )
    if request.is_deploy:
        _check_deploy(request)
    else:
        _check_rollback(request)


def _check_deploy(request: Request) -> None:
    if request.image_tag is None and request.image_digest is None:
        raise InvalidInput("imageTag: a deploy needs imageTag or imageDigest; give the tag that was pushed")
    for field, value in (("releaseId", request.release_id), ("takeover", request.takeover)):
        if value is not None:
            raise InvalidInput(f'{field}: only a rollback takes it; leave it out, or say "action": "rollback"')


def _check_rollback(request: Request) -> None:
    for field, value in (("imageTag", request.image_tag), ("imageDigest", request.image_digest)):
        if value is not None:
            raise InvalidInput(
                f"{field}: a rollback takes releaseId, or nothing for the release before; "
                'leave it out, or say "action": "deploy"'
            )
    if request.override_freeze is not None:
        raise InvalidInput("overrideFreeze: a rollback is never frozen; leave it out")
    if request.services:
        raise InvalidInput("services: a rollback returns every service of the release; leave it out")
    if request.takeover is not None and request.release_id is not None:
        raise InvalidInput("takeover: rolls back what the stopped execution had moved; leave out releaseId")

"""``[pipeline]`` and ``[frontend_pipeline]``: what deploys an environment from its repository."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BRANCH = r"(?!.*(\.\.|//|/\.|\.lock(/|$)))[A-Za-z0-9]([A-Za-z0-9._/-]{0,98}[A-Za-z0-9_-])?"
"""What ``git check-ref-format`` lets pass, of the usual characters: no ``..`` or ``//``, no part that begins with a dot
or ends with ``.lock``, no slash or dot at the end."""


@dataclass(frozen=True)
class Pipeline:
    """``[pipeline]``: the pipeline of the infrastructure, and what both pipelines share.

    Attributes
    ----------
    enabled
        Whether this environment has it.
    repository, branch
        What is deployed, ``owner/name``, and from which branch.
    connection_arn
        A connection to the repository that exists already; empty for one of the pipeline's own.
    keep_artifacts_days
        How long sources and templates are kept; the rollback of a stage needs those of the last good run.
    approval_timeout_minutes
        How long production's question stands; nobody's answer is a no.
    slack_workspace_id, slack_channel_id
        The channel that is told of every state; both empty for none.
    """

    enabled: bool
    repository: str
    branch: str
    connection_arn: str
    keep_artifacts_days: int
    approval_timeout_minutes: int
    slack_workspace_id: str
    slack_channel_id: str

    def contradictions(self) -> Iterator[tuple[str, str, str]]:
        """Yield (key, what is wrong, the fix) for values that are good alone and wrong together."""
        if bool(self.slack_workspace_id) != bool(self.slack_channel_id):
            missing = "slack_channel_id" if self.slack_workspace_id else "slack_workspace_id"
            yield f"[pipeline] {missing}", "is empty, and the other half of the channel is not", "give both, or none"


@dataclass(frozen=True)
class FrontendPipeline:
    """``[frontend_pipeline]``: the pipeline that brings the files of the web page."""

    enabled: bool

"""``stepship deploy``: start a deployment, or find the one that this CI run has started, and follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepship.errors import wrong_usage
from stepship.executions.names import ci_run, names
from stepship.executions.report import follow_to_end, reattach, report_followed
from stepship.executions.start import How, make_request, start
from stepship.session import Session, one_line

HOW = {
    How.STARTED: "started",
    How.ATTACHED: "runs already, started by an earlier try of this run: taking it up",
    How.REPORTED: "was started by an earlier try of this step, and has ended",
}


@dataclass(frozen=True)
class Following:
    """What a command that starts something does after it.

    Attributes
    ----------
    run_id
        Of the CI run; None to take what the CI system says.
    wait
        Whether to follow it.
    timeout_seconds
        For how long; None for as long as it takes.
    """

    run_id: str | None = None
    wait: bool = True
    timeout_seconds: float | None = None


@dataclass(frozen=True)
class DeployRequest:
    """What to deploy; the fields are those of the execution input."""

    tag: str | None
    digest: str | None = None
    services: Sequence[str] = ()
    migration: bool = True
    force: bool = False
    reason: str | None = None
    requested_by: str | None = None
    override_freeze: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields that are not as without them."""
        services = [name.strip() for each in self.services for name in each.split(",") if name.strip()]
        return {
            "action": "deploy",
            "imageTag": self.tag,
            "imageDigest": self.digest,
            "services": services,
            "runMigration": None if self.migration else False,
            "force": self.force or None,
            "reason": one_line(self.reason),
            "overrideFreeze": one_line(self.override_freeze),
        }


def deploy(session: Session, request: DeployRequest, following: Following) -> int:
    """Deploy; returns the exit code."""
    if not request.tag and not request.digest:
        raise wrong_usage("give the TAG to deploy, or --digest")
    execution_input = make_request(session, **request.fields(), requestedBy=session.requested_by(request.requested_by))
    return start_and_follow(session, execution_input, request.digest or str(request.tag), following)


def start_and_follow(session: Session, execution_input: Mapping[str, Any], what: str, following: Following) -> int:
    """Start the execution that a request asks for, and do with it what was asked; returns the exit code.

    Parameters
    ----------
    what
        Digest, tag or release, for the name.
    """
    action, target, output = str(execution_input["action"]), session.target, session.output
    run = ci_run(following.run_id, session.host.environ)
    name_of = names(action, target.environment, what, run, session.host.now())
    # Safe to repeat: the second try finds what a first one, whose answer was lost, has started.
    started = session.patiently(lambda: start(session.machine, name_of, execution_input))
    name, url = started.arn.rpartition(":")[2], session.machine.console_url(started.arn)
    output.say(f"{name} {HOW[started.how]}")
    output.say(f"  {url}")
    if session.github:
        session.github.outputs({"execution": started.arn, "execution-url": url})
    if not following.wait:
        output.say(f"  Follow it: {reattach(name, target)}")
        output.document(
            {
                "environment": target.environment,
                "execution": started.arn,
                "name": name,
                "url": url,
                "how": started.how,
                "exitCode": 0,
            }
        )
        return 0
    followed = follow_to_end(session, started.arn, action=action, timeout_seconds=following.timeout_seconds)
    return report_followed(session, followed, {"how": started.how})

"""The checks before a plan: each one is shown as OK, FAIL or SKIP, and one FAIL rejects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lambdas.release.codec import encode
from lambdas.release.errors import PreflightFailed
from lambdas.release.rollout import ServiceFacts
from lambdas.release.task_definition import TaskDefinition
from lambdas.release.wording import and_list, shorten

MAX_FIELDS = 5
"""Fields that a check names: all of one new feature, and not a whole answer."""

MAX_DETAIL = 200
"""Characters of a check's detail in a plan: an ARN and what is wrong with it; a name of a secret may have 2,048."""

MAX_SAID, MAX_LISTED = 400, 3_600
"""Characters of one check in a message, and of all: a report's message has 4,000 (``failure.MAX_MESSAGE``)."""

MORE = "more checks"
"""The check that counts those that a plan has no room for."""

NOT_ROLLED_BACK = "not rolled back"
"""The check that names a service which a rollback or a recovery leaves where it is, and why."""

LEFT_OUT_BYTES = 400
"""What that check takes at most as JSON."""


ARN_PARTS = 6
"""``arn:partition:service:region:account:resource``."""


class Result(StrEnum):
    """How a check went."""

    OK = "OK"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True)
class Check:
    """One check: of what, which, how it went, and what to do about it."""

    subject: str
    check: str
    result: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.result} {self.subject}: {self.check}" + (f" — {self.detail}" if self.detail else "")


def ok(subject: str, check: str, detail: str = "") -> Check:
    """Return a check that passed."""
    return Check(subject, check, Result.OK, detail)


def fail(subject: str, check: str, detail: str) -> Check:
    """Return a check that did not pass; ``detail`` says what to do."""
    return Check(subject, check, Result.FAIL, detail)


def skip(subject: str, check: str, detail: str) -> Check:
    """Return a check that was not made, with the reason."""
    return Check(subject, check, Result.SKIP, detail)


def check_service(name: str, facts: ServiceFacts | None, *, may_interrupt: bool) -> tuple[Check, ...]:
    """Check that a service is there, that nothing else moves it, and that it has tasks to replace.

    Parameters
    ----------
    name
        The service's catalog name.
    facts
        None when DescribeServices does not know it.
    may_interrupt
        A rollback and a forced deploy may end another rollout.
    """
    if facts is None:
        fix = "deploy its stack, or correct its catalog parameter"
        return (fail(name, "service exists", f"ECS does not know it; {fix}"),)
    checks = [
        ok(name, "service is ACTIVE")
        if facts.status == "ACTIVE"
        else fail(name, "service is ACTIVE", f"it is {facts.status}")
    ]
    checks.append(_check_controller(name, facts))
    if facts.settings.controller != "ECS":
        # What moves it does not show as a deployment of ECS, so nothing more can be told from those.
        return tuple(checks)
    if facts.is_settled:
        checks.append(ok(name, "no other rollout"))
    elif may_interrupt:
        checks.append(skip(name, "no other rollout", "one is under way; this deployment may interrupt it"))
    else:
        checks.append(fail(name, "no other rollout", 'one is under way; wait for it, roll back, or give "force": true'))
    if facts.desired:
        checks.append(ok(name, "desired count", str(facts.desired)))
    else:
        checks.append(skip(name, "desired count", "0: nothing will run, so nothing can be verified"))
    return tuple(checks)


def check_gone(name: str, facts: ServiceFacts | None) -> Check | None:
    """Return why a way back leaves a service out that was deleted: it must not block the others. None if it is there.

    ECS lists a deleted one as DRAINING, then for a while as INACTIVE (ECS API Reference, DeleteService).
    """
    if facts is None:
        return skip(name, NOT_ROLLED_BACK, "ECS does not know it: it was deleted, or its catalog parameter is wrong")
    if facts.status != "ACTIVE":
        return skip(name, NOT_ROLLED_BACK, f"it is {facts.status}: it was deleted, and has nothing to return to")
    return None


def _check_controller(name: str, facts: ServiceFacts) -> Check:
    """Check that Stepship can deploy the service at all; no ``force`` changes that."""
    settings = facts.settings
    if settings.controller != "ECS":
        return fail(
            name,
            "deployment controller",
            f"{settings.controller} deploys this service, and ECS refuses everybody else's deployments; create it with "
            "the controller ECS, or take it out of the catalog",
        )
    if settings.strategy != "ROLLING":
        return fail(
            name,
            "deployment controller",
            f"the strategy is {settings.strategy}; ROLLING is what Stepship drives: set it in the service's "
            "deploymentConfiguration",
        )
    return ok(name, "deployment controller", f"{settings.controller}, {settings.strategy}")


def check_room(name: str, facts: ServiceFacts) -> Check:
    """Check that a rolling deployment can begin: one more task may start, or an old one may stop.

    ECS rounds the minimum up and the maximum down (ECS API Reference, DeploymentConfiguration).

    Examples
    --------
    2 tasks, 100 % and 100 %: at least 2 run and at most 2, so none may start and none may stop. 150 % at most lets a
    third one start (floor(3.0) = 3); 50 % at least lets one stop (ceil(1.0) = 1).

    1 task, 75 % and 125 %: at least ceil(0.75) = 1 and at most floor(1.25) = 1. It takes 200 %, or 0 %.
    """
    check, settings, desired = "room to move", facts.settings, facts.desired
    least = -(-desired * settings.minimum // 100)
    most = desired * settings.maximum // 100
    numbers = f"{least} to {most} tasks may run during a deployment of {desired}"
    if not desired or most > desired or least < desired:
        return ok(name, check, numbers)
    percent = 100 * (desired - 1) // desired
    lower = f"minimumHealthyPercent to {percent}{' or less' if percent else ''}"
    higher = f"maximumPercent to {-(-100 * (desired + 1) // desired)} or more"
    # ECS takes no other maximum from a DAEMON service than its default (ECS API Reference, DeploymentConfiguration).
    fix = f"set {lower}" if settings.is_daemon else f"set {higher}, or {lower}"
    return fail(
        name,
        check,
        f"{settings.minimum} % healthy at least and {settings.maximum} % at most let no task start and none stop "
        f"({numbers}); {fix}",
    )


def check_complete(subject: str, definition: TaskDefinition) -> Check:
    """Check that a revision made from this one would have everything that it has."""
    check, name = "task definition is copied whole", definition.arn.rsplit("/", 1)[-1]
    if definition.lost is None:
        return skip(subject, check, f"{name}: the SDK of this function does not show the answer as it came")
    if not definition.lost:
        return ok(subject, check, name)
    fields = ", ".join(definition.lost[:MAX_FIELDS]) + (", …" if len(definition.lost) > MAX_FIELDS else "")
    fix = "give the functions a newer boto3 (lambdas/requirements.txt), or remove the field from the task definition"
    return fail(subject, check, f"{name} has {fields}, which the SDK of this function would lose; {fix}")


def check_task_definition(
    subject: str, family: str, containers: Sequence[str], definition: TaskDefinition | None
) -> tuple[Check, ...]:
    """Check that the task definition is there and holds the containers that get the image."""
    if definition is None:
        return (fail(subject, "task definition", f"{family} has no active revision; deploy its stack"),)
    name = definition.arn.rsplit("/", 1)[-1]
    gone = "" if definition.is_active else ", which was deregistered: where it is needed again, a copy is registered"
    found = ok(subject, "task definition", name + gone)
    have = ", ".join(str(c.get("name")) for c in definition.containers)
    checks = (
        fail(subject, "container", f"{name} is not in {family}; it has {have}")
        if definition.container(name) is None
        else ok(subject, "container", name)
        for name in containers
    )
    return (found, *checks)


def check_target(
    subject: str, family: str, containers: Sequence[str], arn: str | None, target: TaskDefinition | None
) -> tuple[Check, ...]:
    """Check that a release's revision is there, or can be registered again where it was deregistered.

    It goes back whole, so it may have its containers under the names of its time.
    """
    if target is None:
        return (fail(subject, "task definition", f"{arn} was deleted; deploy the image of the release instead"),)
    checks = tuple(
        skip(c.subject, c.check, f"{c.detail}; it goes back as it was") if c.result == Result.FAIL else c
        for c in check_task_definition(subject, family, containers, target)
    )
    return checks if target.is_active else (*checks, check_complete(subject, target))


def check_migration_network(subject: str, definition: TaskDefinition | None, *, has_network: bool) -> tuple[Check, ...]:
    """Check that a one-off task that needs a network of its own has one: ECS refuses to start it otherwise."""
    if definition is None or definition.network_mode != "awsvpc" or has_network:
        return ()
    fix = "give subnets and securityGroups in its catalog parameter: the services have no network to take over"
    return (fail(subject, "network", f"its task definition is of network mode awsvpc; {fix}"),)


@dataclass(frozen=True)
class Look:
    """What a look at something that tasks need has shown: OK, FAIL or SKIP, and why."""

    result: Result
    detail: str = ""


def look(*, exists: bool | None, unseen: str) -> Look:
    """Turn an answer into a look; ``unseen`` says why the answer is None."""
    if exists is None:
        return Look(Result.SKIP, unseen)
    return Look(Result.OK) if exists else Look(Result.FAIL, "does not exist")


def check_found(subject: str, check: str, found: Mapping[str, Look]) -> tuple[Check, ...]:
    """Turn looks at what a task definition names into checks.

    Parameters
    ----------
    found
        Name to what was seen.
    """
    checks = []
    for name, seen in found.items():
        if seen.result == Result.OK:
            checks.append(ok(subject, check, name))
        elif seen.result == Result.SKIP:
            checks.append(skip(subject, check, f"{name}: {seen.detail}"))
        else:
            checks.append(fail(subject, check, f"{name} {seen.detail}"))
    return tuple(checks)


@dataclass(frozen=True)
class Home:
    """Where the function runs, and which roles it may give to tasks (``[permissions] role_path``)."""

    region: str
    account: str
    role_path: str

    @property
    def widen(self) -> str:
        """How to let it pass another role."""
        return f"widen [permissions] role_path, which is {self.role_path}, and deploy the coordinator again"

    def has_registry(self, host: str) -> bool:
        """Whether a host of images is the registry of the own account in the own region, by either of its names."""
        # 123456789012.dkr.ecr.us-east-1.amazonaws.com, or 123456789012.dkr-ecr.us-east-1.on.aws (ECR User Guide).
        account, *labels = host.split(".")
        return account == self.account and self.region in labels

    def elsewhere(self, account: str) -> str | None:
        """Return why what belongs to an account is not looked up; None for the own account."""
        return None if account in (self.account, "") else f"it is of account {account} and is not looked up from here"


def judge_role(reference: str, home: Home) -> Look | None:
    """Judge a role by its ARN alone; None when IAM has to be asked, also for the short name of a role.

    ``iam:PassRole`` is granted for ``role_path``: a role beside it fails when the revision is registered, after the
    first write.
    """
    parts = reference.split(":", 5)
    if len(parts) < ARN_PARTS:
        return None
    account, resource = parts[4], parts[5]
    if account != home.account:
        return Look(
            Result.FAIL, f"is of account {account}; ECS takes roles of its own account, which is {home.account}"
        )
    if not resource.startswith("role/" + home.role_path.removeprefix("/")):
        return Look(Result.FAIL, f"is outside of what may be passed to tasks: {home.widen}")
    return None


def judge_found_role(reference: str, arn: str | None, home: Home) -> Look:
    """Judge what IAM has for a role that ``judge_role`` lets through; ``arn`` is None when there is no such role."""
    if arn is None:
        return Look(Result.FAIL, "does not exist")
    if reference.startswith("arn:") and arn != reference:
        return Look(Result.FAIL, f"does not exist; the role of that name is {arn}")
    return judge_role(arn, home) or Look(Result.OK)


def check_alarms(names: Sequence[str], states: dict[str, str], *, forced: bool) -> tuple[Check, ...]:
    """Check that no alarm fires already: it could not tell whether this deployment made it fire.

    ECS ignores such an alarm for the whole rollout (ECS Developer Guide, "How CloudWatch alarms detect Amazon
    ECS deployment failures"). A forced deploy does the same: the fix for what the alarm says has to get in.
    """
    checks = []
    for name in names:
        state = states.get(name)
        if state is None:
            checks.append(fail(name, "alarm", "there is no such alarm; correct [circuit_breaker] alarms"))
        elif state == "ALARM" and forced:
            checks.append(skip(name, "alarm", "it is firing already, so it does not count for this forced deployment"))
        elif state == "ALARM":
            fix = 'let it recover, or give "force": true when this deployment is the fix'
            checks.append(fail(name, "alarm", f"it is firing already; {fix}"))
        else:
            checks.append(ok(name, "alarm", state))
    return tuple(checks)


def require(checks: Sequence[Check]) -> None:
    """Refuse when any check is FAIL.

    Raises
    ------
    PreflightFailed
        The message lists the checks that are FAIL: as many as fit into a report, and how many more there are.
    """
    bad = [check for check in checks if check.result == Result.FAIL]
    if not bad:
        return
    listed: list[str] = []
    room = MAX_LISTED
    for check in bad:
        said = shorten(str(check), MAX_SAID)
        room -= len(said) + len("; ")
        if room < 0:
            break
        listed.append(said)
    more = len(bad) - len(listed)
    others = f"; and {more} more" if more else ""
    raise PreflightFailed(f"{len(bad)} of {len(checks)} checks: {'; '.join(listed)}{others}")


def shown(checks: Sequence[Check], room_bytes: int, environment: str) -> tuple[Check, ...]:
    """Return the checks that an execution's state keeps: those that did not pass first, as many as there is room for.

    What is left out is counted in one more check, so that nobody takes the list for the whole.

    Parameters
    ----------
    room_bytes
        What they may take as JSON.

    Examples
    --------
    900 checks with details of 2,000 characters and room for 20,000 bytes: some 70 with 200 characters each, and
    ``OK dev: more checks — and 830 more OK``.
    """
    cut = [replace(c, detail=shorten(c.detail, MAX_DETAIL), subject=shorten(c.subject, MAX_DETAIL)) for c in checks]
    sizes = [len(json.dumps(encode(check))) + len(", ") for check in cut]
    order = sorted(range(len(cut)), key=lambda index: cut[index].result == Result.OK)
    fitting = room_bytes if sum(sizes) <= room_bytes else room_bytes - LEFT_OUT_BYTES
    kept: set[int] = set()
    for index in order:
        fitting -= sizes[index]
        if fitting < 0:
            break
        kept.add(index)
    left_out = Counter(str(check.result) for index, check in enumerate(cut) if index not in kept)
    found = tuple(cut[index] for index in sorted(kept))
    if not left_out or room_bytes < LEFT_OUT_BYTES:
        return found
    said = and_list(f"{left_out[each]} more {each}" for each in Result if each in left_out)
    passed = set(left_out) == {Result.OK}
    return (*found, Check(environment, MORE, Result.OK if passed else Result.SKIP, f"and {said}"))

"""What a sentence of ECS means: a stopped reason, a reason inside a service event, one of RunTask's failures.

The sentences are documented in the ECS Developer Guide: "Stopped tasks error messages", "CannotPullContainer task
errors", "Service event messages", "API failure reasons".

A sentence says its kind with its head, and names things after it: target groups, images, secrets, paths. Only heads are
matched, so that a target group called ``event-logger`` is no log driver. Of
``ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: …`` each piece between
two colons has a head, and the first that is specific decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

INTERRUPTED, STOPPED_BY_USER = "interrupted", "stopped-by-user"

_NAMES = re.compile(
    r"""\((?:target-group|elb|instance|service|task|container-instance|port|deployment)\b[^()]*\)
      | arn:[^\s"')\]]+ | https?://[^\s"')\]]+ | "[^"]*" | (?<!\w)'[^']*'(?!\w)""",
    re.VERBOSE,
)
"""What stands for a name inside a sentence, and is left out before a head is looked for."""


def _heads(*heads: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{head})" for head in heads), re.IGNORECASE)


SCALED_IN = _heads(r"Scaling activity initiated by")
"""The service needs fewer tasks, or its old ones no more."""

SPECIFIC: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "image-pull",
        _heads(
            r"CannotPull\w*",
            r"(?:failed|unable) to (?:pull|resolve|normalize) (?:the )?(?:container )?image",
            r"(?:pull|inspect) image\b|ref pull has been retried|image manifest\b",
            r"pull command failed",
            r"unable to (?:pull|retrieve|get) (?:ecr |private )?registry auth(?! from (?:asm|ssm))",
            r"The task can\W?(?:no)?t pull (?!secrets)",
        ),
    ),
    (
        "secret",
        _heads(
            r"unable to (?:retrieve|pull|get|fetch) secrets? ?(?:data )?(?!or registry)",
            r"unable to get registry auth from (?:asm|ssm)",
            r"The task can\W?(?:no)?t pull secrets",
            r"(?:asm |ssm )?fetching (?:secret|parameter)",
            r"(?:asm|ssm) (?:secret|parameter)s?\b",
            r"(?:retrieved|failed to fetch|could not find) secret",
            r"invalid (?:ssm )?parameters?\b(?! value)",
        ),
    ),
    (
        "environment-file",
        _heads(
            r"(?:failed|unable) to (?:download|read|parse) (?:the )?env(?:ironment)?(?: ?variable)?[ -]?files?",
            r"The task can\W?(?:no)?t download the environment",
            r"env(?:ironment)? ?files?\b",
        ),
    ),
    (
        "volume",
        _heads(
            r"CannotCreateVolume\w*|CannotMount\w*",
            r"failed to invoke EFS utils|unsuccessful EFS utils",
            r"(?:failed|unable) to (?:mount|attach|create|set ?up|provision|resize|format|stage|detach)\b.*"
            r"\b(?:volumes?|EFS|FSx|EBS|file ?systems?)\b",
            r"error while (?:mounting|creating) (?:volume|mount)|invalid (?:volume|mount)\b",
            r"Tim(?:eout|ed out) (?:while )?waiting for .*\b(?:EBS|EFS|volumes?|\w*storage)\b",
            r"(?:Amazon )?(?:EBS|EFS|FSx)\b",
        ),
    ),
    (
        "log-driver",
        _heads(
            r"failed to (?:validate|initialize|create|start|set ?up) (?:the )?"
            r"(?:logger|logging driver|log driver|cloudwatch log|firelens)",
            r"unable to (?:generate|create|start|initialize) (?:the )?(?:firelens|logging|log )",
            r"The task can\W?(?:no)?t (?:find|reach) the (?:Amazon )?CloudWatch log",
            r"The specified log (?:group|stream)",
        ),
    ),
    ("out-of-memory", _heads(r"OutOfMemory\w*", r"Container killed due to memory usage", r"OOM ?killed")),
    (
        "health-check",
        _heads(r"Task failed (?:\w+ ){1,3}health ?checks?", r"Task failed health ?checks?", r"Health checks? failed"),
    ),
    (
        INTERRUPTED,
        _heads(
            r"Host EC2\b",
            r"(?:Your )?Spot (?:task|instance)\b.*\b(?:interrupt|terminat|reclaim)",
            r".*\bECS is performing maintenance on the underlying infrastructure",
            r"(?:the )?container[ -]instance\b.*\b(?:disconnected|deregist|drain|terminat|stopp|unhealthy)",
            r"(?:EC2 )?instance\b.*\b(?:terminated|stopped|rebooted|retired)\b",
        ),
    ),
    (STOPPED_BY_USER, _heads(r"Task (?:was )?stopped by (?:the |a )?user")),
    ("throttled", _heads(r"Rate exceeded", r"Throttl\w+", r"RequestLimitExceeded", r"TooManyRequests\w*")),
    (
        "permission",
        _heads(
            r"(?:ECS was )?unable to assume (?:the )?(?:service[ -]linked )?(?:role|configured)",
            r"ECS (?:was unable to assume|does not have permission)",
            r"AccessDenied\w*|UnauthorizedOperation",
            r"(?:User\b.*\b)?(?:is )?not authorized to perform",
        ),
    ),
    (
        "load-balancer",
        _heads(
            r"TargetGroup\w+|(?:the )?target[ -]?groups?\b.*\b(?:not|no longer|limit|exceed)",
            r"(?:failed|was unable|unable) to (?:register|deregister|describe)\b.*\btargets?\b",
            r"(?:The )?load ?balancer\b.*\bnot\b|LoadBalancerNotFound",
            r"(?:failed|was unable|unable) to (?:register|deregister)\b.*\b(?:service discovery|Cloud Map)\b",
            r"(?:The )?(?:service discovery|(?:AWS )?Cloud Map)\b.*\b(?:not|limit|exceed\w*)\b",
        ),
    ),
    (
        "capacity",
        _heads(
            r"Capacity is unavailable",
            r"RESOURCES?:|(?:AGENT|ATTRIBUTE|LOCATION)\b(?! dis)",
            r"MemberOf placement constraint|(?:placement )?constraints? .*unsatisfied",
            r"EMPTY CAPACITY PROVIDER|NO ACTIVE INSTANCES",
            r"(?:because )?no container[ -]instances?\b|The closest matching",
            r"You(?:.ve| have) reached the limit",
            r"The requested (?:CPU|MEMORY|AZ|vCPU|configuration|capacity)\b",
            r".*\bInsufficient(?:FreeAddressesInSubnet|InstanceCapacity)",
            r"Insufficient (?:cpu|memory|capacity|resources)",
        ),
    ),
    (
        "network",
        _heads(
            r"(?:Timeout|Timed out) (?:while )?waiting for (?:the )?(?:elastic )?network interface",
            r"(?:elastic )?network interface\b",
            r"(?:failed|unable) to (?:configure|set ?up|create|attach|provision) (?:the |an |regular |branch |trunk )?"
            r"(?:ENI|elastic network|network)",
            r"netplugin failed|Invalid(?:Subnet|SecurityGroup|Group)\w*|The (?:subnet|security group)\b.*\bnot\b",
        ),
    ),
)
"""Heads that name one thing, by cause."""

SECRETS_OR_AUTH = _heads(r"unable to pull secrets or registry auth")
"""A head of two meanings: what follows decides, and a secret it is when nothing does."""

REGISTRY_CALLS = re.compile(r"\becr(?:-public)?:\w+")

GENERAL: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("network", _heads(r"Unexpected EC2 error")),
    (
        "start",
        _heads(
            r"Cannot(?:Create|Start|Stop|Inspect|Remove|Describe|Get|List)\w*",
            r"Container(?:Runtime|RuntimeTimeout|Stopped)\w*Error|Docker\w*Error|HostConfigError|InternalError|HostResource\w*",
            r"ResourceInitializationError|Unable to transition start",
            r"(?:failed to create|unable to start) (?:task for container|container|shim task)|OCI runtime|runc\b",
            r"The platform\b.*\bincompatib|PlatformTaskDefinitionIncompatib",
        ),
    ),
)
"""Heads that say no more than what ECS was about; a specific one after it says more."""

ESSENTIAL_EXITED = _heads(r"Essential container in task exited", r"Essential container\b.*\bexited")


def cause_of(sentence: str) -> str:
    """Return the cause that a sentence of ECS means, a stopped reason or one of RunTask's failures; empty for none.

    Examples
    --------
    >>> cause_of("ResourceInitializationError: failed to validate logger args: signal: killed")
    'log-driver'
    >>> cause_of("Task failed ELB health checks in (target-group arn:aws:…:targetgroup/event-logger/1a2b)")
    'health-check'
    """
    pieces = _pieces(sentence)
    asks_for_both = any(SECRETS_OR_AUTH.match(piece) for piece in pieces)
    for piece in pieces:
        for cause, heads in SPECIFIC:
            if heads.match(piece) and not SECRETS_OR_AUTH.match(piece):
                # Of "unable to pull secrets or registry auth: AccessDeniedException: … ecr:GetAuthorizationToken" the
                # second half is about the first.
                return _of_both(pieces) if asks_for_both and cause == "permission" else cause
    if asks_for_both:
        return _of_both(pieces)
    return next((cause for cause, heads in GENERAL if any(heads.match(piece) for piece in pieces)), "")


def _of_both(pieces: Sequence[str]) -> str:
    return "image-pull" if any(REGISTRY_CALLS.search(piece) for piece in pieces) else "secret"


def _pieces(sentence: str) -> list[str]:
    """Split a sentence where another begins: at a colon, after a full stop, and at ``(error …)`` of a service event."""
    pieces = re.split(r":\s+|\.\s+(?=[A-Z])|\(error\s+", _NAMES.sub("()", sentence))
    return [piece.strip(" ()") for piece in pieces if piece.strip(" ()")]


# --- service events

_EVENT_PREFIX = re.compile(
    r"^(?:\(?service [^\s,()]+(?:,? ?task-? ?set \(?[^\s()]+\)?)?\)?\s*)?"
    r"(?:\((?:task|instance|port|deployment)\b[^()]*\)\s*)*",
    re.IGNORECASE,
)
"""``(service api) (port 80) ``, ``(service api, taskSet ts-1) ``; older events: ``service api task set (ts-1) ``."""

_INNER_REASON = re.compile(
    r"\bReason:\s+(?P<reason>.+)$|\((?:error|reason):? (?P<error>.+)$", re.IGNORECASE | re.DOTALL
)
"""Where an event quotes another sentence."""

EVENTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("capacity", _heads(r"(?:was|is) unable to place a task\b.*?\bno container[ -]instances? met\b")),
    (
        "load-balancer",
        _heads(
            r"is (?:unhealthy|not healthy)\b.*\bdue to \(?(?:reason:? )?TARGET (?:GROUP )?IS "
            r"(?:NOT (?:FOUND|REGISTERED|CONFIGURED)|IN AN AVAILABILITY ZONE THAT IS NOT ENABLED)"
        ),
    ),
    ("health-check", _heads(r"is (?:unhealthy|not healthy)\b", r"failed (?:\w+ ){0,3}health ?checks?")),
    ("deployment-configuration", _heads(r"was unable to stop or start tasks during a deployment")),
    ("throttled", _heads(r"operations are being throttled")),
    ("permission", _heads(r"(?:was )?unable to assume (?:the )?(?:service[ -]linked )?role")),
    ("alarm", _heads(r"deployment failed: alarms?\b")),
)
"""What an event says itself, whatever it quotes."""

FALLBACKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("capacity", _heads(r"(?:was|is) unable to place a task")),
    ("start", _heads(r"failed to (?:launch|start) a task|was unable to (?:launch|start) a task")),
    (
        "load-balancer",
        _heads(r"(?:failed|was unable|unable) to (?:register|deregister|describe|validate)\b.*\btargets?\b"),
    ),
)
"""What an event means whose quoted sentence says nothing."""


def cause_of_event(message: str) -> str:
    """Return the cause that a service event means; empty for one that only tells what ECS does.

    Examples
    --------
    >>> cause_of_event("(service oom) was unable to place a task. Reason: CannotPullContainerError: not found")
    'image-pull'
    >>> cause_of_event("(service oom) has started 2 tasks: (task 0a) (task 0b).")
    ''
    """
    said = _EVENT_PREFIX.sub("", message, count=1)
    for cause, heads in EVENTS:
        if heads.match(said):
            return cause
    inner = _INNER_REASON.search(said)
    cause = cause_of(inner["reason"] or inner["error"] if inner else said)
    return cause or next((fallback for fallback, heads in FALLBACKS if heads.match(said)), "")

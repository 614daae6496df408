"""At the end of a deployment: whether its parameters still say what it wrote, and their repair.

The next infrastructure deploy carries what the parameters name
(docs/explanation/decisions/0008-infrastructure-carries-the-image-that-code-has-pinned.md). One that somebody edited by
hand in the middle of a rollout would bring other code, long after, and nobody would know from where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_lambda_powertools import Logger

from lambdas.dependencies import Dependencies
from lambdas.handler import Invocation
from lambdas.release.errors import LeaseLost, StepshipError
from lambdas.release.wording import and_list, counted, shorten

MAX_NAMED = 5
"""Parameters that a sentence names at most."""

MAX_REASON = 200
"""Characters of the reason why a parameter could not be read or written."""


def repair_parameters(
    call: Invocation, dependencies: Dependencies, logger: Logger, wanted: Mapping[str, str | None]
) -> str:
    """Set the parameters again that somebody has changed meanwhile.

    What cannot be looked up or set is said and fails nothing: the services run what they should, and rolling a healthy
    release back would need the same parameters.

    Parameters
    ----------
    wanted
        Name to value; None for a parameter that is not to be there.

    Returns
    -------
    str
        What was found, in one sentence without a full stop; empty when all of them are right.

    Raises
    ------
    LeaseLost
        Another execution holds the lock; nothing was written.
    """
    wrong: list[str] = []
    try:
        wrong = dependencies.parameters.differing(wanted)
        if not wrong:
            return ""
        call.renew_lease(dependencies)
        dependencies.parameters.set_all({name: wanted[name] for name in wrong if wanted[name] is not None})
        surplus = [name for name in wrong if wanted[name] is None]
    except LeaseLost:
        raise
    except StepshipError as error:
        logger.warning("parameters not repaired", parameters=wrong, reason=str(error))
        reason = shorten(str(error), MAX_REASON)
        if not wrong:
            return f"whether the parameters still say so could not be looked up ({reason})"
        values = and_list(f"{name} = {wanted[name] or '(none)'}" for name in wrong[:MAX_NAMED])
        return f"{_named(wrong)} changed meanwhile and could not be set again ({reason}); set {values} by hand"
    logger.warning("parameters repaired", parameters=wrong, surplus=surplus)
    repaired = [name for name in wrong if name not in surplus]
    said = [f"{_named(repaired)} changed meanwhile and set again"] if repaired else []
    # This step may delete nothing: what is too much misleads nobody before its service is deployed.
    said += [f"{_named(surplus)} made meanwhile, delete it by hand"] if surplus else []
    return "; ".join(said)


def _named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    shown = [*names[:MAX_NAMED], *([f"{more} more"] if more > 0 else [])]
    return f"{counted(len(names), 'parameter')} ({and_list(shown)}) {'was' if len(names) == 1 else 'were'}"

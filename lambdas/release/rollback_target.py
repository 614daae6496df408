"""Which release a rollback returns to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lambdas.release.errors import ReleaseNotFound
from lambdas.release.history import DeploymentRecord, Listed, Outcome, Release, parse_timestamp
from lambdas.release.planning import PlanInputs
from lambdas.release.request import Action, Request

PASSED_OVER = "release before"
"""The check that says which release a rollback did not return to, and why."""


LIVE = "live"
"""As ``releaseId``: whatever release is live. A repair, and nothing to do where all services are on it."""


MAX_PASSED_OVER = 5
"""Releases that a message names at most."""


def choose_release(
    request: Request,
    inputs: PlanInputs,
    wanted: Release | None,
    before_live: Release | None,
    passed_over: Sequence[str] = (),
) -> Release:
    """Choose the release that a rollback returns to.

    Parameters
    ----------
    wanted
        The release of ``releaseId``, if the history has it.
    before_live
        The release before the live one, if there is one.
    passed_over
        Those that it might have been, and why they are not: a sentence each.

    Returns
    -------
    Release
        ``releaseId``, which may be ``live``; else the live release when some service is not on it (a repair);
        else the one that was live when the live one was first deployed.

    Raises
    ------
    ReleaseNotFound
        Names what is missing.
    """
    if request.release_id == LIVE and inputs.live is not None:
        return inputs.live
    if request.release_id not in (None, LIVE):
        if wanted is None:
            raise ReleaseNotFound(f"releaseId: the history has no verified release {request.release_id}")
        return wanted
    if inputs.live is None:
        raise ReleaseNotFound("rollback: no release was verified yet, so there is none to return to; deploy a tag")
    if not _is_on(inputs.live, inputs):
        return inputs.live
    if before_live is None:
        raise ReleaseNotFound(_none_before(inputs.live.release_id, passed_over))
    return before_live


def _none_before(live: str, passed_over: Sequence[str]) -> str:
    if not passed_over:
        return f"rollback: {live} is the first verified release, there is none before; deploy a tag"
    said = "; ".join(passed_over[:MAX_PASSED_OVER])
    more = len(passed_over) - MAX_PASSED_OVER
    others = f"; and {more} more" if more > 0 else ""
    return f"rollback: {live} has no release before it to return to ({said}{others}); give a releaseId, or deploy a tag"


def undone_meanwhile(records: Sequence[DeploymentRecord], asked_at: float) -> bool:
    """Whether a deployment was rolled back by itself after somebody had asked for a rollback.

    What they wanted to get rid of is gone then; another rollback would be one release too far. A deployment that was
    stopped before they asked is undone when its recovery ends.
    """
    return any(_undoes(record) and parse_timestamp(record.ended_at) >= asked_at for record in records)


def _undoes(record: DeploymentRecord) -> bool:
    recovery = record.outcome == Outcome.DEPLOYED and record.action == Action.ROLLBACK and record.release_id is None
    return recovery or record.outcome in (Outcome.ROLLED_BACK, Outcome.STOPPED)


def _is_on(release: Release, inputs: PlanInputs) -> bool:
    """Whether every service runs the release's image: the image counts, infrastructure may have changed the rest.

    A rollout of that image over itself is an infrastructure deploy, or a restart. One that takes the place of other
    code has not brought the service there yet.
    """
    return all(
        {running.image, *running.beside} == {release.images[name]}
        for name, running in inputs.running.items()
        if name in release.images
    )


@dataclass(frozen=True)
class ReleaseBefore:
    """The release that a rollback without a name returns to; None when there is none.

    Attributes
    ----------
    passed_over
        Those that it would have returned to, and why it does not: a sentence each.
    """

    release: Release | None
    passed_over: tuple[str, ...] = ()


def left_by_rollback(records: Sequence[DeploymentRecord]) -> frozenset[str]:
    """Return the releases that somebody rolled back from, and that nobody has made live since.

    Parameters
    ----------
    records
        Newest first.

    Examples
    --------
    v1, v2, v3, rollback to v2, rollback to v1: v3 and v2. After a rollback to v3 by its name: v2 alone, because who
    goes on to a newer release leaves none.
    """
    left: set[str] = set()
    live: str | None = None
    for record in reversed(records):
        if record.outcome != Outcome.DEPLOYED or record.release_id is None:
            continue
        if live is not None and record.action == Action.ROLLBACK and record.release_id < live:
            left.add(live)
        live = record.release_id
        left.discard(live)
    return frozenset(left)


def _has_the_code_of(live: Release, other: Release) -> bool:
    """Whether a return to the other release moves no service: each that it knows has the same image."""
    return all(live.images.get(name) == other.images.get(name) for name in other.services)


def release_before(
    live: Release,
    left: Collection[str],
    find: Callable[[str], Release | str],
    older: Callable[[str], Listed[Release]],
) -> ReleaseBefore:
    """Find the release that a rollback of the live one returns to.

    It is the one that was live when the live one was first deployed. Passed over is what somebody rolled back from, and
    what has the same images, such as before a forced restart: returning there would change nothing (its own release
    before comes next); and what cannot be read or is gone (the verified one before it by time comes next). By time also
    goes what an older version wrote, which does not say what was live.

    Parameters
    ----------
    left
        Ids of the releases that somebody rolled back from.
    find
        Returns a release by its id, or the sentence why there is none.
    older
        Returns the newest verified release that is older than this id, if there is one.

    Examples
    --------
    v1, v2, v3, rollback to v2, v4: of v4 it is v2, not v3, which somebody fled from. Of v2 it is v1.
    """
    passed_over: list[str] = []
    seen = {live.release_id}
    at, before = live.release_id, live.before
    while True:
        if before is not None and before not in seen:
            seen.add(before)
            found = find(before)
            if isinstance(found, str):
                passed_over.append(found)
                at, before = before, None
                continue
        else:
            listed = older(at)
            passed_over.extend(listed.unreadable)
            if not listed:
                return ReleaseBefore(None, tuple(passed_over))
            found = listed[0]
        at, before = found.release_id, found.before
        if at in left:
            passed_over.append(f"{at} ({found.image_tag}): somebody rolled back from it")
        elif at != live.release_id and _has_the_code_of(live, found):
            passed_over.append(f"{at} ({found.image_tag}): it has the images of {live.release_id}")
        elif at != live.release_id:
            return ReleaseBefore(found, tuple(passed_over))
        seen.add(at)

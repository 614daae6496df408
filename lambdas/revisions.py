"""Task definition revisions: make the ones that are missing, and find those that stand for one that was deregistered.

Terraform deregisters a revision with every change, and clean-up jobs do it with what they take for old. ECS goes on
running what was deregistered, and deploys it no more: what is to be deployed again is then a *twin*, an ACTIVE revision
with the same content. It is looked for before one is registered, so a step that runs twice registers one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from lambdas.aws.ecs import ContainerService
from lambdas.release.errors import AwsError
from lambdas.release.plan import Plan, PlannedService
from lambdas.release.rollback import changed_by_others, keep_infrastructure, with_twins
from lambdas.release.rollout import ServiceFacts
from lambdas.release.state import ExecutionState
from lambdas.release.task_definition import TaskDefinition, copy_of, family_of, is_twin, same_content, with_image

NEWEST = 10
"""Revisions of a family that are looked through for a twin. One that a stopped step has registered has at most the
new release's and a few infrastructure deploys' after it; one that is not found costs a revision more."""

TRIES = 3
"""Revisions that a service is offered: each may be deregistered between the look at it and the update."""

Describe = Callable[[str], TaskDefinition | None]


class Revisions:
    """Finds and registers revisions, and counts what it has registered.

    One for each run of a step: what was described once is not described again.
    """

    def __init__(self, ecs: ContainerService) -> None:
        self.ecs = ecs
        self.registered = 0
        self._known: dict[str, TaskDefinition | None] = {}
        self._twins: dict[str, str] = {}

    def find(self, name: str) -> TaskDefinition | None:
        """Describe a revision by ARN or ``family:revision``, or a family's newest ACTIVE one; None when it is gone."""
        if name not in self._known:
            found = self._known[name] = self.ecs.task_definition(name)
            if found:
                self._known.setdefault(found.arn, found)
        return self._known[name]

    def is_deleted(self, arn: str) -> bool:
        """Whether nothing tells any more what a revision was: what stands for it is only known to have its image."""
        return self.find(arn) is None

    def describe(self, name: str) -> TaskDefinition:
        """Describe what the plan has seen; AwsError when it is gone."""
        found = self.find(name)
        if found is None:
            raise AwsError(f"ecs:describe_task_definition: {name} is gone since it was planned")
        return found

    def with_image(
        self, base: TaskDefinition, newest: TaskDefinition | None, containers: Sequence[str], image: str
    ) -> str:
        """Register ``base`` with the image, unless the family's newest revision is just that; returns the ARN."""
        missing = [name for name in containers if base.container(name) is None]
        if missing:
            raise AwsError(f"ecs:describe_task_definition: {base.arn} has no container {missing[0]} any more")
        request = with_image(base, containers, image, self.ecs.accepted_fields())
        if newest and newest.is_active and same_content(request, copy_of(newest, self.ecs.accepted_fields())):
            return newest.arn
        return self._register(base, request)

    def active(
        self, arn: str, service: PlannedService, image: str | None, *, refused: frozenset[str] = frozenset()
    ) -> str:
        """Return an ACTIVE revision with this one's content: itself, a twin, or a new one.

        Parameters
        ----------
        arn
            What ran, or is to run.
        service
            Whose revision it is.
        image
            What its container runs there: by it a twin is known of a revision that was deleted.
        refused
            What ECS has just refused, whatever DescribeTaskDefinition says of it.

        Raises
        ------
        AwsError
            It was deleted, and nothing stands for it.
        """
        wanted = self.find(arn)
        if wanted and wanted.is_active and arn not in refused:
            return arn
        kept = self._twins.get(arn)
        if kept is None or kept in refused:
            kept = self._twins[arn] = self._twin(arn, wanted, service, image, refused)
        return kept

    def _twin(
        self,
        arn: str,
        wanted: TaskDefinition | None,
        service: PlannedService,
        image: str | None,
        refused: frozenset[str],
    ) -> str:
        # A twin is made after what it stands for. Of what was deleted any revision with the image will do.
        for candidate in self._newest_first(family_of(arn), until=wanted.revision if wanted else 0):
            if wanted is not None:
                is_same = is_twin(candidate, wanted)
            else:
                is_same = image is not None and candidate.image(*service.containers) == image
            if is_same and candidate.is_active and candidate.arn not in refused:
                return candidate.arn
        if wanted is None:
            raise AwsError(
                f"ecs:describe_task_definition: {arn.rsplit('/', 1)[-1]} of {service.name} was deleted, and none of "
                f"the newest {NEWEST} revisions has {image or 'its image'}; register it again, or deploy a release"
            )
        return self._register(wanted, copy_of(wanted, self.ecs.accepted_fields()))

    def _newest_first(self, family: str, *, until: int) -> Iterator[TaskDefinition]:
        newest = self.find(family)
        if newest is None:
            return
        for number in range(newest.revision, max(until, newest.revision - NEWEST), -1):
            found = newest if number == newest.revision else self.find(f"{family}:{number}")
            if found:
                yield found

    def _register(self, base: TaskDefinition, request: Mapping[str, object]) -> str:
        if base.lost:
            raise AwsError(
                f"ecs:register_task_definition: a copy of {base.arn} would lose {', '.join(base.lost[:5])}, which the "
                "SDK of this function does not know"
            )
        self.registered += 1
        return self.ecs.register(request)


def deploy_active(
    service: PlannedService, target: str, image: str | None, revisions: Revisions, *, force: bool = False
) -> tuple[str, str | None]:
    """Give a service a revision that it or its release had before, or a twin where that was deregistered.

    Parameters
    ----------
    target, image
        The ARN, and what its container runs there.

    Returns
    -------
    tuple
        The ARN that ECS has taken, and the id of the PRIMARY deployment.
    """
    given, refused = target, frozenset[str]()
    for _ in range(TRIES - 1):
        offer = revisions.ecs.offer(service.cluster, service.service, given, force=force)
        if offer.is_taken:
            return given, offer.deployment
        refused |= {given}
        given = revisions.active(target, service, image, refused=refused)
    return given, revisions.ecs.update(service.cluster, service.service, given, force=force)


def returning(
    plan: Plan, state: ExecutionState, facts: Mapping[str, ServiceFacts], describe: Describe
) -> tuple[Plan, dict[str, ServiceFacts]]:
    """Return the plan with what each service is to run in the end, and the services that somebody else has deployed.

    That is what it had; a twin, where one stands for that; or what somebody else gave it, with the code that it had.
    """
    plan = with_twins(plan, facts, state.twins)
    others = changed_by_others(plan, facts, state.registered_revisions)
    running = {name: describe(one.primary.task_definition) for name, one in others.items() if one.primary}
    # Where the image of before is not known, the whole definition has to tell.
    before = {n: describe(plan.services[n].previous) for n in running if plan.services[n].previous_image is None}
    return keep_infrastructure(plan, running, before), others

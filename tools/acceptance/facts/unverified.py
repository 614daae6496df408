"""Facts about AWS for which nobody has found a source: each is looked at once, on an account, and has a name.

The product survives either answer. What is found otherwise is not a failure of the run: the report says what to change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.acceptance.facts import observations
from tools.acceptance.world.surroundings import World


class OtherwiseError(Exception):
    """A fact is not as it is taken to be; the text says what was seen."""


@dataclass(frozen=True)
class Check:
    """A fact to look at.

    Attributes
    ----------
    name
        As the report has it.
    taken
        As the code and the simulator take it to be.
    observe
        Looks, and returns what it has seen.
    holds
        Whether that is as it is taken to be.
    otherwise
        What to change if it is not.
    seconds
        Its budget.
    lacks
        What the emulator has not, so that nothing can be seen there.
    beside
        Whether it is looked at beside the chapters; otherwise at the end.
    """

    name: str
    taken: str
    observe: Callable[[World], object]
    holds: Callable[[object], bool]
    otherwise: str
    seconds: int = 30
    lacks: str = ""
    beside: bool = True

    def look(self, world: World) -> None:
        """Look once.

        Raises
        ------
        OtherwiseError
            Says what was seen, and what to change.
        """
        seen = self.observe(world)
        if not self.holds(seen):
            raise OtherwiseError(f"taken to be: {self.taken}; seen: {seen!r}; to change: {self.otherwise}")


BLUE_GREEN = "blue/green deployments"

CHECKS: tuple[Check, ...] = (
    Check(
        "list-tasks-started-by-stopped",
        "ListTasks by startedBy alone, with desiredStatus STOPPED, finds a migration that has ended",
        observations.stopped_tasks_by_started_by,
        bool,
        "lambdas/aws/ecs.py, find_task: list by family and compare startedBy of each; simulator/ecs likewise",
    ),
    Check(
        "service-deployment-is-listed",
        "ListServiceDeployments shows the deployment of an UpdateService within 60 seconds",
        observations.seconds_until_deployment_is_listed,
        lambda seen: isinstance(seen, float) and seen <= observations.LISTED_SECONDS,
        "wait longer for a deployment to be listed before it counts as missing; simulator/ecs: the same delay",
        120,
        "ListServiceDeployments",
    ),
    Check(
        "archived-image-by-id",
        "DescribeImages with explicit imageIds leaves out an archived image, as it does unfiltered",
        observations.archived_image_by_id,
        lambda seen: seen is False,
        "lambdas/aws/ecr.py: the second question, for archived images, is not needed; simulator/ecs/ecr.py: show them",
        60,
        "the archive of ECR",
    ),
    Check(
        "image-status-filter-with-ids",
        "DescribeImages takes a filter of imageStatus ANY together with explicit imageIds, and shows an archived image",
        observations.archived_image_by_id_and_filter,
        lambda seen: seen is True,
        "lambdas/aws/ecr.py, _describe_archived: page through the repository with the filter alone, without ids",
        60,
        "the archive of ECR",
    ),
    Check(
        "start-time-after-redrive",
        "$$.Execution.StartTime stays that of the first start after a redrive",
        observations.start_time_is_kept_by_redrive,
        lambda seen: seen is True,
        "lambdas/aws/releases_table.py: the record's key has startedAt; take it from the record that is there",
        90,
        "RedriveExecution",
    ),
    Check(
        "service-deployment-permissions",
        "a role that may call ContinueServiceDeployment on the ARNs of the cluster alone is not denied",
        observations.continue_on_arn_is_denied,
        lambda seen: seen is False,
        'statemachine/permissions.py: ContinueServiceDeployment needs "*", with the reason in the statement',
        60,
        "ContinueServiceDeployment",
    ),
    Check(
        "init-uses-a-full-processor",
        "a function's first invocation is initialised in two seconds whatever its memory",
        observations.longest_init_seconds,
        lambda seen: isinstance(seen, float) and seen <= observations.INIT_SECONDS,
        "statemachine/steps.py: more memory for each function, which buys a larger share of a processor",
        30,
        "the REPORT lines of Lambda",
        beside=False,
    ),
    Check(
        "pause-with-rolling",
        "a PAUSE hook is refused, or without effect, for a ROLLING service",
        observations.rolling_service_pauses,
        lambda seen: seen is False,
        "read hooks of rolling services too before a rollout counts as stuck; simulator/ecs: pause them",
        180,
        "lifecycle hooks",
    ),
    Check(
        "rollout-state-under-deferred",
        "rolloutState of a DEFERRED deployment is COMPLETED once the new tasks run, while old ones may still run",
        observations.rollout_state_under_deferred,
        lambda seen: seen == "COMPLETED",
        "lambdas/release/rollout.py: ask for the service deployment's status where earlySuccessCriteria is DEFERRED",
        240,
        "earlySuccessCriteria",
    ),
    Check(
        "pre-production-stage",
        "DescribeServiceDeployments shows PRE_PRODUCTION_TRAFFIC_SHIFT while its hook waits, though the enum lacks it",
        observations.stage_of_pre_production_pause,
        lambda seen: seen == observations.PRE_PRODUCTION,
        "read a stage that is not known as one that goes on; simulator/ecs: show what was seen",
        420,
        BLUE_GREEN,
    ),
    Check(
        "blue-green-as-the-service-shows-it",
        "DescribeServices shows the new definition from the start of a blue/green deployment, the old one once it is "
        "rolled back",
        observations.definitions_around_blue_green_rollback,
        lambda seen: seen == ("new", "old"),
        "identify by the service revision and not by service.taskDefinition; simulator/ecs: the same order",
        420,
        BLUE_GREEN,
    ),
    Check(
        "update-during-pause",
        "UpdateService while a hook pauses is taken, and the deployment before it ends STOPPED or rolled back",
        observations.fate_of_paused_deployment,
        lambda seen: seen in observations.ENDED_BY_ANOTHER,
        "wait for the end of a paused deployment before the next UpdateService; simulator/ecs: the same end",
        420,
        BLUE_GREEN,
    ),
)
"""One for each line that says "unverified" of AWS; their names are what a report is sent with."""

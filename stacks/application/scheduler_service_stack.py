"""The scheduler: one task that puts jobs into the worker's queue."""

from __future__ import annotations

from typing import Any

from constructs import Construct

from config import EnvironmentConfig
from stacks.constructs.service import Service
from stacks.constructs.task import Workload
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant


class SchedulerServiceStack(EnvironmentStack):
    """The service ``scheduler``: never two tasks at once, so it does not scale and is not started ahead.

    It has no alarm: one on jobs that do not come would fire before the first code deploy too, and hold that back.
    What it fails to do shows on the dashboard, as a queue into which nothing is sent.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "scheduler-service"
    PURPOSE = "The scheduler"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        # By name and not by parameter: this stack may be deployed before the worker's.
        queue = self.names.jobs_queue
        Service(
            self,
            "Scheduler",
            Workload(
                "scheduler",
                settings.scheduler,
                environment={
                    "JOBS_QUEUE_URL": f"https://sqs.{self.region}.{self.url_suffix}/{self.account}/{queue}",
                    "REFRESH_INTERVAL_SECONDS": str(settings.scheduler.interval_seconds),
                },
                grants=[Grant(("sqs:SendMessage",), (self.format_arn(service="sqs", resource=queue),))],
            ),
            security_group_id=self.read(self.names.task_security_group),
            singleton=True,
        )

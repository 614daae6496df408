"""Which ECS operations the simulator answers itself, and why moto 5.2.5's response class is not enough.

* RegisterTaskDefinition names the fields that it passes on and loses the rest; DescribeTaskDefinition likewise.
* CreateService and UpdateService drop `deploymentConfiguration`, `capacityProviderStrategy` and others.
* RunTask drops `clientToken`; DescribeTasks and DescribeServices never report a failure or a limit.
* ListTasks ignores `serviceName` and has no pages.

moto finds this class through `SimulatedEcs._url_module`: no method of moto is replaced.
"""

from __future__ import annotations

import calendar
import json
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, cast

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionContext, ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse

from simulator.ecs.operations import EcsOperations
from simulator.ecs.task_definitions import Json


class LiveBackend(Protocol):
    """A backend of moto's that has the simulated operations."""

    live: EcsOperations


class PlainResult(ActionResult):
    """An answer in the words of the API already: moto would look up every member again, a third of a deployment."""

    def execute_result(self, context: ActionContext) -> TYPE_RESPONSE:
        """Write it as the JSON protocol does."""
        del context
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(self.result, default=_unix_time)


def _unix_time(moment: datetime) -> float:
    """Return seconds with milliseconds, as moto's serializer writes a timestamp."""
    return calendar.timegm(moment.utctimetuple()) + moment.microsecond // 1000 / 1000


class SimulatedEcsResponse(EC2ContainerServiceResponse):
    """moto's ECS front door, with the moving operations led to `EcsOperations`."""

    @property
    def _live(self) -> EcsOperations:
        return cast("LiveBackend", self.ecs_backend).live  # the simulated backend alone chooses this class

    def _answer(self, operation: Callable[[Json], Json]) -> ActionResult:
        return PlainResult(operation(dict(self.params)))

    def create_service(self) -> ActionResult:
        """CreateService."""
        return self._answer(self._live.create_service)

    def update_service(self) -> ActionResult:
        """UpdateService."""
        return self._answer(self._live.update_service)

    def delete_service(self) -> ActionResult:
        """DeleteService."""
        return self._answer(self._live.delete_service)

    def describe_services(self) -> ActionResult:
        """DescribeServices."""
        return self._answer(self._live.describe_services)

    def list_services(self) -> ActionResult:
        """ListServices."""
        return self._answer(self._live.list_services)

    def list_service_deployments(self) -> ActionResult:
        """ListServiceDeployments."""
        return self._answer(self._live.list_service_deployments)

    def describe_service_deployments(self) -> ActionResult:
        """DescribeServiceDeployments."""
        return self._answer(self._live.describe_service_deployments)

    def run_task(self) -> ActionResult:
        """RunTask."""
        return self._answer(self._live.run_task)

    def describe_tasks(self) -> ActionResult:
        """DescribeTasks."""
        return self._answer(self._live.describe_tasks)

    def list_tasks(self) -> ActionResult:
        """ListTasks."""
        return self._answer(self._live.list_tasks)

    def stop_task(self) -> ActionResult:
        """StopTask."""
        return self._answer(self._live.stop_task)

    def describe_clusters(self) -> ActionResult:
        """DescribeClusters: moto's, with the counts of the simulated tasks."""
        for cluster in self.ecs_backend.clusters.values():
            counts = self._live.task_counts(cluster.name)
            cluster.running_tasks_count, cluster.pending_tasks_count, cluster.active_services_count = counts
        return super().describe_clusters()

    def register_task_definition(self) -> ActionResult:
        """RegisterTaskDefinition."""
        return self._answer(self._live.task_definitions.register_task_definition)

    def describe_task_definition(self) -> ActionResult:
        """DescribeTaskDefinition."""
        return self._answer(self._live.task_definitions.describe_task_definition)

    def deregister_task_definition(self) -> ActionResult:
        """DeregisterTaskDefinition."""
        return self._answer(self._live.task_definitions.deregister_task_definition)

    def delete_task_definitions(self) -> ActionResult:
        """DeleteTaskDefinitions."""
        return self._answer(self._live.delete_task_definitions)

    def list_task_definitions(self) -> ActionResult:
        """ListTaskDefinitions."""
        return self._answer(self._live.task_definitions.list_task_definitions)

from __future__ import annotations

from lambdas.aws.logs import ContainerLogs
from simulator.engine.machine import SimulatedAws
from simulator.faults.api_call import CallAction
from simulator.faults.faults import CallFault
from tests.lambdas.aws.conftest import Inside

LOGS = ContainerLogs()


def test_a_group_exists_by_its_whole_name(aws: SimulatedAws) -> None:
    aws.client("logs").create_log_group(logGroupName="/app/api-2")
    assert LOGS.group_exists("/app/api") is False
    aws.client("logs").create_log_group(logGroupName="/app/api")
    assert LOGS.group_exists("/app/api") is True


def test_a_group_is_found_among_many_with_the_same_beginning(aws: SimulatedAws) -> None:
    for number in range(60):
        aws.client("logs").create_log_group(logGroupName=f"/app/api-{number:02}")
    aws.client("logs").create_log_group(logGroupName="/app/api")
    assert LOGS.group_exists("/app/api") is True


def test_who_may_not_look_does_not_know(aws: SimulatedAws, inside: Inside) -> None:
    aws.faults.add(CallFault(CallAction.ERROR, service="logs", code="AccessDeniedException", http_status=400))
    assert inside(lambda: LOGS.group_exists("/app/api")) is None


def test_the_last_lines_come_oldest_first_without_line_ends(aws: SimulatedAws) -> None:
    import time

    client, now = aws.client("logs"), int(time.time() * 1000)
    client.create_log_group(logGroupName="/app/api")
    client.create_log_stream(logGroupName="/app/api", logStreamName="s")
    events = [{"timestamp": now + number, "message": f"line {number}\n"} for number in range(20)]
    client.put_log_events(logGroupName="/app/api", logStreamName="s", logEvents=events)
    assert LOGS.last_lines("/app/api", "s", 3) == ("line 17", "line 18", "line 19")


def test_a_container_that_never_wrote_has_no_lines(aws: SimulatedAws) -> None:
    assert LOGS.last_lines("/app/gone", "s", 3) == ()
    aws.client("logs").create_log_group(logGroupName="/app/api")
    assert LOGS.last_lines("/app/api", "gone", 3) == ()

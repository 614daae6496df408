"""Metrics: log lines that CloudWatch Logs counts by itself (CloudWatch User Guide, "Embedded metric format")."""

from __future__ import annotations

from typing import Any

NAMESPACE = "Worker"
FAILED_JOBS = "FailedJobs"


def failed_jobs(count: int, queue: str, at: float) -> dict[str, Any]:
    """Return what a log line carries that counts failed jobs.

    Parameters
    ----------
    count
        0 for a job that was done: the metric then has a value before the first failure.
    queue
        Name of the queue, which tells environments apart.
    at
        Unix seconds.
    """
    metric = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Queue"]],
        "Metrics": [{"Name": FAILED_JOBS, "Unit": "Count"}],
    }
    # The milliseconds that the format asks for.
    return {"_aws": {"Timestamp": round(at * 1000), "CloudWatchMetrics": [metric]}, "Queue": queue, FAILED_JOBS: count}

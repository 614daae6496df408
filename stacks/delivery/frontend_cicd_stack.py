"""The pipeline that brings the files of the web page: tested, scanned, copied, and asked for by its address."""

from __future__ import annotations

from typing import Any

from constructs import Construct

from config import EnvironmentConfig
from stacks.delivery.pipeline import NO_RESOURCE_NAME, Build, DeliveryPipeline, FilePaths, Stage, failure
from stacks.delivery.pipeline_plan import SITE_STAGES, PipelineStage
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import Grant

FRONTEND = (
    "workload/frontend/site/**",
    "tests/workload/frontend/**",
    "pipelines/site-*.yml",
    "pipelines/scan-secrets.sh",
    "pipelines/smoke-test.sh",
)
"""What starts it: the page, and what judges or brings it. ``frontend_edge.js`` is part of the frontend's stack, so the
other pipeline brings it; the tools (Makefile, requirements.lock, what sets pytest up) change nothing of the page, and
the next run has them."""


class FrontendCicdStack(EnvironmentStack):
    """A CodePipeline of type V2 for ``workload/frontend/site``; bucket and distribution are the frontend's.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "frontend-cicd"
    PURPOSE = "The pipeline of the web page"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        question = [PipelineStage("approve", (("approve",),))] if settings.is_production else []
        delivery = DeliveryPipeline(
            self,
            connection_arn=self.read(self.names.connection_arn),
            builds=self._builds(),
            asks=settings.is_production,
        )
        stages = [delivery.source()]
        for stage in (*SITE_STAGES[:-1], *question, SITE_STAGES[-1]):
            actions = [
                delivery.ask(name, "Approve it, and the page is deployed.", order)
                if name == "approve"
                else delivery.build_action(name, order=order)
                for order, group in enumerate(stage.actions, 1)
                for name in group
            ]
            stages.append(Stage(name=stage.name, actions=actions, on_failure=failure(stage.failure)))
        delivery.deliver(stages, FilePaths(includes=list(FRONTEND)))

    def _builds(self) -> list[Build]:
        bucket = self.format_arn(
            service="s3", region="", account="", resource=self.read(self.names.site_bucket), arn_format=NO_RESOURCE_NAME
        )
        distribution = self.format_arn(
            service="cloudfront",
            region="",
            resource="distribution",
            resource_name=self.read(self.names.site_distribution_id),
        )
        files = Grant(
            ("s3:PutObject", "s3:DeleteObject"),
            (f"{bucket}/*",),
            wildcard_reason="The files of the page, all that the bucket holds.",
        )
        return [
            Build("site-test", 15),
            Build("site-lint", 15),
            Build("site-scan", 15),
            Build(
                "site-deploy",
                10,
                (files, Grant(("s3:ListBucket",), (bucket,))),
                {"SITE_BUCKET": self.read(self.names.site_bucket)},
            ),
            Build(
                "site-invalidate",
                20,
                (Grant(("cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"), (distribution,)),),
                {"DISTRIBUTION": self.read(self.names.site_distribution_id)},
            ),
            Build("site-smoke-test", 10, environment={"SITE_URL": self.read(self.names.site_url)}),
        ]

"""The HTTP API in front of the application's functions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from config import EnvironmentConfig
from stacks.environment_stack import EnvironmentStack
from statemachine.iam import acknowledge

ACCESS_LOG = {
    "time": "$context.requestTime",
    "requestId": "$context.requestId",
    "address": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "method": "$context.httpMethod",
    "route": "$context.routeKey",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "milliseconds": "$context.responseLatency",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
}
"""API Gateway Developer Guide, "Customize HTTP API access logs"; the query is not among it: it is what people type."""

SERVER_ERRORS = 5
"""So many answers of 5xx in five minutes are an alarm; one alone may be a function that was just replaced."""

FUNCTION_TIMEOUT = cdk.Duration.seconds(29)
"""HTTP APIs allow 30 s (API Gateway quotas); the functions end before."""

CORS_MAX_AGE = cdk.Duration.hours(1)


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes
    ----------
    method, path
        As in ``GET /items/{id}``.
    function_arn
        Name of the SSM parameter that holds the ARN of its function.
    is_open
        Whether anybody may call it; else it takes requests that are signed by a role that may.
    """

    method: apigateway.HttpMethod
    path: str
    function_arn: str
    is_open: bool


class ApiGatewayStack(EnvironmentStack):
    """The API, its one stage, its log, and an alarm on its errors.

    Reading is open, because the page that does so is. Writing takes requests that are signed with AWS credentials
    (IAM): it is other programs of the owner's that write, IAM knows them already, and there is no token to keep, to
    renew or to verify. A person who writes from a browser would want a JWT authoriser, and a user pool behind it.

    Parameters
    ----------
    scope, settings, **kwargs
        As for ``EnvironmentStack``.
    """

    PART = "api-gateway"
    PURPOSE = "The HTTP API"

    def __init__(self, scope: Construct, *, settings: EnvironmentConfig, **kwargs: Any) -> None:
        super().__init__(scope, settings=settings, **kwargs)
        self._api = apigateway.HttpApi(
            self,
            "Api",
            api_name=self.names.service("items"),
            description=f"Items and search of {self.names.prefix}",
            create_default_stage=False,
            cors_preflight=self._cors(),
        )
        self._stage()
        for route in self._routes():
            self._route(route)
        self._errors_alarm()
        self.publish(self.names.http_api_url, self._api.api_endpoint, "Address of the HTTP API")

    def _cors(self) -> apigateway.CorsPreflightOptions | None:
        """Let pages of the configured origins read, and no page write: a browser has no AWS credentials to sign with.

        The frontend's own page is not among them: CloudFront hands its requests on, from the page's own origin.
        """
        origins = self.settings.api_gateway.allowed_origins
        if not origins:
            return None
        return apigateway.CorsPreflightOptions(
            allow_origins=list(origins), allow_methods=[apigateway.CorsHttpMethod.GET], max_age=CORS_MAX_AGE
        )

    def _stage(self) -> None:
        limits = self.settings.api_gateway
        # Below this name, deliveries of logs share one statement of the account's resource policy, which is short
        # (CloudWatch Logs User Guide, "Enable logging from AWS services").
        name = f"/aws/vendedlogs/{self.names.prefix}/api-gateway"
        log_group = self.log_group("AccessLog", name)
        stage = apigateway.CfnStage(
            self,
            "Stage",
            api_id=self._api.api_id,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=limits.rate_per_second,
                throttling_burst_limit=limits.burst,
                # Metrics of each route cost extra (API Gateway Developer Guide, "Monitor CloudWatch metrics for HTTP
                # APIs"); the access log has the route, the status and the time of each request.
                detailed_metrics_enabled=False,
            ),
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=self.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=name,
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                ),
                format=json.dumps(ACCESS_LOG),
            ),
        )
        stage.node.add_dependency(log_group)

    def _routes(self) -> list[Route]:
        get, put = apigateway.HttpMethod.GET, apigateway.HttpMethod.PUT
        routes = [
            Route(get, "/items/{id}", self.names.read_item_function_arn, is_open=True),
            Route(put, "/items/{id}", self.names.write_item_function_arn, is_open=False),
        ]
        if self.settings.search.enabled:
            routes.append(Route(get, "/search", self.names.search_query_function_arn, is_open=True))
        return routes

    def _route(self, route: Route) -> None:
        """Add a route; API Gateway may invoke its function for this route and no other."""
        name = route.method.value.title() + "".join(part.title() for part in route.path.split("/") if part.isalpha())
        function = lambda_.Function.from_function_attributes(
            self,
            f"{name}Function",
            function_arn=self.read(route.function_arn),
            # The permission below has the method in it; that of the CDK would be for all.
            skip_permissions=True,
        )
        made = apigateway.HttpRoute(
            self,
            name,
            http_api=self._api,
            route_key=apigateway.HttpRouteKey.with_(route.path, route.method),
            integration=integrations.HttpLambdaIntegration(f"{name}Integration", function, timeout=FUNCTION_TIMEOUT),
            authorizer=apigateway.HttpNoneAuthorizer() if route.is_open else authorizers.HttpIamAuthorizer(),
        )
        lambda_.CfnPermission(
            self,
            f"{name}Permission",
            action="lambda:InvokeFunction",
            function_name=function.function_arn,
            principal="apigateway.amazonaws.com",
            source_arn=self.format_arn(
                service="execute-api",
                resource=self._api.api_id,
                resource_name=f"*/{route.method.value}{re.sub(r'{[^}]*}', '*', route.path)}",
            ),
        )
        if route.is_open:
            acknowledge(made, "AwsSolutions-APIG4", "Who sees the page may read what it shows; the stage throttles.")

    def _errors_alarm(self) -> None:
        self.alarm(
            "ServerErrors",
            "http-api-5xx",
            alarm_description="The HTTP API answers with 5xx: its access log says where, the function's log why.",
            metric=self._api.metric_server_error(statistic="Sum", period=cdk.Duration.minutes(5)),
            threshold=SERVER_ERRORS,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        )

"""Functions, API and page: narrow roles, a throttled API that only signed requests write through, a private bucket."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import config
from stacks.stages import StageError, chosen, parts
from tests.stacks.synthesis import (
    Template,
    allowed_on,
    by_environment,
    flat,
    of_kind,
    only,
    parameter_of,
    parameters_read,
    published,
    resources,
    synthesise,
)

PATH = "/v3-backend/dev/"


@pytest.fixture(scope="module")
def functions(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-lambda"]


@pytest.fixture(scope="module")
def api(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-api-gateway"]


@pytest.fixture(scope="module")
def frontend(app_templates: dict[str, Template]) -> Template:
    return app_templates["v3-backend-dev-frontend"]


def without_search() -> config.EnvironmentConfig:
    settings = config.load("dev")
    sections = ("search", "frontend", "frontend_pipeline")
    off = {name: dataclasses.replace(getattr(settings, name), enabled=False) for name in sections}
    return dataclasses.replace(settings, **off)


def routes(api: Template) -> dict[str, dict[str, Any]]:
    return {each["RouteKey"]: each for each in resources(api, "AWS::ApiGatewayV2::Route")}


# Functions


def test_each_function_may_do_its_one_thing_and_nothing_else(functions: Template) -> None:
    read, write = sorted(resources(functions, "AWS::IAM::Role"), key=lambda each: str(each["Description"]))
    for role, call in ((read, "dynamodb:GetItem"), (write, "dynamodb:PutItem")):
        (table,) = allowed_on(role, call)
        assert "dynamodbtableArn" in table
    assert not allowed_on(read, "dynamodb:PutItem") | allowed_on(read, "sqs:SendMessage")
    assert not allowed_on(write, "dynamodb:GetItem") | allowed_on(write, "dynamodb:DeleteItem")
    (queue,) = allowed_on(write, "sqs:SendMessage")
    assert queue.endswith(":v3-backend-dev-search")
    assert not resources(functions, "AWS::IAM::Policy"), "grants stand in the roles"


def test_the_queue_is_the_one_that_the_search_makes(functions: Template, app_templates: dict[str, Template]) -> None:
    names = {each["QueueName"] for each in resources(app_templates["v3-backend-dev-search-lambda"], "AWS::SQS::Queue")}
    (url,) = [
        flat(variables["SEARCH_QUEUE_URL"])
        for each in resources(functions, "AWS::Lambda::Function")
        if "SEARCH_QUEUE_URL" in (variables := each["Environment"]["Variables"])
    ]
    assert url.rsplit("/", 1)[1] in names


def test_the_table_is_the_one_that_the_data_stage_makes(
    functions: Template, app_templates: dict[str, Template]
) -> None:
    table = only(app_templates["v3-backend-dev-dynamodb"], "AWS::DynamoDB::Table")["TableName"]
    for each in resources(functions, "AWS::Lambda::Function"):
        assert each["Environment"]["Variables"]["TABLE_NAME"] == table


@pytest.mark.parametrize("environment", config.environments())
def test_functions_are_small_log_json_and_end_before_the_api_gives_up(
    environment: str, app_templates: dict[str, Template]
) -> None:
    settings = config.load(environment)
    template = by_environment(app_templates, "lambda")[environment]
    made = resources(template, "AWS::Lambda::Function")
    names = [f"v3-backend-{environment}-read-item", f"v3-backend-{environment}-write-item"]
    assert sorted(each["FunctionName"] for each in made) == names
    for each in made:
        assert (each["Runtime"], each["Architectures"]) == ("python3.13", ["arm64"])
        assert each["MemorySize"] == settings.functions.memory
        assert each["Timeout"] < 29
        assert each["LoggingConfig"]["LogFormat"] == "JSON"
    groups = resources(template, "AWS::Logs::LogGroup")
    assert sorted(each["LogGroupName"] for each in groups) == [f"/aws/lambda/{name}" for name in names]
    assert {each["RetentionInDays"] for each in groups} == {settings.logs.retention_days}


def test_the_functions_need_nothing_but_their_asset_and_what_is_in_the_runtime(tmp_path: Path) -> None:
    from stacks.constructs.application_code import ROOT

    for file in (ROOT / "functions").glob("*.py"):
        (tmp_path / "functions").mkdir(exist_ok=True)
        (tmp_path / "functions" / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from functions import read_item, write_item; "
    code += "print(read_item.handler.__module__, write_item.handler.__module__)"
    answer = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "functions.read_item functions.write_item\n"


def test_a_checkout_without_the_code_is_no_function_without_code() -> None:
    from stacks.constructs.application_code import application_code

    with pytest.raises(FileNotFoundError, match="basement/ has no Python files: check it out too"):
        application_code("basement")


def test_handlers_are_named_as_the_package_has_them(functions: Template) -> None:
    from stacks.constructs.application_code import ROOT

    for each in resources(functions, "AWS::Lambda::Function"):
        package, module, name = each["Handler"].split(".")
        assert f"def {name}(" in (ROOT / package / f"{module}.py").read_text(encoding="utf-8")


def test_without_a_search_nobody_is_told() -> None:
    from stacks.application.lambda_stack import LambdaStack

    text = json.dumps(synthesise(LambdaStack, without_search()))
    assert "sqs" not in text
    assert "SEARCH_QUEUE_URL" not in text


# The API


def test_reading_is_open_and_writing_takes_signed_requests(api: Template) -> None:
    assert {key: each["AuthorizationType"] for key, each in routes(api).items()} == {
        "GET /items/{id}": "NONE",
        "PUT /items/{id}": "AWS_IAM",
        "GET /search": "NONE",
    }


def test_each_route_reaches_the_function_that_its_stack_publishes(
    api: Template, functions: Template, app_templates: dict[str, Template]
) -> None:
    known = published(functions) | published(app_templates["v3-backend-dev-search-lambda"])
    wanted = {
        "GET /items/{id}": "functions/readItemArn",
        "PUT /items/{id}": "functions/writeItemArn",
        "GET /search": "search/queryFunctionArn",
    }
    for key, each in routes(api).items():
        integration = api["Resources"][each["Target"]["Fn::Join"][1][1]["Ref"]]["Properties"]
        name = parameter_of(api, integration["IntegrationUri"])
        assert name == PATH + wanted[key]
        assert name in known
        assert integration["PayloadFormatVersion"] == "2.0"


def test_each_function_may_be_invoked_for_its_own_route_alone(api: Template) -> None:
    permissions = resources(api, "AWS::Lambda::Permission")
    found = {parameter_of(api, each["FunctionName"]): flat(each["SourceArn"]).split("/", 1)[1] for each in permissions}
    assert found == {
        f"{PATH}functions/readItemArn": "*/GET/items/*",
        f"{PATH}functions/writeItemArn": "*/PUT/items/*",
        f"{PATH}search/queryFunctionArn": "*/GET/search",
    }
    (one,) = {flat(each["SourceArn"]).split("/", 1)[0] for each in permissions}
    assert re.fullmatch(r"arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:<Api\w+>", one)


@pytest.mark.parametrize("environment", config.environments())
def test_the_stage_throttles_and_logs_each_request_as_json(
    environment: str, app_templates: dict[str, Template]
) -> None:
    settings = config.load(environment)
    template = by_environment(app_templates, "api-gateway")[environment]
    stage = only(template, "AWS::ApiGatewayV2::Stage")
    limits = stage["DefaultRouteSettings"]
    assert limits["ThrottlingRateLimit"] == settings.api_gateway.rate_per_second
    assert limits["ThrottlingBurstLimit"] == settings.api_gateway.burst
    assert limits["DetailedMetricsEnabled"] is False, (
        "metrics of each route are billed, and docs/reference/cost.md counts none"
    )
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"requestId", "status", "route", "caller"} <= set(line)
    assert "query" not in json.dumps(line).lower(), "what people type stays out of the log"
    group = only(template, "AWS::Logs::LogGroup")
    assert flat(stage["AccessLogSettings"]["DestinationArn"]).endswith(f":log-group:{group['LogGroupName']}")
    assert group["RetentionInDays"] == settings.logs.retention_days
    assert stage["Tags"]["environment"] == environment


def test_errors_are_an_alarm(api: Template) -> None:
    alarm = only(api, "AWS::CloudWatch::Alarm")
    assert (alarm["AlarmName"], alarm["MetricName"]) == ("v3-backend-dev-http-api-5xx", "5xx")
    assert [each["Name"] for each in alarm["Dimensions"]] == ["ApiId"]


def test_without_a_search_there_is_no_route_to_it() -> None:
    from stacks.application.api_gateway_stack import ApiGatewayStack

    template = synthesise(ApiGatewayStack, without_search())
    assert "GET /search" not in routes(template)
    assert not [name for name in parameters_read(template) if "/search/" in name]


def test_other_sites_may_read_if_the_config_names_them_and_never_write(api: Template) -> None:
    from stacks.application.api_gateway_stack import ApiGatewayStack

    assert "CorsConfiguration" not in only(api, "AWS::ApiGatewayV2::Api")
    settings = config.load("dev")
    gateway = dataclasses.replace(settings.api_gateway, allowed_origins=("https://www.example.com",))
    template = synthesise(ApiGatewayStack, dataclasses.replace(settings, api_gateway=gateway))
    cors = only(template, "AWS::ApiGatewayV2::Api")["CorsConfiguration"]
    assert (cors["AllowOrigins"], cors["AllowMethods"]) == (["https://www.example.com"], ["GET"])


# The page


def headers(frontend: Template) -> dict[str, Any]:
    found = only(frontend, "AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]
    assert isinstance(found, dict)
    return found


def distribution(frontend: Template) -> dict[str, Any]:
    found = only(frontend, "AWS::CloudFront::Distribution")["DistributionConfig"]
    assert isinstance(found, dict)
    return found


def behaviours(frontend: Template) -> Iterator[dict[str, Any]]:
    settings = distribution(frontend)
    yield settings["DefaultCacheBehavior"]
    yield from settings["CacheBehaviors"]


def test_every_answer_carries_the_security_headers(frontend: Template) -> None:
    (policy,) = of_kind(frontend, "AWS::CloudFront::ResponseHeadersPolicy")
    assert [each["ResponseHeadersPolicyId"] for each in behaviours(frontend)] == 3 * [{"Ref": policy}]
    security = headers(frontend)["SecurityHeadersConfig"]
    rules = dict(each.split(" ", 1) for each in security["ContentSecurityPolicy"]["ContentSecurityPolicy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in str(rules)
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 365 * 24 * 3600
    assert security["FrameOptions"]["FrameOption"] == "DENY"
    assert security["ContentTypeOptions"]["Override"] is True
    assert "ReferrerPolicy" in security
    names = {each["Header"] for each in headers(frontend)["CustomHeadersConfig"]["Items"]}
    assert names == {"Cross-Origin-Opener-Policy", "Permissions-Policy"}


def test_https_alone_in_current_versions_compressed_and_read_only(frontend: Template) -> None:
    settings = distribution(frontend)
    assert (settings["HttpVersion"], settings["IPV6Enabled"]) == ("http2and3", True)
    for each in behaviours(frontend):
        assert each["ViewerProtocolPolicy"] in ("redirect-to-https", "https-only")
        assert each["AllowedMethods"] == ["GET", "HEAD"]
        assert each["Compress"] is True
    (origin,) = [each["CustomOriginConfig"] for each in settings["Origins"] if "CustomOriginConfig" in each]
    assert (origin["OriginProtocolPolicy"], origin["OriginSSLProtocols"]) == ("https-only", ["TLSv1.2"])


def test_the_page_asks_its_own_address_for_what_the_api_has(frontend: Template, api: Template) -> None:
    open_routes = {key for key, each in routes(api).items() if each["AuthorizationType"] == "NONE"}
    handed_on = {each["PathPattern"] for each in distribution(frontend)["CacheBehaviors"]}
    assert handed_on == {key.removeprefix("GET ").replace("{id}", "*") for key in open_routes}
    assert f"{PATH}apiGateway/url" in parameters_read(frontend) & set(published(api))
    site = Path(config.__file__).parents[1] / "workload" / "frontend" / "site"
    asked = set(re.findall(r"`(/\w+)", (site / "api.js").read_text(encoding="utf-8")))
    assert asked == {path.rstrip("/*") for path in handed_on}
    assert "CustomErrorResponses" not in distribution(frontend), "they would hide the API's 404"


def test_the_bucket_is_private_and_this_distribution_alone_reads_it(frontend: Template) -> None:
    site, _ = sorted(of_kind(frontend, "AWS::S3::Bucket").items(), reverse=True)
    assert all(site[1]["Properties"]["PublicAccessBlockConfiguration"].values())
    (policy,) = [each for each in resources(frontend, "AWS::S3::BucketPolicy") if each["Bucket"] == {"Ref": site[0]}]
    (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert "distribution/" in flat(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])
    assert set(allowed["Action"]) == {"s3:GetObject", "s3:ListBucket"}
    assert not resources(frontend, "AWS::CloudFront::CloudFrontOriginAccessIdentity")


@pytest.mark.parametrize("environment", config.environments())
def test_what_a_deploy_replaces_is_kept_for_a_while_and_logs_have_an_end(
    environment: str, app_templates: dict[str, Template]
) -> None:
    settings = config.load(environment)
    template = by_environment(app_templates, "frontend")[environment]
    site, log = sorted(resources(template, "AWS::S3::Bucket"), key=lambda each: "VersioningConfiguration" not in each)
    (rule,) = site["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == settings.frontend.noncurrent_days
    assert rule["ExpiredObjectDeleteMarker"] is True
    assert "ExpirationInDays" not in rule, "the page itself never goes away by age"
    assert log["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == settings.logs.archive_days
    assert distribution(template)["PriceClass"] == settings.frontend.price_class
    assert distribution(template)["Logging"]["IncludeCookies"] is False


def test_a_name_of_its_own_brings_its_certificate_and_tls_1_2(frontend: Template) -> None:
    from stacks.frontend.frontend_stack import FrontendStack

    assert "ViewerCertificate" not in distribution(frontend)
    arn = "arn:aws:acm:us-east-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"
    settings = config.load("dev")
    own = dataclasses.replace(settings.frontend, domain="www.example.com", certificate_arn=arn)
    template = synthesise(FrontendStack, dataclasses.replace(settings, frontend=own))
    assert distribution(template)["Aliases"] == ["www.example.com"]
    certificate = distribution(template)["ViewerCertificate"]
    assert (certificate["AcmCertificateArn"], certificate["MinimumProtocolVersion"]) == (arn, "TLSv1.2_2021")
    assert published(template)[f"{PATH}frontend/url"] == "https://www.example.com"


def test_who_deploys_the_page_finds_bucket_and_distribution(frontend: Template) -> None:
    names = {f"{PATH}frontend/{name}" for name in ("bucket", "distributionId", "url")}
    assert set(published(frontend)) == names
    assert not [each for each in frontend["Resources"].values() if each["Type"].startswith("Custom::")]


# Stages


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("dynamodb", r"lambda \(\[functions\]\) needs dynamodb"),
        ("functions", r"api-gateway \(\[api_gateway\]\) needs lambda"),
        ("api_gateway", r"frontend \(\[frontend\]\) needs api-gateway"),
    ],
)
def test_what_is_on_needs_what_it_stands_on(section: str, message: str) -> None:
    settings = config.load("dev")
    off = dataclasses.replace(getattr(settings, section), enabled=False)
    with pytest.raises(StageError, match=message):
        chosen(dataclasses.replace(settings, **{section: off}))


def test_the_api_goes_out_after_the_search_where_there_is_one() -> None:
    assert parts(chosen(config.load("dev")))["api-gateway"].earlier == ("lambda", "search-lambda")
    assert parts(chosen(without_search()))["api-gateway"].earlier == ("lambda",)

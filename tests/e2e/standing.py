"""What must hold of an environment once all its stages are deployed: it is there, and it works.

Asked of AWS's own API and of the addresses that people use; nothing of it is known from the templates.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.cloud import ACCOUNT, REGION, Cloud, Json, wait_until
from tests.e2e.emulator import ROOT
from tests.e2e.observation import SERVICES, Observer

Holds = Callable[[Cloud, Observer], None]


def parameter(cloud: Cloud, name: str) -> str:
    """Return the value of a parameter."""
    return str(cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def ask(
    cloud: Cloud,
    method: str,
    path: str,
    *,
    body: Json | None = None,
    signed: bool = False,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str, http.client.HTTPMessage]:
    """Send a request to where the emulator answers; returns status, body and headers."""
    request = AWSRequest(method, f"{cloud.url}{path}", dict(headers), json.dumps(body).encode() if body else b"")
    if signed:
        SigV4Auth(Credentials(ACCOUNT, "emulated"), "execute-api", REGION).add_auth(request)
    connection = http.client.HTTPConnection(str(urlsplit(cloud.url).netloc), timeout=60)
    try:
        connection.request(method, path, request.data, dict(request.headers.items()))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def the_services_run(cloud: Cloud, observer: Observer) -> None:
    """The services run."""
    ecs, names = cloud.client("ecs"), observer.names
    services = [names.service(name) for name in (*SERVICES, "search")]

    def steady() -> list[Json] | None:
        found: list[Json] = ecs.describe_services(cluster=names.cluster, services=services)["services"]
        return found if all(each["runningCount"] == each["desiredCount"] > 0 for each in found) else None

    found = wait_until(steady, "the services run")
    assert {each["serviceName"] for each in found} == set(services)


def the_search_server_has_its_files_and_its_key(cloud: Cloud, observer: Observer) -> None:
    """The search server has its files and its key."""
    names = observer.names
    task = observer.task_definition(names.service("search"))
    (container,), (volume,) = task["containerDefinitions"], task["volumes"]
    assert container["image"] == cloud.settings.search.image == parameter(cloud, names.search_image)
    (mounted,) = container["mountPoints"]
    assert (mounted["sourceVolume"], mounted["containerPath"]) == (volume["name"], "/data")

    files, efs = volume["efsVolumeConfiguration"], cloud.client("efs")
    (system,) = efs.describe_file_systems(FileSystemId=files["fileSystemId"])["FileSystems"]
    (access,) = efs.describe_access_points(AccessPointId=files["authorizationConfig"]["accessPointId"])["AccessPoints"]
    targets = efs.describe_mount_targets(FileSystemId=system["FileSystemId"])["MountTargets"]
    assert (system["Encrypted"], files["transitEncryption"]) == (True, "ENABLED")
    assert access["FileSystemId"] == system["FileSystemId"]
    assert {each["SubnetId"] for each in targets} == set(parameter(cloud, names.private_subnet_ids).split(","))
    backups = efs.describe_backup_policy(FileSystemId=system["FileSystemId"])["BackupPolicy"]
    assert backups["Status"] in ("ENABLING", "ENABLED")

    (key,) = container["secrets"]
    assert (key["name"], key["valueFrom"]) == ("TYPESENSE_API_KEY", parameter(cloud, names.search_key_arn))
    secret = cloud.client("secretsmanager").get_secret_value(SecretId=key["valueFrom"])
    assert (secret["Name"], len(secret["SecretString"])) == (names.search_key, 48)


def the_database_lets_its_migration_in(cloud: Cloud, observer: Observer) -> None:
    """The database lets its migration in."""
    names = observer.names
    (cluster,) = cloud.client("rds").describe_db_clusters(DBClusterIdentifier=names.cluster)["DBClusters"]
    assert cluster["StorageEncrypted"] is True
    assert (cluster["Status"], len(cluster["DBClusterMembers"])) == ("available", 1 + cloud.settings.aurora.readers)
    assert cluster["MasterUserSecret"]["SecretArn"] == parameter(cloud, names.database_secret_arn)
    (container,) = observer.task_definition(names.service("migration"))["containerDefinitions"]
    told = {each["name"]: each["value"] for each in container["environment"]}
    assert (told["DATABASE_HOST"], told["DATABASE_NAME"]) == (cluster["Endpoint"], names.database_name)
    secrets = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert secrets["DATABASE_PASSWORD"].startswith(cluster["MasterUserSecret"]["SecretArn"])


def the_table_is_paid_by_the_request_and_can_be_restored(cloud: Cloud, observer: Observer) -> None:
    """The table is paid by the request and can be restored."""
    dynamodb, name = cloud.client("dynamodb"), observer.names.application_table
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableArn"] == parameter(cloud, observer.names.application_table_arn)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def the_functions_answer_behind_the_http_api(cloud: Cloud, observer: Observer) -> None:
    """The functions answer behind the http api."""
    at = {"Host": urlsplit(parameter(cloud, observer.names.http_api_url)).netloc}
    routes = cloud.client("apigatewayv2").get_routes(ApiId=at["Host"].partition(".")[0])["Items"]
    assert {each["RouteKey"] for each in routes} == {"GET /items/{id}", "PUT /items/{id}", "GET /search"}
    place = {"name": "Chez Max", "kind": "restaurant", "popularity": 7}

    assert ask(cloud, "GET", "/items/r-7", headers=at)[0] == 404
    assert ask(cloud, "PUT", "/items/r-7", headers=at, body=place)[0] == 403
    assert ask(cloud, "PUT", "/items/r-7", headers=at, body={"name": ""}, signed=True)[0] == 400
    assert ask(cloud, "PUT", "/items/r-7", headers=at, body=place, signed=True)[0] == 201
    status, text, _ = ask(cloud, "GET", "/items/r-7", headers=at)
    assert (status, json.loads(text)) == (200, {"id": "r-7", **place})
    # There is no search server here; what does not ask it is answered.
    status, text, _ = ask(cloud, "GET", "/search", headers=at)
    assert (status, json.loads(text)["error"]) == (400, "BadQuery")


def a_written_item_is_on_its_way_to_the_search(cloud: Cloud, observer: Observer) -> None:
    """A written item is on its way to the search."""
    sqs = cloud.client("sqs")
    queue = sqs.get_queue_url(QueueName=observer.names.search_queue)["QueueUrl"]
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"]) == 1
    (mapping,) = cloud.client("lambda").list_event_source_mappings(EventSourceArn=counts["QueueArn"])[
        "EventSourceMappings"
    ]
    assert mapping["State"] == "Enabled"


def the_page_is_served_from_its_bucket(cloud: Cloud, observer: Observer) -> None:
    """The page is served from its bucket."""
    s3, bucket = cloud.client("s3"), parameter(cloud, observer.names.site_bucket)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    page = (ROOT / "workload" / "frontend" / "site" / "index.html").read_bytes()
    s3.put_object(Bucket=bucket, Key="index.html", Body=page, ContentType="text/html")
    host = str(urlsplit(parameter(cloud, observer.names.site_url)).hostname)

    secure = {"Host": host, "X-Forwarded-Proto": "https"}

    # An address of the page that is no file: the function at the edge makes it the page.
    status, text, headers = ask(cloud, "GET", "/places/r-7", headers=secure)
    assert (status, text) == (200, page.decode())
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ask(cloud, "GET", "/", headers={"Host": host})[0] == 301


HOLDS: tuple[Holds, ...] = (
    the_services_run,
    the_search_server_has_its_files_and_its_key,
    the_database_lets_its_migration_in,
    the_table_is_paid_by_the_request_and_can_be_restored,
    the_functions_answer_behind_the_http_api,
    a_written_item_is_on_its_way_to_the_search,
    the_page_is_served_from_its_bucket,
)
"""In this order: the second half writes an item and a page."""

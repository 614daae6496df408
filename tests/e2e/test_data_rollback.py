"""The chapters of data in ``docs/how-to/rollback.md``, typed as they stand there.

*DynamoDB* and *Migrations* are walked on the stacks in the emulator. It restores no cluster and renames none, which is
asserted; so *PostgreSQL* is walked on moto, with a cluster that has what the stack gives it. Neither has data behind a
cluster: what a restored one holds is for an account to show.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError
from moto.core.models import botocore_stubber

import cdk_app
import config
from tests.e2e.cloud import REGION, Cloud, Json
from tests.e2e.emulator import ENVIRONMENT as TOOLS
from tests.e2e.emulator import ROOT, Emulator

GUIDE = (ROOT / "docs" / "how-to" / "rollback.md").read_text(encoding="utf-8")
TABLE = "v3-backend-dev-data"
CLUSTER = "v3-backend-dev"


def blocks(chapter: str) -> list[str]:
    """Return the shell blocks of a chapter of the guide."""
    text = GUIDE.partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An account of its own with the stacks of the data, and what these need of earlier ones."""
    with Emulator(tmp_path_factory.mktemp("data")) as emulator:
        cloud = Cloud(emulator.url, config.load("dev"))
        vpc = cloud.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [each["SubnetId"] for each in cloud.client("ec2").describe_subnets()["Subnets"]]
        needs = {
            "/cdk-bootstrap/hnb659fds/version": "21",
            "/v3-backend/dev/network/vpcId": vpc,
            "/v3-backend/dev/network/privateSubnetIds": ",".join(subnets[:2]),
            "/v3-backend/dev/compute/taskSecurityGroupId": "sg-00000000",
        }
        for name, value in needs.items():
            cloud.client("ssm").put_parameter(Name=name, Value=value, Type="String")
        flags = json.loads((ROOT / "cdk.json").read_text())["context"]
        app = cdk_app.build({**flags, "aws:cdk:bundling-stacks": [], "environment": "dev"})
        assembly, cloudformation = app.synth(), cloud.client("cloudformation")
        for part in ("dynamodb", "aurora"):
            name = f"v3-backend-dev-{part}"
            body = json.dumps(assembly.get_stack_by_name(name).template)
            cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])
            cloudformation.get_waiter("stack_create_complete").wait(
                StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
            )
        yield cloud


def typed(environment: Mapping[str, str], *script: str, **variables: str) -> str:
    """Run lines of the guide in bash, with the emulated account's AWS CLI."""
    path = os.pathsep.join([str(TOOLS / "bin"), environment["PATH"]])
    # Not every service of the CLI takes the endpoint from its environment.
    with_endpoint = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join([with_endpoint, *script])],
        env={**environment, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def described(cloud: Cloud, table: str = TABLE) -> Json:
    client = cloud.client("dynamodb")
    expiry = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    recovery = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return {
        "keys": client.describe_table(TableName=table)["Table"]["KeySchema"],
        "expiry": (expiry["TimeToLiveStatus"], expiry.get("AttributeName")),
        "recovery": recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        "items": client.scan(TableName=table)["Items"],
    }


def test_a_table_is_restored_beside_the_old_one_and_under_its_name(account: Cloud) -> None:
    client = account.client("dynamodb")
    before = described(account)
    item = {each["AttributeName"]: {"S": "one"} for each in before["keys"]}
    client.put_item(TableName=TABLE, Item=item)
    before = described(account)
    beside, under = blocks("DynamoDB")
    typed(account.environment, beside)
    client.delete_item(TableName=TABLE, Key=item)
    assert described(account)["items"] == []
    assert described(account, f"{TABLE}-restored")["items"] == [item]
    # All of it: the old table goes, and the copy's backup comes under the old name.
    client.delete_table(TableName=TABLE)
    backup, *rest = under.partition("aws dynamodb restore-table-from-backup")
    arn = json.loads(typed(account.environment, f"table={TABLE}", backup))["BackupDetails"]["BackupArn"]
    typed(account.environment, f"table={TABLE}", "".join(rest), BACKUP=arn)
    assert described(account) == before


def test_the_old_cluster_says_what_the_restored_one_is_given(account: Cloud) -> None:
    restore, _ = blocks("PostgreSQL")
    names, look, *_ = restore.splitlines()
    asked = re.findall(r"\$\(describe '?([\w.\[\]]+)'?\)", restore)
    assert len(asked) == 3
    # The emulator does not tell a cluster's parameter group; the walk on moto asks for it.
    for each in set(asked) - {"DBClusterParameterGroup"}:
        assert typed(account.environment, names, look, f"describe '{each}'").strip() not in ("", "None")
    snapshot = blocks("Migrations")[0]
    assert json.loads(typed(account.environment, snapshot))["DBClusterSnapshot"]["DBClusterIdentifier"] == CLUSTER


def test_what_an_account_alone_can_show_is_what_the_emulator_lacks(account: Cloud) -> None:
    with pytest.raises(ClientError, match="InvalidAction"):
        account.client("rds").restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier=CLUSTER, DBClusterIdentifier=f"{CLUSTER}-restored", UseLatestRestorableTime=True
        )


class ToMoto(BaseHTTPRequestHandler):
    """Hands the requests of the AWS CLI to moto in this process: moto's own server is not installed."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # The scope of the signature names the service.
        service = re.findall(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", self.headers["Authorization"])[0]
        url = f"https://{service}.{REGION}.amazonaws.com/"
        request = AWSPreparedRequest("POST", url, dict(self.headers), body, stream_output=False)
        answer = botocore_stubber.process_request(request)
        assert answer is not None
        status, headers, content = answer
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@pytest.fixture
def moto_account(account: Cloud) -> Iterator[Cloud]:
    """An account in moto with a cluster of the same names."""
    old = account.client("rds").describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]
    server = ThreadingHTTPServer(("127.0.0.1", 0), ToMoto)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        cloud = Cloud(f"http://127.0.0.1:{server.server_port}", config.load("dev"))
        rds, ec2 = cloud.client("rds"), cloud.client("ec2")
        subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
        group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        rds.create_db_subnet_group(DBSubnetGroupName=CLUSTER, DBSubnetGroupDescription="data", SubnetIds=subnets[:2])
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=CLUSTER, DBParameterGroupFamily="aurora-postgresql16", Description="data"
        )
        rds.create_db_cluster(
            DBClusterIdentifier=CLUSTER, Engine=old["Engine"], MasterUsername="owner", ManageMasterUserPassword=True,
            DBSubnetGroupName=CLUSTER, VpcSecurityGroupIds=[group], DBClusterParameterGroupName=CLUSTER,
        )  # fmt: skip
        rds.create_db_instance(
            DBClusterIdentifier=CLUSTER, DBInstanceIdentifier=f"{CLUSTER}-0", DBInstanceClass="db.serverless",
            Engine=old["Engine"],
        )  # fmt: skip
        cloud.client("ssm").put_parameter(Name="/v3-backend/dev/aurora/secretArn", Value="the old one", Type="String")
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_cluster_is_restored_beside_the_old_one_and_takes_its_name(moto_account: Cloud) -> None:
    rds, (restore, rename) = moto_account.client("rds"), blocks("PostgreSQL")
    names, look, *_ = restore.splitlines()
    typed(moto_account.environment, restore)
    old, new = (
        rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0] for name in (CLUSTER, f"{CLUSTER}-restored")
    )
    for key in ("DBSubnetGroup", "VpcSecurityGroups", "DBClusterParameterGroup", "Engine"):
        assert new[key] == old[key], key
    # The deploy of the stage is the stacks' own part, of another chapter.
    typed(moto_account.environment, names, look, 'stepship() { echo "$@"; }', rename)
    clusters = {
        each["DBClusterIdentifier"]: each["DbClusterResourceId"] for each in rds.describe_db_clusters()["DBClusters"]
    }
    assert clusters == {CLUSTER: new["DbClusterResourceId"], f"{CLUSTER}-before": old["DbClusterResourceId"]}
    instances = {each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]}
    assert instances == {f"{CLUSTER}-0", f"{CLUSTER}-before-0"}
    told = moto_account.client("ssm").get_parameter(Name="/v3-backend/dev/aurora/secretArn")["Parameter"]["Value"]
    assert told.startswith("arn:aws:secretsmanager:")

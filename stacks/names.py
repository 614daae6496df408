"""The names by which the stacks of one environment find each other. No CDK in here: names are text."""

from __future__ import annotations

from dataclasses import dataclass

from config import EnvironmentConfig


@dataclass(frozen=True)
class Names:
    """Names and parameters of one environment; the names of the deployer itself are in ``Identity``."""

    settings: EnvironmentConfig

    @property
    def prefix(self) -> str:
        """Beginning of every name: ``v3-backend-dev``."""
        return f"{self.settings.app}-{self.settings.environment}"

    def stack(self, part: str) -> str:
        """Return the name of a stack: ``v3-backend-dev-network``."""
        return f"{self.prefix}-{part}"

    # What the services are called: the deployer's functions are limited to these.

    @property
    def cluster(self) -> str:
        """The ECS cluster, and beginning of the names of services and families: ``v3-backend-dev``."""
        return self.prefix

    def service(self, name: str) -> str:
        """Return the name of an ECS service, and of its task definition family: ``v3-backend-dev-api``."""
        return f"{self.prefix}-{name}"

    def container(self, name: str) -> str:
        """Return the name of a service's container: ``v3-backend-api``."""
        return f"{self.settings.app}-{name}"

    @property
    def repository(self) -> str:
        """The ECR repository, shared by the environments of an account: ``v3-backend``."""
        return self.settings.image.repositories[0]

    @property
    def role_path(self) -> str:
        """IAM path of the roles that tasks carry; the deployer may pass these alone."""
        return self.settings.permissions.role_path

    def log_group(self, name: str) -> str:
        """Return the log group of a service: ``/v3-backend/dev/api``."""
        return f"{self.settings.permissions.log_group_prefix}{name}"

    @property
    def subgraph_keys(self) -> str:
        """The secret with the API keys of the subgraphs: ``v3-backend/dev/thegraph``."""
        return f"{self.settings.permissions.secret_prefix}thegraph"

    @property
    def subgraph_keys_arn(self) -> str:
        """Published by compute-shared: the secret's whole ARN, which a reference to one of its keys needs."""
        return f"{self.parameter_path}compute/subgraphKeysArn"

    @property
    def pools_table(self) -> str:
        """The table that the worker fills and the API reads."""
        return f"{self.prefix}-pools"

    @property
    def jobs_queue(self) -> str:
        """The queue between scheduler and worker; ``-dead`` holds the jobs that failed."""
        return f"{self.prefix}-jobs"

    def alarm(self, name: str) -> str:
        """Return the name of an alarm: ``v3-backend-dev-api-5xx``."""
        return f"{self.prefix}-{name}"

    @property
    def alerts_topic(self) -> str:
        """The coordinator's topic, to which whoever is on call subscribes: ``v3-backend-dev-deploy-alerts``."""
        return f"{self.prefix}-deploy-alerts"

    # Roles of the workflows.

    @property
    def code_role(self) -> str:
        """The role of the workflow that deploys code."""
        return f"{self.prefix}-github-code"

    @property
    def infra_role(self) -> str:
        """The role of the workflow that deploys infrastructure."""
        return f"{self.prefix}-github-infra"

    # Parameters by which a stack hands over what only AWS can name.

    @property
    def parameter_path(self) -> str:
        """Beginning of all parameters: ``/v3-backend/dev/``."""
        return f"/{self.settings.app}/{self.settings.environment}/"

    @property
    def vpc_id(self) -> str:
        """Published by the network."""
        return f"{self.parameter_path}network/vpcId"

    @property
    def public_subnet_ids(self) -> str:
        """Published by the network; one per zone, with commas between."""
        return f"{self.parameter_path}network/publicSubnetIds"

    @property
    def private_subnet_ids(self) -> str:
        """Published by the network; one per zone, with commas between."""
        return f"{self.parameter_path}network/privateSubnetIds"

    @property
    def load_balancer_name(self) -> str:
        """Published by compute-shared: the ``app/name/id`` that metrics and scaling know it by."""
        return f"{self.parameter_path}compute/loadBalancerFullName"

    @property
    def load_balancer_address(self) -> str:
        """Published by compute-shared: its DNS name."""
        return f"{self.parameter_path}compute/loadBalancerAddress"

    @property
    def listener_arn(self) -> str:
        """Published by compute-shared: the listener to which the API adds its rule."""
        return f"{self.parameter_path}compute/listenerArn"

    @property
    def api_security_group(self) -> str:
        """Published by compute-shared: lets the load balancer in on the API's port."""
        return f"{self.parameter_path}compute/apiSecurityGroupId"

    @property
    def task_security_group(self) -> str:
        """Published by compute-shared: lets nobody in; worker, scheduler and migration have it."""
        return f"{self.parameter_path}compute/taskSecurityGroupId"

    @property
    def namespace_id(self) -> str:
        """Published by compute-shared: the Cloud Map namespace ``<environment>.<app>.internal``."""
        return f"{self.parameter_path}compute/namespaceId"

    @property
    def namespace(self) -> str:
        """Name of the Cloud Map namespace, known without a look-up."""
        return f"{self.settings.environment}.{self.settings.app}.internal"

    # Search.

    @property
    def search_image(self) -> str:
        """Published by search-infra: the image that the search service runs."""
        return f"{self.parameter_path}search/image"

    @property
    def search_file_system_id(self) -> str:
        """Published by search-infra: where the search server keeps its data."""
        return f"{self.parameter_path}search/fileSystemId"

    @property
    def search_access_point_id(self) -> str:
        """Published by search-infra: the folder of the file system, and the user who writes there."""
        return f"{self.parameter_path}search/accessPointId"

    @property
    def search_key(self) -> str:
        """The secret with the search server's API key: ``v3-backend/dev/search``."""
        return f"{self.settings.permissions.secret_prefix}search"

    @property
    def search_key_arn(self) -> str:
        """Published by search-infra: the secret's whole ARN."""
        return f"{self.parameter_path}search/keyArn"

    @property
    def search_server_security_group(self) -> str:
        """Published by search-infra: lets the clients in on the server's port."""
        return f"{self.parameter_path}search/serverSecurityGroupId"

    @property
    def search_client_security_group(self) -> str:
        """Published by search-infra: whoever is in it may talk to the search server."""
        return f"{self.parameter_path}search/clientSecurityGroupId"

    @property
    def search_url(self) -> str:
        """Where the search server answers inside the VPC, known without a look-up."""
        return f"http://search.{self.namespace}:{SEARCH_PORT}"

    @property
    def search_queue(self) -> str:
        """The queue of what is to be indexed; ``-dead`` holds what could not be."""
        return f"{self.prefix}-search"

    @property
    def search_query_function_arn(self) -> str:
        """Published by search-lambda: the function that answers searches; for the API in front of it."""
        return f"{self.parameter_path}search/queryFunctionArn"

    @property
    def database_name(self) -> str:
        """The database in the cluster: ``v3_backend_db``; PostgreSQL would want a hyphen in quotes.

        With the ending it is no word that PostgreSQL or RDS keeps for itself, whatever the app is called: ``user``.
        """
        return f"{self.settings.app.replace('-', '_')}_db"

    @property
    def database_endpoint(self) -> str:
        """Published by aurora: the writer's address."""
        return f"{self.parameter_path}aurora/endpoint"

    @property
    def database_port(self) -> str:
        """Published by aurora."""
        return f"{self.parameter_path}aurora/port"

    @property
    def database_secret_arn(self) -> str:
        """Published by aurora: the secret with ``username`` and ``password``, which RDS keeps and changes."""
        return f"{self.parameter_path}aurora/secretArn"

    @property
    def database_client_security_group(self) -> str:
        """Published by aurora: whoever has it may connect to PostgreSQL."""
        return f"{self.parameter_path}aurora/clientSecurityGroupId"

    @property
    def application_table(self) -> str:
        """The application's table, ``v3-backend-dev-data``."""
        return f"{self.prefix}-data"

    @property
    def application_table_arn(self) -> str:
        """Published by dynamodb."""
        return f"{self.parameter_path}dynamodb/tableArn"

    # Functions, API and page.

    @property
    def read_item_function_arn(self) -> str:
        """Published by lambda: the function behind ``GET /items/{id}``."""
        return f"{self.parameter_path}functions/readItemArn"

    @property
    def write_item_function_arn(self) -> str:
        """Published by lambda: the function behind ``PUT /items/{id}``."""
        return f"{self.parameter_path}functions/writeItemArn"

    @property
    def http_api_url(self) -> str:
        """Published by api-gateway: ``https://<id>.execute-api.<region>.amazonaws.com``, without a slash at its end."""
        return f"{self.parameter_path}apiGateway/url"

    @property
    def site_bucket(self) -> str:
        """Published by frontend: the bucket to which the page's files are copied."""
        return f"{self.parameter_path}frontend/bucket"

    @property
    def site_distribution_id(self) -> str:
        """Published by frontend: the distribution that keeps copies of them."""
        return f"{self.parameter_path}frontend/distributionId"

    @property
    def site_url(self) -> str:
        """Published by frontend: where people find the page, ``https://…``."""
        return f"{self.parameter_path}frontend/url"

    @property
    def connection_arn(self) -> str:
        """Published by cicd: the connection to the repository, which both pipelines read."""
        return f"{self.parameter_path}pipeline/connectionArn"

    @property
    def exec_log_group(self) -> str:
        """What people typed into running tasks (ECS Exec); outside the prefix that the deployer may read."""
        return f"/aws/ecs/{self.prefix}/exec"


API_PORT = 8080
"""Where the API's container listens, in the image and in its placeholder."""

SEARCH_PORT = 8108
"""Where Typesense listens unless told otherwise (Typesense 28.0, "Server configuration")."""

DATABASE_PORT = 5432
"""Where PostgreSQL listens unless told otherwise."""

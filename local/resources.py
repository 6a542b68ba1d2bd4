"""Creates what infra/ creates in Azure: the blob container, the database and its containers.

`python -m local.resources FILE` does so in the accounts that a local.settings.json names by string and key.
"""

import contextlib
import json
import sys
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.cosmos import CosmosClient, PartitionKey
from azure.storage.blob import BlobServiceClient, CorsRule

INFRA = Path(__file__).parent.parent / "infra"
SERVICE_BUS_FILE = INFRA / "service_bus.json"


def create_blob_container(connection: str, name: str) -> None:
    """Create the blob container, and let pages of other origins PUT: the SAS says what they may write."""
    with BlobServiceClient.from_connection_string(connection) as service:
        with contextlib.suppress(ResourceExistsError):
            service.create_container(name)
        rule = CorsRule(["*"], ["PUT"], allowed_headers=["*"], max_age_in_seconds=3600)
        service.set_service_properties(cors=[rule])


def create_cosmos_containers(endpoint: str, key: str) -> None:
    """Create the database and the containers of infra/cosmos.json if they are not there."""
    definition = json.loads((INFRA / "cosmos.json").read_text(encoding="utf-8"))
    with CosmosClient(endpoint, key) as client:
        database = client.create_database_if_not_exists(definition["database"])
        for container in definition["containers"]:
            partition = container["partitionKey"]
            database.create_container_if_not_exists(
                container["id"],
                PartitionKey(partition["paths"][0], kind=partition["kind"], version=partition["version"]),
                indexing_policy=container["indexingPolicy"],
                default_ttl=container.get("defaultTtl"),
            )


if __name__ == "__main__":
    values = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["Values"]
    create_blob_container(values["AUDIO_STORAGE"], values.get("AUDIO_CONTAINER", "audio-files"))
    create_cosmos_containers(values["COSMOS_ENDPOINT"], values["COSMOS_KEY"])

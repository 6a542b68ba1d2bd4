"""Creates what infra/ creates in Azure: the blob container, the database and its containers.

The supervisor does so for the laptop cloud; the command `python -m local.resources` for Microsoft's emulators
or an Azure account, from local.settings.json.
"""

import argparse
import contextlib
import json
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


def main() -> None:
    """Create all in the accounts that a settings file names by connection string and key."""
    parser = argparse.ArgumentParser(prog="python -m local.resources", description=main.__doc__)
    parser.add_argument("--settings", type=Path, default=Path("local.settings.json"))
    values = json.loads(parser.parse_args().settings.read_text(encoding="utf-8"))["Values"]
    create_blob_container(values["AUDIO_STORAGE"], values.get("AUDIO_CONTAINER", "audio-files"))
    create_cosmos_containers(values["COSMOS_ENDPOINT"], values["COSMOS_KEY"])


if __name__ == "__main__":
    main()

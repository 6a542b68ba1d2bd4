"""Each call that the code makes has its role, and nobody has a role that no call needs."""

import ast

from tests.infra.bicep import FILES, INFRA, Expression, all_resources, template, value_of, walk

ROOT = INFRA.parent
ROLES = template(INFRA / "modules" / "roles.bicep")
CODE = {"app": ("shared", "functions"), "worker": ("gpu_worker",)}

BUILT_IN = {
    "acrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "acrTasksContributor": "fb382eab-e894-4461-af04-94435c366c3f",
    "containerAppsContributor": "358470bc-b998-42bd-ab17-a7e34c199c0f",
    "containerAppsJobsContributor": "4e3d2b60-56ae-4dc6-a233-09c8e5a82e68",
    "eventSubscriptionContributor": "428e0ff0-5e57-4d9c-a221-2c70d0e0a443",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "serviceBusDataOwner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "serviceBusDataReceiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "serviceBusDataSender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "websiteContributor": "de139f84-1756-47ae-9be6-808fbbe84772",
}
"""Azure's own roles, by the ids that its documentation gives."""

# What a call of an SDK needs: a resource of roles.bicep (or how its name begins), and the roles of which one
# does, the least of them first.
BLOBS = ("onAudio", ("storageBlobDataContributor", "storageBlobDataOwner"))
SIGNING = ("onAudioStorage", ("storageBlobDataContributor", "storageBlobDataOwner"))
TRIGGER = ("onAudioStorage", ("storageBlobDataOwner",))  # so says the documentation of the blob trigger
RECEIVING = ("onQueue", ("serviceBusDataReceiver",))
SENDING = ("onQueue", ("serviceBusDataSender",))
RECORDS = ("onCosmos", ("cosmosDataContributor",))
HOST_BLOBS = ("onHostStorage", ("storageBlobDataOwner",))
HOST_QUEUES = ("onHostStorage", ("storageQueueDataContributor",))
HOST_TABLES = ("onHostStorage", ("storageTableDataContributor",))
POISON_QUEUE = ("onAudioStorage", ("storageQueueDataContributor",))
THE_API = ("onApi", ("signInRoleIds.worker",))

NEEDS = {
    # azure.storage.blob
    "delete_blob": (BLOBS,),
    "download_blob": (BLOBS,),
    "get_blob_properties": (BLOBS,),
    "get_container_properties": (BLOBS,),
    "get_user_delegation_key": (SIGNING,),
    "list_blob_names": (BLOBS,),
    "list_blobs": (BLOBS,),
    "upload_blob": (BLOBS,),
    # azure.cosmos
    "create_item": (RECORDS,),
    "delete_item": (RECORDS,),
    "execute_item_batch": (RECORDS,),
    "query_items": (RECORDS,),
    "read_item": (RECORDS,),
    "replace_item": (RECORDS,),
    "upsert_item": (RECORDS,),
    # azure.servicebus
    "abandon_message": (RECEIVING,),
    "complete_message": (RECEIVING,),
    "create_message_batch": (SENDING,),
    "dead_letter_message": (RECEIVING,),
    "peek_messages": (RECEIVING,),
    "receive_messages": (RECEIVING,),
    "send_messages": (SENDING,),
    # triggers of the Functions host
    "activity_trigger": (HOST_BLOBS, HOST_QUEUES, HOST_TABLES),
    "blob_trigger": (TRIGGER, POISON_QUEUE, HOST_BLOBS),
    "durable_client_input": (HOST_BLOBS, HOST_QUEUES, HOST_TABLES),
    "orchestration_trigger": (HOST_BLOBS, HOST_QUEUES, HOST_TABLES),
    "route": (),
    "service_bus_queue_trigger": (RECEIVING,),
    "timer_trigger": (HOST_BLOBS,),
    # the API itself
    "get_token": (THE_API,),
}
"""By the method that is called."""

BEYOND_CODE = {
    ("app", "onInsights", "monitoringMetricsPublisher"): "telemetry",
    ("worker", "onInsights", "monitoringMetricsPublisher"): "telemetry",
    ("worker", "onRegistry", "acrPull"): "the platform pulls the image as the worker",
    (
        "scaler",
        "onServiceBus",
        "serviceBusDataOwner",
    ): "the scaler reads the length of the queue, which is management",
    ("deployment", "onRegistry", "acrPull"): "the hook before azd deploy looks for the image built last",
    ("deployment", "onRegistry", "acrTasksContributor"): "it has the image built by the registry",
    ("deployment", "onFunctionApp", "websiteContributor"): "azd deploy, and the key for Event Grid",
    ("deployment", "onSystemTopic", "eventSubscriptionContributor"): "the hook after it",
    ("deployment", "onGroup", "reader"): "azd looks for its resources",
    (
        "deployment",
        "onGroup",
        "containerAppsContributor",
    ): "it gives the image to the worker, WORKER_MODE=serve",
    (
        "deployment",
        "onGroup",
        "containerAppsJobsContributor",
    ): "it gives the image to the worker, WORKER_MODE=drain",
    ("developer", "onAudioStorage", "storageBlobDataContributor"): "DEVELOPER_ACCESS",
    ("developer", "onQueue", "serviceBusDataSender"): "DEVELOPER_ACCESS",
    ("developer", "onQueue", "serviceBusDataReceiver"): "DEVELOPER_ACCESS",
    ("developer", "onCosmos", "cosmosDataContributor"): "DEVELOPER_ACCESS",
    ("developer", "onApi", "signInRoleIds.read"): "whoever ran azd uses the library",
    ("developer", "onApi", "signInRoleIds.write"): "whoever ran azd uses the library",
}
"""Who has which role where without a call in the code, and why."""


def granted() -> set[tuple[str, str, str]]:
    """Return who has which role where: every row of every table of roles.bicep."""
    found = set()
    for resource in ROLES.resources:
        if resource.is_existing:
            continue
        items = resource.value.items
        rows = (
            items
            if isinstance(items, list)
            else [value_of(n) for n in walk(items.node) if n.type == "object"]
        )
        for row in rows:
            found.add(
                (
                    row["to"].text.removesuffix("PrincipalId"),
                    resource.symbol,
                    row["role"].text.removeprefix("roles."),
                )
            )
    return found


def calls(folder: str) -> dict[str, set[str]]:
    """Return the Azure calls in a folder, with the files that make them."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        if not any(module.startswith(("azure", "shared.storage")) for module in imports(tree)):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and is_azure(node.func.attr)
            ):
                found.setdefault(node.func.attr, set()).add(str(path.relative_to(ROOT)))
    return found


def imports(tree: ast.AST) -> list[str]:
    """Return the modules that a file imports."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found


def sdk_methods() -> set[str]:
    """Return every method of the SDKs' clients that asks a service, and the decorators that make triggers."""
    import azure.cosmos
    import azure.durable_functions as df
    import azure.servicebus
    import azure.servicebus.management
    import azure.storage.blob
    from azure.core.credentials import TokenCredential

    clients = (
        azure.storage.blob.BlobServiceClient,
        azure.storage.blob.ContainerClient,
        azure.storage.blob.BlobClient,
        azure.storage.blob.BlobLeaseClient,
        azure.cosmos.CosmosClient,
        azure.cosmos.DatabaseProxy,
        azure.cosmos.ContainerProxy,
        azure.servicebus.ServiceBusSender,
        azure.servicebus.ServiceBusReceiver,
        azure.servicebus.management.ServiceBusAdministrationClient,
        TokenCredential,
    )
    methods = {name for client in clients for name in dir(client) if not name.startswith("_")}
    triggers = {
        name
        for name in dir(df.Blueprint)
        if name.endswith(("_trigger", "_input", "_output")) or name == "route"
    }
    return (methods | triggers) - LOCAL


LOCAL = {
    # make an object, or are those of every object: no request
    *("close", "copy", "from_blob_url", "from_connection_string", "from_container_url", "get_blob_client"),
    *(
        "get_container_client",
        "get_database_client",
        "get_queue_client",
        "get_service_client",
        "from_queue_url",
    ),
    # names of many things that are none of Azure's
    *(
        "read",
        "id",
        "url",
        "next",
        "exists",
        "session",
        "primary_endpoint",
        "function_name",
        "client_connection",
    ),
}


def is_azure(method: str) -> bool:
    """Return whether a method of this name is one of the SDKs'."""
    return method in SDK


SDK = sdk_methods()


def test_every_call_of_an_sdk_has_a_row():
    """A call of a new kind must say what role it needs."""
    for folders in CODE.values():
        for folder in folders:
            unknown = {name: files for name, files in calls(folder).items() if name not in NEEDS}
            assert not unknown, f"no row in NEEDS for {unknown}"


def test_what_the_code_calls_is_granted_and_what_is_granted_is_called():
    """Of several roles that would do, the least, unless another call needs more."""
    given = granted()
    accounted = set(BEYOND_CODE)
    for who, folders in CODE.items():
        called = sorted({name for folder in folders for name in calls(folder)})
        needs = sorted({need for name in called for need in NEEDS[name]}, key=lambda need: len(need[1]))
        for where, roles in needs:
            held = {row for row in given if row[0] == who and row[1].startswith(where) and row[2] in roles}
            assert held, f"{who} has none of {roles} {where}"
            if not held & accounted:
                accounted |= {row for row in held if row[2] == roles[0]}
    assert accounted == given


def test_the_rows_are_of_use():
    called = {name for folders in CODE.values() for folder in folders for name in calls(folder)}
    assert called == set(NEEDS)


def test_role_ids_are_those_of_azure():
    assert ROLES.variables["roles"] == BUILT_IN
    assert ROLES.variables["cosmosDataContributor"] == "00000000-0000-0000-0000-000000000002"


def test_roles_are_given_in_one_file_under_names_that_follow_from_them():
    kinds = ("Microsoft.Authorization/roleAssignments", "sqlRoleAssignments", "appRoleAssignedTo")
    for file, resource in all_resources():
        assert resource.type.endswith(kinds) == (file is ROLES), (file.path.name, resource.symbol)
        if file is not ROLES or resource.type.startswith("Microsoft.Graph/"):
            continue
        name, scope = resource.body["name"], resource.body.get("scope", resource.body.get("parent"))
        where = scope.text if scope else "resourceGroup()"
        assert name == Expression(f"guid({where}.id, grant.to, grant.role)", name.node)
        assert resource.properties["principalId"].text == "grant.to"
        assert "grant.role" in resource.properties["roleDefinitionId"].text


def test_nobody_may_change_roles():
    """Neither of these is in the table: Owner, Contributor, User Access Administrator, RBAC Administrator."""
    powerful = {
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    }
    for path in FILES:
        assert not any(role in path.read_text() for role in powerful)

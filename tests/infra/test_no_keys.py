"""Nothing needs a key, and nothing is open to the public that need not be."""

import re

import pytest

from tests.infra.bicep import FILES, INFRA, Expression, all_resources, template, text, walk, walk_values

WRITTEN = [
    *FILES,
    *sorted((INFRA / "hooks").glob("*.sh")),
    INFRA / "main.parameters.json",
    INFRA.parent / "azure.yaml",
]

SECRETS = re.compile(
    r"listKeys|listSecrets|listCredentials|listConnectionStrings|listAccountSas|listServiceSas|sharedKey\b|"
    r"AccountKey|SharedAccessKey|InstrumentationKey|primaryKey|secondaryKey|[Pp]assword|@secure|clientSecret\b|sig=|"
    r"(?<![A-Za-z])[A-Za-z0-9+/]{43}=|(?<![A-Za-z])[A-Za-z0-9+/]{86}=="
)
FORCED = {
    "subscribe_to_uploads.sh": "the Functions host guards its webhook for blob events by its own key and "
    "takes no token there. It is read after deployment, opens that webhook alone, and is never printed",
}
"""Where Azure leaves no other way."""

LOCAL_AUTHENTICATION = {
    "Microsoft.Storage/storageAccounts": ("allowSharedKeyAccess", False),
    "Microsoft.ServiceBus/namespaces": ("disableLocalAuth", True),
    "Microsoft.DocumentDB/databaseAccounts": ("disableLocalAuth", True),
    "Microsoft.ContainerRegistry/registries": ("adminUserEnabled", False),
    "Microsoft.Insights/components": ("DisableLocalAuth", True),
    "Microsoft.OperationalInsights/workspaces": ("features.disableLocalAuth", True),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("allow", False),
}
NO_LOCAL_AUTHENTICATION = {
    *("Microsoft.App/containerApps", "Microsoft.App/jobs", "Microsoft.App/managedEnvironments"),
    *("Microsoft.Consumption/budgets", "Microsoft.EventGrid/systemTopics", "Microsoft.Insights/actionGroups"),
    *("Microsoft.Insights/diagnosticSettings", "Microsoft.Insights/metricAlerts"),
    *("Microsoft.Insights/scheduledQueryRules", "Microsoft.Insights/workbooks"),
    *("Microsoft.Network/networkSecurityGroups", "Microsoft.Network/privateDnsZones"),
    *("Microsoft.Network/privateEndpoints", "Microsoft.Network/virtualNetworks"),
    *("Microsoft.Resources/resourceGroups", "Microsoft.Web/serverfarms", "Microsoft.Web/sites"),
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    *(
        "Microsoft.Graph/applications",
        "Microsoft.Graph/servicePrincipals",
        "Microsoft.Graph/appRoleAssignedTo",
    ),
    "Microsoft.Authorization/roleAssignments",
}
"""Kinds of resource that have none to be switched off."""


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_no_key_is_asked_for_or_written_down(path):
    """Comments may speak of keys."""
    code = re.sub(r"(?m)(^|\s)(//|#).*$", "", path.read_text())
    assert not SECRETS.search(code), SECRETS.search(code)
    asks = re.search(r"\bkeys list\b|systemKeys", code)
    assert bool(asks) == (path.name in FORCED)


def test_local_authentication_is_off_everywhere():
    seen = set()
    for file, resource in all_resources():
        kind = resource.type
        if kind in LOCAL_AUTHENTICATION:
            name, value = LOCAL_AUTHENTICATION[kind]
            found = resource.properties
            for part in name.split("."):
                found = found[part]
            assert found is value, (file.path.name, kind, name)
            seen.add(kind)
        else:
            parents = {"/".join(kind.split("/")[:2])} & LOCAL_AUTHENTICATION.keys()
            assert parents or kind in NO_LOCAL_AUTHENTICATION or kind.count("/") > 1, kind
    assert seen == LOCAL_AUTHENTICATION.keys()


def test_publishing_by_password_is_off_for_both_doors():
    functions = template(INFRA / "modules" / "functions.bicep")
    doors = [r for r in functions.resources if r.type.endswith("basicPublishingCredentialsPolicies")]
    assert {door.body["name"] for door in doors} == {"ftp", "scm"}
    site = functions.resource("app").properties
    assert site["httpsOnly"] is True
    assert site["siteConfig"]["ftpsState"] == "Disabled"


def test_no_blob_is_public_and_transport_is_encrypted():
    storage = template(INFRA / "modules" / "storage.bicep")
    account = storage.resource("account").properties
    assert account["allowBlobPublicAccess"] is False
    assert account["supportsHttpsTrafficOnly"] is True
    assert storage.resource("container").properties == {"publicAccess": "None"}
    versions = [
        value
        for _, resource in all_resources()
        for path, value in walk_values(resource.value)
        if re.search(r"min\w*Tls\w*$", path, re.IGNORECASE)
    ]
    assert len(versions) >= 5
    assert set(versions) <= {"TLS1_2", "1.2", "Tls12"}


def test_the_worker_cannot_be_called():
    worker = template(INFRA / "modules" / "worker.bicep")
    for symbol in ("job", "app"):
        assert "ingress" not in worker.resource(symbol).properties["configuration"]
    assert worker.resource("job").properties["configuration"]["identitySettings"][1]["lifecycle"] == "None"


def test_one_switch_closes_what_keeps_data():
    """Public network access of accounts follows it, and each of them then has its private endpoints."""
    endpoints = template(INFRA / "modules" / "private_endpoints.bicep")
    ids = {row["resourceId"].text for row in endpoints.variables["endpoints"]}
    assert ids == {name for name in endpoints.required if name.endswith("Id")} - {"networkId", "subnetId"}
    assert {row["zone"] for row in endpoints.variables["endpoints"]} == endpoints.variables["zones"].keys()
    for name, symbol in (("storage", "account"), ("cosmos", "account"), ("service_bus", "namespace")):
        file = template(INFRA / "modules" / f"{name}.bicep")
        access = file.resource(symbol).properties["publicNetworkAccess"]
        assert isinstance(access, Expression)
        assert access.text in ("publicNetworkAccess", "isPrivate ? 'Disabled' : 'Enabled'")
    main = (INFRA / "main.bicep").read_text()
    assert "var publicNetworkAccess = privateNetworking ? 'Disabled' : 'Enabled'" in main


def test_sign_in_has_no_secret_and_no_route_relies_on_it_alone():
    """The setting that Azure calls a client secret's holds the id of an identity."""
    functions = template(INFRA / "modules" / "functions.bicep")
    sign_in = functions.resource("signIn").properties
    directory = sign_in["identityProviders"]["azureActiveDirectory"]
    setting = directory["registration"]["clientSecretSettingName"]
    assert functions.resource("settings").properties[setting].text == "identity.clientId"
    assert functions.resource("settings").properties["AUTH_MODE"] == "roles"
    assert sign_in["platform"]["enabled"] is True
    application = template(INFRA / "modules" / "sign_in.bicep")
    names = {text(node) for node in walk(application.root) if node.type == "identifier"}
    assert not names & {"passwordCredentials", "keyCredentials"}


def test_app_roles_are_those_of_the_code():
    from functions.roles import Role

    roles = template(INFRA / "modules" / "sign_in.bicep").variables["roles"]
    assert {role["value"] for role in roles} == set(Role)
    # No user can be the worker.
    assert [role["members"] for role in roles if role["value"] == Role.WORKER] == [["Application"]]

// Every role that anybody in this deployment has, and nothing else gives any. Each row of a table is one assignment: to
// whom, which role; the resource says on what. tests/infra/test_roles.py holds the table of the code's calls against it.
extension microsoftGraphV1

param appPrincipalId string
param workerPrincipalId string
param scalerPrincipalId string
param deploymentPrincipalId string
param developerPrincipalId string
param developerPrincipalType string
param developerDataAccess bool
param hostStorageName string
param audioStorageName string
param audioContainer string
param serviceBusName string
param queueName string
param cosmosName string
param registryName string
param applicationInsightsName string
param functionAppName string
param systemTopicName string
param signInServicePrincipalId string
param signInRoleIds object

var roles = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  acrTasksContributor: 'fb382eab-e894-4461-af04-94435c366c3f'
  containerAppsContributor: '358470bc-b998-42bd-ab17-a7e34c199c0f'
  containerAppsJobsContributor: '4e3d2b60-56ae-4dc6-a233-09c8e5a82e68'
  eventSubscriptionContributor: '428e0ff0-5e57-4d9c-a221-2c70d0e0a443'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  reader: 'acdd72a7-3385-48ef-bd42-f606fba81ae7'
  serviceBusDataOwner: '090c5cfd-751d-490a-894a-3ce6f1109419'
  serviceBusDataReceiver: '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
  serviceBusDataSender: '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  websiteContributor: 'de139f84-1756-47ae-9be6-808fbbe84772'
}
// From a pipeline it is the pipeline's identity, which has no need of the library.
var hasDeveloper = !empty(developerPrincipalId) && developerPrincipalType == 'User'
var developerHasData = hasDeveloper && developerDataAccess
var cosmosDataContributor = '00000000-0000-0000-0000-000000000002'

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: hostStorageName
}

resource audioStorage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: audioStorageName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource audio 'containers' existing = {
      name: audioContainer
    }
  }
}

resource serviceBus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusName

  resource queue 'queues' existing = {
    name: queueName
  }
}

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: cosmosName
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registryName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource functionApp 'Microsoft.Web/sites@2024-11-01' existing = {
  name: functionAppName
}

resource systemTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: systemTopicName
}

// The Functions host's own: packages, timers' locks, keys; durable orchestrations' queues and tables.
resource onHostStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: appPrincipalId, type: 'ServicePrincipal', role: roles.storageBlobDataOwner }
    { to: appPrincipalId, type: 'ServicePrincipal', role: roles.storageQueueDataContributor }
    { to: appPrincipalId, type: 'ServicePrincipal', role: roles.storageTableDataContributor }
  ]: {
    name: guid(hostStorage.id, grant.to, grant.role)
    scope: hostStorage
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

// On the account, not the container: keys that sign SAS are the account's, and the trigger's poison queue is in it.
resource onAudioStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in concat(
    [
      { to: appPrincipalId, type: 'ServicePrincipal', role: roles.storageBlobDataOwner }
      { to: appPrincipalId, type: 'ServicePrincipal', role: roles.storageQueueDataContributor }
    ],
    developerHasData ? [
      { to: developerPrincipalId, type: developerPrincipalType, role: roles.storageBlobDataContributor }
    ] : []
  ): {
    name: guid(audioStorage.id, grant.to, grant.role)
    scope: audioStorage
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

resource onAudioContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: workerPrincipalId, type: 'ServicePrincipal', role: roles.storageBlobDataContributor }
  ]: {
    name: guid(audioStorage::blobs::audio.id, grant.to, grant.role)
    scope: audioStorage::blobs::audio
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

// The app receives too: its trigger takes dead letters, its sweep looks for lost messages.
resource onQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in concat(
    [
      { to: appPrincipalId, type: 'ServicePrincipal', role: roles.serviceBusDataSender }
      { to: appPrincipalId, type: 'ServicePrincipal', role: roles.serviceBusDataReceiver }
      { to: workerPrincipalId, type: 'ServicePrincipal', role: roles.serviceBusDataReceiver }
    ],
    developerHasData ? [
      { to: developerPrincipalId, type: developerPrincipalType, role: roles.serviceBusDataSender }
      { to: developerPrincipalId, type: developerPrincipalType, role: roles.serviceBusDataReceiver }
    ] : []
  ): {
    name: guid(serviceBus::queue.id, grant.to, grant.role)
    scope: serviceBus::queue
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

// The scaler asks for the queue's length, which is management: no smaller built-in role has it. On the namespace, whose one
// queue it is, since that is where the role is known to do; if it failed, no worker would ever start, and silently.
resource onServiceBus 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: scalerPrincipalId, type: 'ServicePrincipal', role: roles.serviceBusDataOwner }
  ]: {
    name: guid(serviceBus.id, grant.to, grant.role)
    scope: serviceBus
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

// Cosmos DB's data plane has roles of its own, and takes one change at a time.
@batchSize(1)
resource onCosmos 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [
  for grant in concat(
    [
      { to: appPrincipalId, role: cosmosDataContributor }
    ],
    developerHasData ? [
      { to: developerPrincipalId, role: cosmosDataContributor }
    ] : []
  ): {
    parent: cosmos
    name: guid(cosmos.id, grant.to, grant.role)
    properties: {
      principalId: grant.to
      roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${grant.role}'
      scope: cosmos.id
    }
  }
]

resource onInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: appPrincipalId, type: 'ServicePrincipal', role: roles.monitoringMetricsPublisher }
    { to: workerPrincipalId, type: 'ServicePrincipal', role: roles.monitoringMetricsPublisher }
  ]: {
    name: guid(insights.id, grant.to, grant.role)
    scope: insights
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

resource onRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: workerPrincipalId, type: 'ServicePrincipal', role: roles.acrPull }
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.acrPull }
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.acrTasksContributor }
  ]: {
    name: guid(registry.id, grant.to, grant.role)
    scope: registry
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

// What `azd deploy` and its hooks need from GitHub: they change code and image, never other infrastructure or roles.
resource onFunctionApp 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.websiteContributor }
  ]: {
    name: guid(functionApp.id, grant.to, grant.role)
    scope: functionApp
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

resource onSystemTopic 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.eventSubscriptionContributor }
  ]: {
    name: guid(systemTopic.id, grant.to, grant.role)
    scope: systemTopic
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

resource onGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in [
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.reader }
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.containerAppsContributor }
    { to: deploymentPrincipalId, type: 'ServicePrincipal', role: roles.containerAppsJobsContributor }
  ]: {
    name: guid(resourceGroup().id, grant.to, grant.role)
    properties: {
      principalId: grant.to
      principalType: grant.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
    }
  }
]

// App roles of the API (Entra).
resource onApi 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for grant in concat(
    [
      { to: workerPrincipalId, role: signInRoleIds.worker }
    ],
    hasDeveloper ? [
      { to: developerPrincipalId, role: signInRoleIds.read }
      { to: developerPrincipalId, role: signInRoleIds.write }
    ] : []
  ): {
    principalId: grant.to
    appRoleId: grant.role
    resourceId: signInServicePrincipalId
  }
]

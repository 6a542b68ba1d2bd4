// Stem Library in one resource group: `azd up` deploys this file. README.md says what it makes and what it costs.
targetScope = 'subscription'

@description('Name of the azd environment; all names derive from it.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Region of all resources. The GPU profile of workerHardware must be offered there.')
@minLength(1)
@metadata({ azd: { type: 'location' } })
param location string

@description('Who runs azd: gets the app roles Read and Write, since otherwise nobody could use the library at first.')
param principalId string = ''

@allowed(['User', 'ServicePrincipal'])
param principalType string = 'User'

@description('Also gives principalId the data roles that a development machine against these resources needs.')
param developerAccess bool = false

@description('owner/name of the GitHub repository whose environment `production` may deploy code; none if empty.')
param githubRepository string = ''

@description('What the worker runs on: a T4 or A100 GPU, or 4 cores without a GPU for a trial.')
@allowed(['T4', 'A100', 'CPU'])
param workerHardware string = 'T4'

@description('drain: an event-driven job that empties the queue and ends. serve: an app that waits for work, always warm.')
@allowed(['drain', 'serve'])
param workerMode string = 'drain'

@description('Most workers at a time; each has a GPU of its own.')
@minValue(1)
@maxValue(50)
param maxWorkers int = 2

@description('The worker\'s image; hooks/prepare.sh sets it to what was built last. Empty before the first deployment.')
param workerImage string = ''

@description('Separation model; the image must have its weights.')
param stemModel string = 'htdemucs'

@description('Origins of other pages that may call the API and upload, comma separated.')
param allowedOrigins string = ''

@description('Puts storage, queue and database behind private endpoints; clients then need a way into the network.')
param privateNetworking bool = false

@description('Who gets the alerts by mail; nobody if empty.')
param alertEmail string = ''

@description('Monthly budget of the resource group, in the currency of the bill.')
@minValue(1)
param monthlyBudget int = 200

@description('Month in which the budget begins: that of the first deployment, whose output azd gives to the next ones. It can\'t be changed.')
param budgetMonth string = utcNow('yyyy-MM')

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var functionAppName = 'func-${token}'
var appOrigin = 'https://${functionAppName}.azurewebsites.net'
var audioContainer = 'audio-files'
var deploymentContainer = 'app-package'
var publicNetworkAccess = privateNetworking ? 'Disabled' : 'Enabled'

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: { location: location, tags: tags, token: token, githubRepository: githubRepository }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: { location: location, tags: tags, token: token }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: { location: location, tags: tags, token: token }
}

module hostStorage 'modules/storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'sthost${token}'
    containers: [deploymentContainer]
    publicNetworkAccess: publicNetworkAccess
  }
}

module audioStorage 'modules/storage.bicep' = {
  name: 'audio-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'staudio${token}'
    containers: [audioContainer]
    corsOrigins: concat([appOrigin], empty(allowedOrigins) ? [] : split(replace(allowedOrigins, ' ', ''), ','))
    coolAfterDays: 60
    publicNetworkAccess: publicNetworkAccess
  }
}

module events 'modules/events.bicep' = {
  name: 'events'
  scope: group
  params: { location: location, tags: tags, token: token, storageAccountId: audioStorage.outputs.id }
}

module serviceBus 'modules/service_bus.bicep' = {
  name: 'service-bus'
  scope: group
  params: { location: location, tags: tags, token: token, isPrivate: privateNetworking }
}

module cosmos 'modules/cosmos.bicep' = {
  name: 'cosmos'
  scope: group
  params: { location: location, tags: tags, token: token, publicNetworkAccess: publicNetworkAccess }
}

module registry 'modules/registry.bicep' = {
  name: 'registry'
  scope: group
  params: { location: location, tags: tags, token: token }
}

module signIn 'modules/sign_in.bicep' = {
  name: 'sign-in'
  scope: group
  params: {
    uniqueName: 'stem-library-${token}'
    displayName: 'Stem Library (${environmentName})'
    appOrigin: appOrigin
    trustedPrincipalId: identities.outputs.app.principalId
  }
}

module functions 'modules/functions.bicep' = {
  name: 'functions'
  scope: group
  params: {
    location: location
    tags: tags
    name: functionAppName
    identity: identities.outputs.app
    hostStorageName: hostStorage.outputs.name
    deploymentPackages: '${hostStorage.outputs.blobEndpoint}${deploymentContainer}'
    audioBlobEndpoint: audioStorage.outputs.blobEndpoint
    audioQueueEndpoint: audioStorage.outputs.queueEndpoint
    audioContainer: audioContainer
    serviceBusHost: serviceBus.outputs.host
    queueName: serviceBus.outputs.queueName
    cosmosEndpoint: cosmos.outputs.endpoint
    applicationInsights: monitoring.outputs.connectionString
    signInClientId: signIn.outputs.clientId
    allowedOrigins: allowedOrigins
    subnetId: privateNetworking ? network!.outputs.functionSubnetId : ''
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    appPrincipalId: identities.outputs.app.principalId
    workerPrincipalId: identities.outputs.worker.principalId
    scalerPrincipalId: identities.outputs.scaler.principalId
    deploymentPrincipalId: identities.outputs.deployment.principalId
    developerPrincipalId: principalId
    developerPrincipalType: principalType
    developerDataAccess: developerAccess
    hostStorageName: hostStorage.outputs.name
    audioStorageName: audioStorage.outputs.name
    audioContainer: audioContainer
    serviceBusName: serviceBus.outputs.name
    queueName: serviceBus.outputs.queueName
    cosmosName: cosmos.outputs.name
    registryName: registry.outputs.name
    applicationInsightsName: monitoring.outputs.name
    functionAppName: functions.outputs.name
    systemTopicName: events.outputs.systemTopicName
    signInServicePrincipalId: signIn.outputs.servicePrincipalId
    signInRoleIds: signIn.outputs.roleIds
  }
}

module worker 'modules/worker.bicep' = {
  name: 'worker'
  scope: group
  // Without its roles it could neither be pulled nor scaled.
  dependsOn: [roles]
  params: {
    location: location
    tags: tags
    token: token
    identity: identities.outputs.worker
    scalerIdentityId: identities.outputs.scaler.id
    hardware: workerHardware
    mode: workerMode
    maxWorkers: maxWorkers
    image: workerImage
    registryServer: registry.outputs.server
    workspaceId: monitoring.outputs.workspaceId
    subnetId: privateNetworking ? network!.outputs.workerSubnetId : ''
    serviceBusName: serviceBus.outputs.name
    serviceBusHost: serviceBus.outputs.host
    queueName: serviceBus.outputs.queueName
    audioBlobEndpoint: audioStorage.outputs.blobEndpoint
    audioContainer: audioContainer
    apiBaseUrl: appOrigin
    apiScope: signIn.outputs.scope
    applicationInsights: monitoring.outputs.connectionString
    stemModel: stemModel
  }
}

module privateEndpoints 'modules/private_endpoints.bicep' = if (privateNetworking) {
  name: 'private-endpoints'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    networkId: network!.outputs.id
    subnetId: network!.outputs.endpointSubnetId
    hostStorageId: hostStorage.outputs.id
    audioStorageId: audioStorage.outputs.id
    serviceBusId: serviceBus.outputs.id
    cosmosId: cosmos.outputs.id
    functionAppId: functions.outputs.id
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
    queueName: serviceBus.outputs.queueName
    email: alertEmail
  }
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  scope: group
  params: { email: alertEmail, monthlyBudget: monthlyBudget, budgetMonth: budgetMonth }
}

// azd keeps these as its environment's variables; the hooks and the command `stems` read them.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = registry.outputs.server
output AZURE_FUNCTION_APP_NAME string = functions.outputs.name
output AZURE_WORKER_NAME string = worker.outputs.name
output AZURE_WORKER_KIND string = workerMode == 'drain' ? 'job' : 'app'
output AZURE_DEPLOYMENT_CLIENT_ID string = identities.outputs.deployment.clientId
output AUDIO_CONTAINER string = audioContainer
output AUDIO_SYSTEM_TOPIC string = events.outputs.systemTopicName
output BUDGET_MONTH string = budgetMonth
output SIGN_IN_SERVICE_PRINCIPAL_ID string = signIn.outputs.servicePrincipalId
output STEMS_API string = appOrigin
output STEMS_SCOPE string = signIn.outputs.scope

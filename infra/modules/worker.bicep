// The GPU worker: an event-driven job that empties the queue and ends, or an app that waits for work.
param location string
param tags object
param token string
param identity object
param scalerIdentityId string
param hardware string
param mode string
param maxWorkers int
param image string
param registryServer string
param workspaceId string
param subnetId string
param serviceBusName string
param serviceBusHost string
param queueName string
param audioBlobEndpoint string
param audioContainer string
param apiBaseUrl string
param apiScope string
param applicationInsights string
param stemModel string

var name = 'worker-${token}'
var machines = {
  T4: { profile: 'gpu', profileType: 'Consumption-GPU-NC8as-T4', cpu: 8, memory: '56Gi', device: 'cuda' }
  A100: { profile: 'gpu', profileType: 'Consumption-GPU-NC24-A100', cpu: 24, memory: '220Gi', device: 'cuda' }
  CPU: { profile: 'Consumption', profileType: 'Consumption', cpu: 4, memory: '8Gi', device: 'cpu' }
}
var machine = machines[hardware]
// A second song keeps the GPU at work while the first is analysed. Two of an hour take 7.6 GB of disk, of the 8 GiB
// that a replica has.
var songsAtOnce = machine.device == 'cuda' ? '2' : '1'

var settings = {
  AZURE_CLIENT_ID: identity.clientId
  API_BASE_URL: apiBaseUrl
  API_SCOPE: apiScope
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identity.clientId}'
  AUDIO_STORAGE__blobServiceUri: audioBlobEndpoint
  AUDIO_CONTAINER: audioContainer
  SERVICEBUS__fullyQualifiedNamespace: serviceBusHost
  ANALYSIS_QUEUE: queueName
  STEM_MODEL: stemModel
  DEVICE: machine.device
  WORKER_MODE: mode
  SONGS_AT_ONCE: songsAtOnce
}

var variables = [for setting in items(settings): { name: setting.key, value: setting.value }]
// Before the first deployment there is no image. These of Microsoft's take no message: that of a job says hello and ends, that of
// an app stays, without which its revision would fail.
var placeholder = mode == 'drain' ? 'mcr.microsoft.com/k8se/quickstart-jobs:latest' : 'mcr.microsoft.com/k8se/quickstart:latest'
var containers = [
  {
    name: 'worker'
    image: empty(image) ? placeholder : image
    resources: { cpu: machine.cpu, memory: machine.memory }
    env: variables
  }
]
var registries = [{ server: registryServer, identity: identity.id }]

resource environment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: 'cae-${token}'
  location: location
  tags: tags
  properties: {
    workloadProfiles: concat(
      [{ name: 'Consumption', workloadProfileType: 'Consumption' }],
      machine.profile == 'gpu' ? [{ name: 'gpu', workloadProfileType: machine.profileType }] : []
    )
    // By diagnostic settings: the other way would need a key of the workspace.
    appLogsConfiguration: { destination: 'azure-monitor' }
    vnetConfiguration: empty(subnetId) ? null : { infrastructureSubnetId: subnetId, internal: true }
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: environment
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'ContainerAppConsoleLogs', enabled: true }
      { category: 'ContainerAppSystemLogs', enabled: true }
    ]
  }
}

resource job 'Microsoft.App/jobs@2025-07-01' = if (mode == 'drain') {
  name: name
  location: location
  tags: tags
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {}, '${scalerIdentityId}': {} } }
  properties: {
    environmentId: environment.id
    workloadProfileName: machine.profile
    configuration: {
      triggerType: 'Event'
      // As long as a message's lock is renewed. What is cut off then is given back and goes on from its checkpoint.
      replicaTimeout: 21600
      // The queue repeats, not the platform.
      replicaRetryLimit: 0
      registries: registries
      identitySettings: [
        { identity: identity.id, lifecycle: 'Main' }
        { identity: scalerIdentityId, lifecycle: 'None' }
      ]
      eventTriggerConfig: {
        parallelism: 1
        replicaCompletionCount: 1
        scale: {
          minExecutions: 0
          maxExecutions: maxWorkers
          pollingInterval: 15
          rules: [
            {
              name: 'queue'
              type: 'azure-servicebus'
              // Local authentication is off: without an identity the rule would silently never scale.
              identity: scalerIdentityId
              // An execution for as many messages as it takes at a time: with fewer, one would start and find none.
              metadata: { namespace: serviceBusName, queueName: queueName, messageCount: songsAtOnce }
            }
          ]
        }
      }
    }
    template: { containers: containers }
  }
}

resource app 'Microsoft.App/containerApps@2025-07-01' = if (mode == 'serve') {
  name: name
  location: location
  tags: tags
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    environmentId: environment.id
    workloadProfileName: machine.profile
    // No ingress: its default probes would kill a container that loads a model.
    configuration: { activeRevisionsMode: 'Single', registries: registries }
    template: {
      containers: containers
      terminationGracePeriodSeconds: 120
      // A fixed number: a rule that scales an app in kills replicas in the middle of their work.
      scale: { minReplicas: maxWorkers, maxReplicas: maxWorkers }
    }
  }
}

output name string = name

// The queue that workers consume, with the properties that the laptop's broker reads from the same file.
param location string
param tags object
param token string

@description('Private endpoints need the Premium tier.')
param isPrivate bool

var queues = loadJsonContent('../service_bus.json').UserConfig.Namespaces[0].Queues

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: 'sb-${token}'
  location: location
  tags: tags
  sku: isPrivate ? { name: 'Premium', tier: 'Premium', capacity: 1 } : { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [
  for item in queues: {
    parent: namespace
    name: item.Name
    properties: {
      lockDuration: item.Properties.LockDuration
      maxDeliveryCount: item.Properties.MaxDeliveryCount
      deadLetteringOnMessageExpiration: item.Properties.DeadLetteringOnMessageExpiration
      requiresDuplicateDetection: item.Properties.RequiresDuplicateDetection
      duplicateDetectionHistoryTimeWindow: item.Properties.DuplicateDetectionHistoryTimeWindow
      requiresSession: item.Properties.RequiresSession
      // Longer than jobs live. Not in the shared file, since the emulator allows an hour at most.
      defaultMessageTimeToLive: 'P14D'
    }
  }
]

output id string = namespace.id
output name string = namespace.name
output host string = '${namespace.name}.servicebus.windows.net'
output queueName string = queues[0].Name

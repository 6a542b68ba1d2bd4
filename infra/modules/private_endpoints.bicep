// Private endpoints of all that keeps data, and of the Function app, which people then reach through the network.
param location string
param tags object
param token string
param networkId string
param subnetId string
param hostStorageId string
param audioStorageId string
param serviceBusId string
param cosmosId string
param functionAppId string

var zones = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  queue: 'privatelink.queue.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  serviceBus: 'privatelink.servicebus.windows.net'
  cosmos: 'privatelink.documents.azure.com'
  sites: 'privatelink.azurewebsites.net'
}
var endpoints = [
  { name: 'host-blob', resourceId: hostStorageId, service: 'blob', zone: 'blob' }
  { name: 'host-queue', resourceId: hostStorageId, service: 'queue', zone: 'queue' }
  { name: 'host-table', resourceId: hostStorageId, service: 'table', zone: 'table' }
  { name: 'audio-blob', resourceId: audioStorageId, service: 'blob', zone: 'blob' }
  { name: 'audio-queue', resourceId: audioStorageId, service: 'queue', zone: 'queue' }
  { name: 'service-bus', resourceId: serviceBusId, service: 'namespace', zone: 'serviceBus' }
  { name: 'cosmos', resourceId: cosmosId, service: 'Sql', zone: 'cosmos' }
  { name: 'app', resourceId: functionAppId, service: 'sites', zone: 'sites' }
]

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for name in items(zones): {
    name: name.value
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (name, i) in items(zones): {
    parent: zone[i]
    name: 'network'
    location: 'global'
    tags: tags
    properties: { registrationEnabled: false, virtualNetwork: { id: networkId } }
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for item in endpoints: {
    name: 'pep-${item.name}-${token}'
    location: location
    tags: tags
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        {
          name: item.name
          properties: { privateLinkServiceId: item.resourceId, groupIds: [item.service] }
        }
      ]
    }
  }
]

resource dns 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (item, i) in endpoints: {
    parent: endpoint[i]
    name: 'default'
    dependsOn: [zone]
    properties: {
      privateDnsZoneConfigs: [
        {
          name: item.zone
          properties: { privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zones[item.zone]) }
        }
      ]
    }
  }
]

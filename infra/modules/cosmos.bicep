// Cosmos DB, serverless. Containers, keys, TTLs and indexes stand in cosmos.json, which the laptop reads as well.
param location string
param tags object
param token string
param publicNetworkAccess string

var definition = loadJsonContent('../cosmos.json')

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' = {
  // checkov:skip=CKV_AZURE_99: follows privateNetworking, which checkov does not evaluate; there are no keys, and each call takes a role
  // checkov:skip=CKV_AZURE_101: follows privateNetworking, as said of CKV_AZURE_99
  name: 'cosmos-${token}'
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: [{ name: 'EnableServerless' }]
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: false }]
    // The library reads its own writes; each container's session token does for that.
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: 'Continuous7Days' } }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: publicNetworkAccess
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-04-15' = {
  parent: account
  name: definition.database
  properties: { resource: { id: definition.database } }
}

resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = [
  for item in definition.containers: {
    parent: database
    name: item.id
    properties: { resource: item }
  }
]

output id string = account.id
output name string = account.name
output endpoint string = account.properties.documentEndpoint

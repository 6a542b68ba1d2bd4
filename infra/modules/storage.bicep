// A storage account that knows no keys: only Entra identities and what they sign (user delegation SAS).
param location string
param tags object
param name string
param containers array
param publicNetworkAccess string

@description('Origins of pages that upload and play; none for the account of the Functions host.')
param corsOrigins array = []

@description('Days without a read after which blobs move to the cool tier, and back at the next read; 0 for never.')
param coolAfterDays int = 0

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  // checkov:skip=CKV_AZURE_35: follows privateNetworking, which checkov does not evaluate; browsers upload straight into it by SAS
  // checkov:skip=CKV_AZURE_206: stems can be computed again; not every region with GPUs has zones to replicate to
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicNetworkAccess
    // Event Grid is one of the trusted services: it must reach the account even when nobody else from outside may.
    networkAcls: { bypass: 'AzureServices', defaultAction: publicNetworkAccess == 'Disabled' ? 'Deny' : 'Allow' }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: 14 }
      containerDeleteRetentionPolicy: { enabled: true, days: 14 }
      lastAccessTimeTrackingPolicy: { enable: coolAfterDays > 0 }
      cors: {
        corsRules: empty(corsOrigins) ? [] : [
          {
            allowedOrigins: corsOrigins
            allowedMethods: ['PUT', 'GET', 'HEAD']
            allowedHeaders: ['content-type', 'range', 'x-ms-blob-type', 'x-ms-client-request-id']
            exposedHeaders: ['accept-ranges', 'content-disposition', 'content-length', 'content-range', 'etag']
            maxAgeInSeconds: 3600
          }
        ]
      }
    }
  }

  resource lifecycle 'managementPolicies' = if (coolAfterDays > 0) {
    name: 'default'
    dependsOn: [blobs]
    properties: {
      policy: {
        rules: [
          {
            name: 'cool-what-nobody-plays'
            enabled: true
            type: 'Lifecycle'
            definition: {
              filters: { blobTypes: ['blockBlob'], prefixMatch: containers }
              actions: {
                baseBlob: {
                  tierToCool: { daysAfterLastAccessTimeGreaterThan: coolAfterDays }
                  enableAutoTierToHotFromCool: true
                }
              }
            }
          }
        ]
      }
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for item in containers: {
    parent: account::blobs
    name: item
    properties: { publicAccess: 'None' }
  }
]

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue

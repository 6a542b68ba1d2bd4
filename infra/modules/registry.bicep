// Where the worker's image is built (by the registry's own tasks) and pulled from, by identities alone.
// It stays reachable with private networking too: its builders are outside the network, and it holds no data of users.
param location string
param tags object
param token string

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  // checkov:skip=CKV_AZURE_139: its own builders and azd reach it from outside; pulling takes an Entra identity
  // checkov:skip=CKV_AZURE_163: scanning is Defender for Containers, a plan of the whole subscription that its owner chooses
  // checkov:skip=CKV_AZURE_166: quarantine needs the Premium tier and somebody who releases images; only this deployment pushes
  name: 'cr${token}'
  location: location
  tags: tags
  sku: { name: 'Basic' }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

output name string = registry.name
output server string = registry.properties.loginServer

// The network of a private deployment: outgoing subnets of app and worker, and one for private endpoints.
param location string
param tags object
param token string

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-${token}'
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.20.0.0/16'] }
    subnets: [
      {
        name: 'functions'
        properties: {
          addressPrefix: '10.20.0.0/24'
          networkSecurityGroup: { id: securityGroup.id }
          delegations: [{ name: 'functions', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'worker'
        properties: {
          addressPrefix: '10.20.2.0/23'
          networkSecurityGroup: { id: securityGroup.id }
          delegations: [{ name: 'worker', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.20.4.0/24'
          networkSecurityGroup: { id: securityGroup.id }
        }
      }
    ]
  }
}

output id string = network.id
output functionSubnetId string = '${network.id}/subnets/functions'
output workerSubnetId string = '${network.id}/subnets/worker'
output endpointSubnetId string = '${network.id}/subnets/endpoints'

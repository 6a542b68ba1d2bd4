// One identity a component, so that each has the roles that it needs and no others.
param location string
param tags object
param token string
param githubRepository string

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-app-${token}'
  location: location
  tags: tags
}

resource worker 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-worker-${token}'
  location: location
  tags: tags
}

@description('Reads the queue\'s length for the scaler; the worker\'s container can\'t use it (its life cycle there is None).')
resource scaler 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-scaler-${token}'
  location: location
  tags: tags
}

@description('Deploys code from GitHub by OIDC, without a secret.')
resource deployment 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-deployment-${token}'
  location: location
  tags: tags

  resource github 'federatedIdentityCredentials' = if (!empty(githubRepository)) {
    name: 'github'
    properties: {
      issuer: 'https://token.actions.githubusercontent.com'
      subject: 'repo:${githubRepository}:environment:production'
      audiences: ['api://AzureADTokenExchange']
    }
  }
}

output app object = { id: app.id, clientId: app.properties.clientId, principalId: app.properties.principalId }
output worker object = { id: worker.id, clientId: worker.properties.clientId, principalId: worker.properties.principalId }
output scaler object = { id: scaler.id, principalId: scaler.properties.principalId }
output deployment object = {
  clientId: deployment.properties.clientId
  principalId: deployment.properties.principalId
}

// The Function app on Flex Consumption, its settings (those of shared/settings.py), and App Service Authentication.
param location string
param tags object
param name string
param identity object
param hostStorageName string
param deploymentPackages string
param audioBlobEndpoint string
param audioQueueEndpoint string
param audioContainer string
param serviceBusHost string
param queueName string
param cosmosEndpoint string
param applicationInsights string
param signInClientId string
param allowedOrigins string

@description('Subnet of outgoing calls; empty without private networking.')
param subnetId string

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  // checkov:skip=CKV_AZURE_225: not every region with GPUs has zones; the queue holds work while the app is away
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  // checkov:skip=CKV_AZURE_17: callers sign in with Entra ID; browsers have no certificates
  // checkov:skip=CKV_AZURE_212: Flex Consumption scales by itself, to zero too, which is what an idle library shall cost
  // checkov:skip=CKV_AZURE_213: Flex Consumption has no health check; /api/health and the alert on silence are for that
  // checkov:skip=CKV_AZURE_222: the page and the API are for people outside; with private networking only Event Grid gets in
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      // With private networking people come through the private endpoint, and from outside Event Grid alone.
      ipSecurityRestrictionsDefaultAction: empty(subnetId) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: empty(subnetId) ? [] : [
        { name: 'event-grid', priority: 100, action: 'Allow', tag: 'ServiceTag', ipAddress: 'AzureEventGrid' }
      ]
      // Deployment has its own door, which opens to Entra identities only.
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
      scmIpSecurityRestrictionsUseMain: false
    }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.11' }
      scaleAndConcurrency: { maximumInstanceCount: 40, instanceMemoryMB: 2048 }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentPackages
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      AZURE_CLIENT_ID: identity.clientId
      AzureWebJobsStorage__accountName: hostStorageName
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.clientId
      // The page is at the root.
      AzureWebJobsDisableHomepage: 'true'
      APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identity.clientId}'
      // The host gives each call's trace to the app, whose spans lie within it.
      PYTHON_ENABLE_OPENTELEMETRY: 'true'
      AUDIO_STORAGE__blobServiceUri: audioBlobEndpoint
      // The blob trigger keeps what it could not deliver in a queue beside the blobs.
      AUDIO_STORAGE__queueServiceUri: audioQueueEndpoint
      AUDIO_STORAGE__credential: 'managedidentity'
      AUDIO_STORAGE__clientId: identity.clientId
      AUDIO_CONTAINER: audioContainer
      SERVICEBUS__fullyQualifiedNamespace: serviceBusHost
      SERVICEBUS__credential: 'managedidentity'
      SERVICEBUS__clientId: identity.clientId
      ANALYSIS_QUEUE: queueName
      COSMOS_ENDPOINT: cosmosEndpoint
      AUTH_MODE: 'roles'
      ALLOWED_ORIGINS: allowedOrigins
      STALE_SWEEP_SCHEDULE: '0 */5 * * * *'
      PURGE_SCHEDULE: '0 0 * * * *'
      // Names the identity that vouches for the registration of sign-in; there is no client secret.
      OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: identity.clientId
    }
  }

  resource signIn 'config' = {
    name: 'authsettingsV2'
    dependsOn: [settings]
    properties: {
      platform: { enabled: true }
      // Tokens are checked here, roles in the app, where each route declares its own: the page, the API document, health
      // and preflights are for anyone, and Event Grid's webhook has a key of the host. Headers from outside are dropped.
      globalValidation: { requireAuthentication: false, unauthenticatedClientAction: 'AllowAnonymous' }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: signInClientId
            clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: { allowedAudiences: [signInClientId, 'api://${signInClientId}'] }
        }
      }
      login: { tokenStore: { enabled: false } }
      httpSettings: { requireHttps: true }
    }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

output id string = app.id
output name string = app.name

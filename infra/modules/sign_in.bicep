// The Entra app registration that App Service Authentication checks tokens for, with the app roles of the API.
// Declared with the Microsoft Graph extension, not made by a hook: one deployment makes or updates it together with what
// refers to it, and `az` needs no second sign-in. It has no secret: the function app's identity vouches for it.
extension microsoftGraphV1

param uniqueName string
param displayName string
param appOrigin string

@description('Object id of the identity that may act as this registration when users sign in on the page.')
param trustedPrincipalId string

var azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'
var scopeId = guid(uniqueName, 'user_impersonation')
var roles = [
  { value: 'Read', members: ['User', 'Application'], description: 'Searches the library, listens to stems, downloads them.' }
  { value: 'Write', members: ['User', 'Application'], description: 'Uploads and deletes songs, cancels and repeats jobs.' }
  { value: 'Worker', members: ['Application'], description: 'Reports on jobs. For the GPU worker alone.' }
]

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  web: {
    homePageUrl: appOrigin
    redirectUris: ['${appOrigin}/.auth/login/aad/callback']
    implicitGrantSettings: { enableIdTokenIssuance: true }
  }
  api: {
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      {
        id: scopeId
        value: 'user_impersonation'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Use Stem Library'
        adminConsentDescription: 'Calls the Stem Library API as the signed-in user, with the user\'s roles.'
        userConsentDisplayName: 'Use Stem Library'
        userConsentDescription: 'Calls the Stem Library API as you, with your roles.'
      }
    ]
    // So that `stems` works with `az login`, without a consent of its own.
    preAuthorizedApplications: [{ appId: azureCli, delegatedPermissionIds: [scopeId] }]
  }
  appRoles: [
    for role in roles: {
      id: guid(uniqueName, role.value)
      value: role.value
      displayName: role.value
      description: role.description
      allowedMemberTypes: role.members
      isEnabled: true
    }
  ]

  resource trust 'federatedIdentityCredentials@v1.0' = {
    name: '${application.uniqueName}/function-app'
    audiences: ['api://AzureADTokenExchange']
    issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
    subject: trustedPrincipalId
  }
}

resource servicePrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
  // Nobody without a role gets a token at all.
  appRoleAssignmentRequired: true
}

output clientId string = application.appId
output scope string = '${application.appId}/.default'
output servicePrincipalId string = servicePrincipal.id
output roleIds object = {
  read: guid(uniqueName, 'Read')
  write: guid(uniqueName, 'Write')
  worker: guid(uniqueName, 'Worker')
}

// Log Analytics, Application Insights over it, and the workbook. Telemetry is taken from identities alone.
param location string
param tags object
param token string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
    // Against a flood: alerts stay silent for the rest of a day that reaches it, and Azure mails about that.
    workspaceCapping: { dailyQuotaGb: 5 }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insights.id, 'stem-library')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Stem Library'
    category: 'workbook'
    sourceId: insights.id
    serializedData: loadTextContent('../workbook.json')
  }
}

output name string = insights.name
// With local authentication off its instrumentation key names where to send, and opens nothing.
output connectionString string = insights.properties.ConnectionString
output workspaceId string = workspace.id

// What somebody must know of: work that waits, dies or is forgotten, an API that fails, and silence.
param location string
param tags object
param token string
param workspaceId string
param serviceBusId string
param queueName string
param email string

// A row fires when, within `window`, the aggregated column (for Count, the rows) is over or under `threshold`.
var rules = [
  {
    name: 'oldest-message'
    text: 'A song waits for more than 30 minutes: no worker starts (GPU quota, image, scaler), or too few do.'
    query: 'AppMetrics | where Name == "stem_library.queue.oldest_message_age" | project TimeGenerated, Value = Sum / ItemCount'
    column: 'Value'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 1800
    window: 'PT15M'
    severity: 1
  }
  {
    name: 'failed-jobs'
    text: 'More than five analyses failed within an hour. One may be its file\'s fault; several have a common cause.'
    query: 'AppMetrics | where Name == "stem_library.jobs.ended" and tostring(Properties.outcome) =~ "Failed" | project TimeGenerated, Value = Sum'
    column: 'Value'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 5
    window: 'PT1H'
    severity: 2
  }
  {
    name: 'dead-letters'
    text: 'Messages were dead-lettered: a job took its worker down five times, or its message was unreadable.'
    query: 'AppMetrics | where Name == "stem_library.queue.dead_letters" | project TimeGenerated, Value = Sum'
    column: 'Value'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    severity: 2
  }
  {
    name: 'stale-jobs'
    text: 'A job is stale: its worker went silent, and the sweep has not put it back into the queue.'
    query: 'AppMetrics | where Name == "stem_library.jobs" and tostring(Properties.status) =~ "Stale" | project TimeGenerated, Value = Sum / ItemCount'
    column: 'Value'
    aggregation: 'Minimum'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    severity: 2
  }
  {
    name: 'server-errors'
    text: 'The API answered more than five requests within 15 minutes with a server error.'
    query: 'AppRequests | where toint(ResultCode) between (500 .. 599) | project TimeGenerated, Value = ItemCount'
    column: 'Value'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 5
    window: 'PT15M'
    severity: 1
  }
  {
    name: 'silence'
    text: 'The app has measured its queue for 30 minutes not once: timers or telemetry stand still, and other alerts with them.'
    query: 'AppMetrics | where Name == "stem_library.queue.oldest_message_age" | project TimeGenerated'
    column: null
    aggregation: 'Count'
    operator: 'LessThan'
    threshold: 1
    window: 'PT30M'
    severity: 1
  }
]

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'stemlibrary'
    enabled: true
    emailReceivers: empty(email) ? [] : [{ name: 'mail', emailAddress: email, useCommonAlertSchema: true }]
  }
}

resource queryRule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${rule.name}-${token}'
    location: location
    tags: tags
    properties: {
      displayName: 'Stem Library: ${rule.name}'
      description: rule.text
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: rule.window
      autoMitigate: true
      // The tables come with the first telemetry.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: rule.column
            timeAggregation: rule.aggregation
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [receivers.id] }
    }
  }
]

// The app takes dead letters within seconds and counts them above; from Service Bus itself, since then it does not.
resource unreadDeadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'unread-dead-letters-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Dead letters lie in the queue, and the app does not take them: their jobs never end.'
    severity: 1
    enabled: true
    scopes: [serviceBusId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'unread'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'DeadletteredMessages'
          dimensions: [{ name: 'EntityName', operator: 'Include', values: [queueName] }]
          timeAggregation: 'Average'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: [{ actionGroupId: receivers.id }]
  }
}

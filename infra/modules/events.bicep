// Where the audio account's events come from. Their subscription needs a key that the Functions host makes when it
// first runs, so hooks/subscribe_to_uploads.sh makes it after deployment.
param location string
param tags object
param token string
param storageAccountId string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'evgt-audio-${token}'
  location: location
  tags: tags
  properties: {
    source: storageAccountId
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

output systemTopicName string = topic.name

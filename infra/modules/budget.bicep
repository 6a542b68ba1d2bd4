// Tells the owners when money runs; it stops nothing.
param email string
param monthlyBudget int

@description('yyyy-MM. Azure refuses to change it, and refuses a month that is over for a new budget.')
param budgetMonth string

var addressees = empty(email) ? [] : [email]

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: 'stem-library'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: { startDate: '${budgetMonth}-01T00:00:00Z' }
    notifications: {
      nearlySpent: {
        enabled: true
        thresholdType: 'Actual'
        operator: 'GreaterThan'
        threshold: 80
        contactRoles: ['Owner']
        contactEmails: addressees
      }
      willBeExceeded: {
        enabled: true
        thresholdType: 'Forecasted'
        operator: 'GreaterThan'
        threshold: 100
        contactRoles: ['Owner']
        contactEmails: addressees
      }
    }
  }
}

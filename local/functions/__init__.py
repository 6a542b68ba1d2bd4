"""Stand-in for the Azure Functions host: serves any Python v2 function app on one machine."""

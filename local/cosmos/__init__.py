"""Cosmos DB stand-in: the gateway protocol as azure-cosmos speaks it, over SQLite."""

"""Thin adapters over the Azure SDKs; the only modules that import them."""

"""The Function app: one blueprint a module, each route thin."""

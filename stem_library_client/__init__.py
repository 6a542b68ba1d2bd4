"""A client of the Stem Library's HTTP API; it imports nothing of the project."""

from stem_library_client.client import ApiError, StemLibraryClient

__all__ = ["ApiError", "StemLibraryClient"]

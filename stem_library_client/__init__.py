"""A client of the Stem Library's HTTP API; it imports nothing of the project."""

from stem_library_client.client import StemLibraryClient
from stem_library_client.transport import ApiError, NotFoundError

__all__ = ["ApiError", "NotFoundError", "StemLibraryClient"]

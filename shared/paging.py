"""Pages of lists: opaque tokens that are bound to the query that they continue."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from shared.errors import FieldFault, InvalidInputError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


@dataclass(frozen=True)
class DayCursor:
    """Where the next page of a list starts: on a day, after what the database's continuation names."""

    day: date
    continuation: str | None = None

    def to_token(self, query: Mapping[str, str]) -> str:
        """Return the cursor as an opaque token for this query only."""
        content = [_digest(query), self.day.isoformat(), self.continuation]
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    @classmethod
    def from_token(cls, token: str, query: Mapping[str, str]) -> "DayCursor":
        """Return the cursor of a token.

        Raises
        ------
        InvalidInputError
            If it is not a token of this query.
        """
        try:
            padded = token + "=" * (-len(token) % 4)
            digest, day, continuation = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            if digest != _digest(query) or not isinstance(continuation, str | None):
                raise ValueError
            return cls(date.fromisoformat(day), continuation)
        except (ValueError, TypeError, binascii.Error):
            fault = FieldFault(
                field="pageToken", message="is not a token of this query; follow nextLink as it is"
            )
            raise InvalidInputError("The page token can't be taken.", faults=[fault]) from None


def _digest(query: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(query.items())).encode()).hexdigest()[:16]


def start_of(day: date) -> datetime:
    """Return the first moment of the day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)

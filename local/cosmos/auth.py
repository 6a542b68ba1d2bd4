"""Master-key authorisation: every request is signed with HMAC-SHA256."""

import base64
import hashlib
import hmac
import urllib.parse
from collections.abc import Mapping, Sequence

from local.cosmos.errors import CosmosError

# The key that Microsoft publishes for its emulators: no secret.
EMULATOR_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="


def authorise(method: str, segments: Sequence[str], headers: Mapping[str, str]) -> None:
    """Refuse with 401 a request that `EMULATOR_KEY` did not sign.

    Signed are method, resource type, resource link and date. A path names types and ids in turn, so an
    odd number of segments ends in a type (`dbs/music/colls`), whose link is what stands before it. What
    is done to a partition is signed as if it were done to its container.
    """
    if segments[4:5] == ["operations"]:
        segments = segments[:4]
    is_feed = len(segments) % 2 == 1
    resource_type = segments[-1] if is_feed else "".join(segments[-2:-1])
    link = "/".join(segments[:-1] if is_feed else segments)
    signed = f"{method.lower()}\n{resource_type}\n{link}\n{headers.get('x-ms-date', '').lower()}\n\n"
    digest = hmac.new(base64.b64decode(EMULATOR_KEY), signed.encode(), hashlib.sha256).digest()
    expected = f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}"
    given = urllib.parse.unquote(headers.get("authorization", ""))
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise CosmosError(401, "The input authorization token can't serve the request.")

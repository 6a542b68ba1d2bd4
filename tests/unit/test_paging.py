import pytest

from shared.errors import InvalidInputError
from shared.paging import Cursor

QUERY = {"status": "Failed"}


@pytest.mark.parametrize("continuation", [None, "opaque+/=of the database"])
def test_a_token_leads_back_to_its_cursor(continuation: str | None):
    cursor = Cursor("s:2026-11", continuation)
    token = cursor.to_token(QUERY)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert Cursor.from_token(token, QUERY) == cursor


@pytest.mark.parametrize("query", [{}, {"status": "Completed"}, {"status": "Failed", "audioFileId": "x"}])
def test_a_token_is_bound_to_its_query(query: dict[str, str]):
    token = Cursor("s:2026-11").to_token(QUERY)
    with pytest.raises(InvalidInputError) as refused:
        Cursor.from_token(token, query)
    assert refused.value.faults[0].field == "pageToken"


@pytest.mark.parametrize("token", ["", "x", "äöü", "bnVsbA", "WzEsMiwzXQ", "WyJhIiwiYiJd", "a" * 10_000])
def test_other_tokens_are_refused(token: str):
    with pytest.raises(InvalidInputError):
        Cursor.from_token(token, QUERY)

"""Pages of a list that lies in several partitions, while others write to it."""

import uuid
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.services import Services
from shared.errors import InvalidInputError
from shared.keys import MusicalKey
from shared.paging import Cursor, Selection, Series, walk
from shared.queries import KeyQuery, StemQuery
from shared.storage.search_index import TEMPOS, SearchIndexContainer, tempo_partition

bpms = st.floats(300, 319).map(lambda bpm: round(bpm, 1))
insertions = st.tuples(st.just("insert"), bpms)
removals = st.tuples(st.just("remove"), st.integers(0, 30))


@dataclass
class TempoList:
    """Stems of one song in the lists of their tempos, and what a walk over them has seen."""

    index: SearchIndexContainer
    song: str = field(default_factory=lambda: str(uuid.uuid4()))
    bpms: dict[str, float] = field(default_factory=dict)

    async def insert(self, bpm: float) -> str:
        stem_id = str(uuid.uuid4())
        await self.index.put(tempo_partition(bpm), {"id": stem_id, "audioFileId": self.song, "bpm": bpm})
        self.bpms[stem_id] = bpm
        return stem_id

    async def remove(self, stem_id: str) -> None:
        await self.index.remove(stem_id, [tempo_partition(self.bpms[stem_id])])

    async def page(self, limit: int, cursor: Cursor | None) -> tuple[list[str], Cursor | None]:
        selection = Selection("bpm", False, ["c.audioFileId = @song"], {"song": self.song})
        found, after = await walk(
            self.index, Series(TEMPOS, [("0300", "0320")]), selection, limit=limit, cursor=cursor
        )
        return [document["id"] for document in found], after


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.lists(bpms, min_size=1, max_size=12),
    limit=st.integers(1, 5),
    meanwhile=st.lists(st.one_of(insertions, removals), max_size=10),
)
async def test_what_is_there_throughout_is_seen_once_and_nothing_twice(
    services: Services, start: list[float], limit: int, meanwhile: list[tuple[str, float]]
):
    tempos = TempoList(services.index)
    throughout = {await tempos.insert(bpm) for bpm in start}
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = await tempos.page(limit, cursor)
        seen += page
        if cursor is None:
            break
        assert len(page) == limit, "only the last page may be short"
        if meanwhile:
            what, value = meanwhile.pop(0)
            if what == "insert":
                await tempos.insert(value)
            elif throughout:
                removed = sorted(throughout)[int(value) % len(throughout)]
                throughout.remove(removed)
                await tempos.remove(removed)
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)
    order = [tempos.bpms[stem_id] for stem_id in seen]
    assert order == sorted(order)


async def test_a_token_of_one_search_continues_no_other(services: Services):
    tempos = TempoList(services.index)
    for bpm in (310, 311, 312):
        await tempos.insert(bpm)
    search = services.search
    token = Cursor(tempo_partition(310)).to_token({**StemQuery(min_bpm=310).filters(), "key": None})
    others = [
        search.stems(StemQuery(min_bpm=311, page_token=token)),
        search.stems(StemQuery(min_bpm=310, compatible=True, page_token=token)),
        search.stems(KeyQuery(min_bpm=310, page_token=token), MusicalKey.parse("C major")),
    ]
    for other in others:
        with pytest.raises(InvalidInputError):
            await other


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor("k:C major"),
        Cursor("b:0000"),
        Cursor(tempo_partition(310), "no continuation of the database"),
        Cursor(tempo_partition(310), "[1]"),
    ],
)
async def test_a_forged_token_is_refused(services: Services, cursor: Cursor):
    query = StemQuery(min_bpm=310, max_bpm=312)
    token = cursor.to_token({**query.filters(), "key": None})
    with pytest.raises(InvalidInputError) as refused:
        await services.search.stems(query.model_copy(update={"page_token": token}))
    assert refused.value.faults[0].field == "pageToken"

"""Lists and searches: which partitions of the search index answer a query, and in which order."""

from collections.abc import Sequence
from typing import Any, TypeVar

from shared.keys import MusicalKey, all_keys
from shared.models import AudioFile, JobSummary, StemItem, WireModel
from shared.paging import Cursor, Selection, Series, walk
from shared.queries import (
    MAX_BPM,
    AudioQuery,
    JobQuery,
    KeyQuery,
    Page,
    PageQuery,
    Sort,
    StemFilter,
    StemQuery,
)
from shared.storage.cosmos import record_of
from shared.storage.search_index import (
    JOBS,
    SONGS,
    STEMS,
    TEMPOS,
    SearchIndexContainer,
    key_partition,
    song_partition,
    tempo_start,
)

Item = TypeVar("Item", bound=WireModel)
Range = tuple[float, float]


class Search:
    """Answers lists and searches; every page comes from single partitions, in their order."""

    def __init__(self, index: SearchIndexContainer) -> None:
        self._index = index

    async def jobs(self, query: JobQuery) -> Page[JobSummary]:
        """Return a page of jobs as they were at their last change of state, newest first.

        Raises
        ------
        InvalidInputError
            If the page token is not one of this query; so below.
        """
        filters = query.filters()
        conditions = [f"c.{name} = @{name}" for name in filters]
        selection = Selection("createdAt", descending=True, conditions=conditions, parameters=filters)
        return await self._page([JOBS], selection, query, filters, JobSummary)

    async def songs(self, query: AudioQuery) -> Page[AudioFile]:
        """Return a page of audio files, newest first."""
        filters = query.filters()
        conditions = ["c.analysisStatus = @status"] if filters else []
        selection = Selection("createdAt", descending=True, conditions=conditions, parameters=filters)
        return await self._page(Series(SONGS, descending=True), selection, query, filters, AudioFile)

    async def stems(self, query: StemFilter, key: MusicalKey | None = None) -> Page[StemItem]:
        """Return a page of stems; `key` is what the route names, else the query's own."""
        if isinstance(query, StemQuery):
            key = key or query.key
        keys = _key_names(query, key)
        ranges = tempo_ranges(query)
        sort = query.sort or (Sort.KEY if keys else Sort.BPM if ranges else Sort.CREATED_AT)
        if sort is Sort.BPM and not ranges:
            ranges = [(0, MAX_BPM)]
        conditions, parameters = _conditions(query, keys, ranges)
        by_date = sort is Sort.CREATED_AT
        selection = Selection(
            "createdAt" if by_date else "bpm",
            descending=by_date,
            conditions=conditions,
            parameters=parameters,
        )
        partitions = _partitions(query, keys, sort, ranges)
        bound = {**query.filters(), "key": key and key.name}
        return await self._page(partitions, selection, query, bound, StemItem)

    async def _page(
        self,
        partitions: Sequence[str] | Series,
        selection: Selection,
        query: PageQuery,
        bound: dict[str, Any],
        model: type[Item],
    ) -> Page[Item]:
        cursor = Cursor.from_token(query.page_token, bound) if query.page_token else None
        found, after = await walk(self._index, partitions, selection, limit=query.limit, cursor=cursor)
        items = [record_of(model, document) for document in found]
        return Page(items, after.to_token(bound) if after else None)


def tempo_ranges(query: StemFilter) -> list[Range]:
    """Return the tempos that fit, as disjoint inclusive ranges, slowest first; none where any does.

    With `half_double` a stem fits too if half or twice its tempo lies within the bounds.
    """
    if query.min_bpm is None and query.max_bpm is None:
        return []
    low, high = query.min_bpm or 0, query.max_bpm or MAX_BPM
    factors = (0.5, 1, 2) if query.half_double else (1,)
    merged: list[Range] = []
    for begin, end in sorted((low * factor, high * factor) for factor in factors):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _key_names(query: StemFilter, key: MusicalKey | None) -> list[str]:
    """Return the keys that fit, closest first; none where any does."""
    if key is None:
        return []
    is_wide = isinstance(query, KeyQuery) and query.compatible
    return [each.name for each in (key.compatible_keys() if is_wide else [key])]


def _partitions(
    query: StemFilter, keys: list[str], sort: Sort, ranges: list[Range]
) -> Sequence[str] | Series:
    """Return the narrowest partitions that hold the answer in the order wanted."""
    if sort is Sort.KEY and len(keys) != 1:
        every: list[str | None] = [*(each.name for each in all_keys()), None]
        return [key_partition(each) for each in keys or every]
    if query.audio_file_id:
        return [song_partition(query.audio_file_id)]
    if len(keys) == 1:
        return [key_partition(keys[0])]
    if sort is Sort.BPM:
        return Series(TEMPOS, [(tempo_start(low), tempo_start(high)) for low, high in ranges])
    return Series(STEMS, descending=True)


def _conditions(query: StemFilter, keys: list[str], ranges: list[Range]) -> tuple[list[str], dict[str, Any]]:
    compared = {
        "c.type = @type": query.type,
        "c.analysisStatus = @status": query.status,
        "c.audioFileId = @song": query.audio_file_id,
        "c.durationSeconds >= @shortest": query.min_duration,
        "c.durationSeconds <= @longest": query.max_duration,
    }
    given = {condition: value for condition, value in compared.items() if value is not None}
    parameters: dict[str, Any] = {condition.partition("@")[2]: value for condition, value in given.items()}
    conditions = list(given)
    if keys:
        conditions.append("ARRAY_CONTAINS(@keys, c.key)")
        parameters["keys"] = keys
    if ranges:
        within = [f"(c.bpm >= @low{number} AND c.bpm <= @high{number})" for number in range(len(ranges))]
        conditions.append(f"({' OR '.join(within)})")
        for number, (low, high) in enumerate(ranges):
            parameters |= {f"low{number}": low, f"high{number}": high}
    return conditions, parameters

"""Routes of stems: search, statistics, records, and what is derived from them."""

from functions.answers import Redirect
from functions.http import Api
from functions.requests import Id
from functions.roles import Role
from functions.services import Services
from functions.views import Notation, NotationQuery, RepairQuery, StemAnalysis
from shared.library_repair import RepairReport
from shared.library_statistics import LibraryStats
from shared.models import Stem, StemItem, Stored
from shared.queries import BpmQuery, KeyQuery, KeyText, Page, StemQuery


def add_routes(api: Api, services: Services) -> None:
    """Add the routes of stems."""

    @api.get("api/stems", role=Role.READ)
    async def find_stems(query: StemQuery) -> Page[StemItem]:
        """Search stems by type, key, tempo, length, song and status."""
        return await services.search.stems(query)

    @api.get("api/stems/key/{key}", role=Role.READ)
    async def find_stems_by_key(key: KeyText, query: KeyQuery) -> Page[StemItem]:
        """Search stems in a key.

        Any common spelling does, and so do enharmonic names: `C# major`, `Db`, `c#m`, `D♭ minor`, `3B`, `8d`.
        Write `#` as `%23`: clients take what follows a bare `#` for a place in a page, and never send it.
        """
        return await services.search.stems(query, key)

    @api.get("api/stems/bpm", role=Role.READ)
    async def find_stems_by_bpm(query: BpmQuery) -> Page[StemItem]:
        """Search stems by tempo, slowest first; either bound may be missing."""
        return await services.search.stems(query)

    @api.get("api/stems/stats", role=Role.READ)
    async def get_library_stats() -> LibraryStats:
        """Sum up the library: totals, by type, key, status and tempo, and how it grows."""
        return await services.library_statistics.sum_up(services.clock().date())

    @api.post("api/stems/stats/repair", role=Role.WRITE)
    async def repair_library(query: RepairQuery) -> Page[RepairReport]:
        """Compare lists and statistics with the library, and correct what differs: one bounded step of it.

        Go on with `nextLink` (a POST as well) until it is missing.
        """
        report, following = await services.repair.step(query.page_token)
        return Page([report], following)

    @api.get("api/stems/{id:guid}", role=Role.READ)
    async def get_stem(stem_id: Id) -> Stored[Stem]:
        """Read a stem with all that was measured."""
        return await services.stems.get(stem_id)

    @api.delete("api/stems/{id:guid}", role=Role.WRITE)
    async def delete_stem(stem_id: Id, if_match: str | None) -> None:
        """Delete a stem with its sound."""
        await services.stems.delete(stem_id, if_match)

    @api.get("api/stems/{id:guid}/analysis", role=Role.READ)
    async def get_analysis(stem_id: Id) -> StemAnalysis:
        """Read beats, chords, sections and notation of a stem as native JSON."""
        return StemAnalysis.model_validate(await services.stems.get_analysis(stem_id))

    @api.get(
        "api/stems/{id:guid}/notation",
        role=Role.READ,
        statuses={200: "The notation as JSON", 302: "To a short-lived URL of the file"},
    )
    async def get_notation(stem_id: Id, query: NotationQuery) -> Notation | Redirect:
        """Read the transcription of a stem as JSON, or fetch it as a file; the 404 says why there is none."""
        if query.format == "json":
            return Notation(await services.stems.notation_of(stem_id))
        return Redirect(await services.stems.notation_url(stem_id, query.format))

    @api.get("api/stems/{id:guid}/download", role=Role.READ)
    async def download_stem(stem_id: Id) -> Redirect:
        """Fetch a stem's sound as WAV, under the song's name."""
        return Redirect(await services.stems.download_url(stem_id))

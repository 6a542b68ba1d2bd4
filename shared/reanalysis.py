"""Raises the library to the present version of the analysis, a few songs at a time.

There is no list of what is done: the songs themselves say by which version they were analysed. So a call may
break off anywhere, be repeated, or run twice at once. What is started waits in the queue behind what waits
there already; `max_waiting` bounds by how much a new upload can be held up.
"""

import logging
from dataclasses import dataclass

from pydantic import Field

from shared.errors import BeingDeletedError, ConflictError, NotFoundError
from shared.job_ports import JobStore
from shared.models import ANALYSIS_VERSION, AnalysisStatus, JobStatus, WireModel
from shared.storage.library import LibraryContainer, OutdatedSong
from shared.workflow import AnalysisWorkflow

logger = logging.getLogger(__name__)


class ReanalysisReport(WireModel):
    """What a call started, and whether there is more to do."""

    started: int = Field(description="Jobs of songs that the library held by an older version")
    failed: int = Field(0, description="Songs whose job could not be started; the log says why")
    waiting: int = Field(description="Jobs that no worker has taken yet, those included")
    done: bool = Field(
        description="Whether no other song is left; false where the bound left no room to look"
    )


@dataclass(frozen=True, kw_only=True)
class Reanalysis:
    """Starts the analysis of songs anew that are of an older version."""

    jobs: JobStore
    library: LibraryContainer
    workflow: AnalysisWorkflow

    async def start(self, *, limit: int, max_waiting: int) -> ReanalysisReport:
        """Start at most `limit` jobs, and none beyond `max_waiting` that wait for a worker."""
        waiting = await self.jobs.count(JobStatus.PENDING) + await self.jobs.count(JobStatus.RETRYING)
        room = max(0, min(limit, max_waiting - waiting))
        if not room:
            return ReanalysisReport(started=0, waiting=waiting, done=False)
        started = failed = 0
        done = False
        # Those that wait are found too, until they are at work; one more tells whether any is left.
        wanted = room + waiting + 1
        found = await self.library.outdated(ANALYSIS_VERSION, wanted)
        for song in found:
            if await self._is_waiting(song):
                continue
            if started == room:
                break
            try:
                await self.workflow.reanalyse(song.id)
            except (BeingDeletedError, ConflictError, NotFoundError):
                continue  # deleted, or brought up to date by somebody else meanwhile
            except Exception:
                # Whatever ails this song, the others must not wait for it.
                failed += 1
                logger.exception("Song %s could not be analysed anew", song.id)
            else:
                started += 1
        else:
            done = len(found) < wanted
        return ReanalysisReport(started=started, failed=failed, waiting=waiting + started, done=done)

    async def _is_waiting(self, song: OutdatedSong) -> bool:
        """Whether its job is there; not so if an earlier call died between the song and its job."""
        is_pending = song.status is AnalysisStatus.PENDING and song.job_id is not None
        return is_pending and await self.jobs.read(str(song.job_id)) is not None

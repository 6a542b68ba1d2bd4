"""What the triggers work with, built once by function_app.py."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.job_ports import Clock
from shared.jobs import JobService
from shared.library import StemLibrary
from shared.settings import AppSettings
from shared.storage.blobs import AudioBlobs
from shared.storage.cosmos import (
    CosmosDatabase,
    JobHistoryContainer,
    JobsContainer,
    LibraryContainer,
    SearchIndexContainer,
)
from shared.storage.queue import AnalysisQueue
from shared.workflow import AnalysisWorkflow


def utc_now() -> datetime:
    """Return the server's time."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services of one process; their connections open at first use."""

    settings: AppSettings
    database: CosmosDatabase
    index: SearchIndexContainer
    blobs: AudioBlobs
    queue: AnalysisQueue
    jobs: JobService
    library: StemLibrary
    workflow: AnalysisWorkflow
    clock: Clock

    @classmethod
    def build(cls, settings: AppSettings, *, clock: Clock = utc_now) -> "Services":
        """Wire the services to the resources that the settings name."""
        database = CosmosDatabase(settings.cosmos_endpoint, settings.cosmos_key)
        index = SearchIndexContainer(database)
        blobs = AudioBlobs(
            connection=settings.audio_storage,
            service_uri=settings.audio_storage_uri,
            container_name=settings.audio_container,
        )
        queue = AnalysisQueue(
            connection=settings.service_bus,
            namespace=settings.service_bus_namespace,
            queue_name=settings.analysis_queue,
        )
        jobs = JobService(
            store=JobsContainer(database),
            history=JobHistoryContainer(database),
            index=index,
            queue=queue,
            policy=settings.job_policy,
            clock=clock,
        )
        library = StemLibrary(store=LibraryContainer(database), index=index, blobs=blobs, clock=clock)
        return cls(
            settings=settings,
            database=database,
            index=index,
            blobs=blobs,
            queue=queue,
            jobs=jobs,
            library=library,
            workflow=AnalysisWorkflow(jobs=jobs, library=library, blobs=blobs),
            clock=clock,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.database.close()
        await self.queue.close()
        await self.blobs.close()

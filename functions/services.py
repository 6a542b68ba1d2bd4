"""What the triggers work with, built once by function_app.py."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.job_ports import Clock
from shared.job_statistics import JobStatistics
from shared.jobs import JobService
from shared.library import StemLibrary
from shared.library_index import LibraryIndex
from shared.library_repair import LibraryRepair
from shared.library_statistics import LibraryStatistics
from shared.reanalysis import Reanalysis
from shared.search import Search
from shared.settings import AppSettings
from shared.stems import Stems
from shared.storage.blobs import AudioBlobs
from shared.storage.cosmos import CosmosDatabase
from shared.storage.jobs import JobHistoryContainer, JobsContainer
from shared.storage.library import LibraryContainer
from shared.storage.library_counters import LibraryCounters
from shared.storage.queue import AnalysisQueue
from shared.storage.search_index import SearchIndexContainer
from shared.storage.stats import StatsContainer, SweepCursor
from shared.sweeps import Sweeps
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
    job_statistics: JobStatistics
    library: StemLibrary
    library_statistics: LibraryStatistics
    stems: Stems
    search: Search
    repair: LibraryRepair
    workflow: AnalysisWorkflow
    reanalysis: Reanalysis
    sweeps: Sweeps
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
        job_store = JobsContainer(database)
        statistics = JobStatistics(StatsContainer(database), job_store)
        jobs = JobService(
            store=job_store,
            history=JobHistoryContainer(database),
            index=index,
            queue=queue,
            statistics=statistics,
            policy=settings.job_policy,
            clock=clock,
        )
        library_store = LibraryContainer(database)
        counters = LibraryCounters(database)
        library_index = LibraryIndex(store=library_store, index=index, counters=counters)
        library = StemLibrary(store=library_store, index=library_index, blobs=blobs)
        stems = Stems(
            library=library,
            store=library_store,
            search_index=index,
            index=library_index,
            blobs=blobs,
            clock=clock,
        )
        workflow = AnalysisWorkflow(
            jobs=jobs, library=library, stems=stems, blobs=blobs, max_upload_mb=settings.max_upload_mb
        )
        sweeps = Sweeps(
            jobs=job_store,
            queue=queue,
            library=library_store,
            blobs=blobs,
            cursor=SweepCursor(database),
            workflow=workflow,
            heartbeat_timeout=settings.job_policy.heartbeat_timeout,
            clock=clock,
        )
        return cls(
            settings=settings,
            database=database,
            index=index,
            blobs=blobs,
            queue=queue,
            jobs=jobs,
            job_statistics=statistics,
            library=library,
            library_statistics=LibraryStatistics(counters),
            stems=stems,
            search=Search(index),
            repair=LibraryRepair(
                store=library_store, index=library_index, search_index=index, counters=counters
            ),
            workflow=workflow,
            reanalysis=Reanalysis(jobs=job_store, library=library_store, workflow=workflow),
            sweeps=sweeps,
            clock=clock,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.database.close()
        await self.queue.close()
        await self.blobs.close()

"""Anything that can happen to jobs, in any order, over the real SDKs; whatever comes, the promises hold."""

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from functions.services import Services
from shared.errors import ConflictError, NotFoundError
from shared.models import TERMINAL_STATUSES, Job, JobStatus, StemType
from shared.settings import AppSettings
from shared.worker_contract import ClaimRequest, Failure, Heartbeat
from tests.integration.conftest import TurnedClock
from tests.integration.songs import completion, save_stems

EXAMPLES = int(os.environ.get("JOB_MACHINE_EXAMPLES", "15"))
STEPS = 40
SONGS = 2
WORKERS = ("w1", "w2", "w3")
REFUSALS = (ConflictError, NotFoundError)

Result = TypeVar("Result")


@dataclass
class World:
    """The services, and what they are driven with."""

    runner: asyncio.Runner
    services: Services
    clock: TurnedClock
    container: ContainerClient

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)


@dataclass
class Seen:
    """What the test knows of one job."""

    status: JobStatus
    holder: tuple[str, int] | None = None
    """Worker and attempt of the latest claim."""
    claims: int = 0
    """Of this series, without those that were given back."""


@dataclass
class Song:
    """A song under test."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    job_ids: list[str] = field(default_factory=list)

    @property
    def blob_name(self) -> str:
        return f"{self.id}/song.wav"


class JobMachine(RuleBasedStateMachine):
    """Users, events, workers and timers do what they like."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.songs = [Song() for _ in range(SONGS)]
        self.held: dict[str, Job] = {}
        self.seen: dict[str, Seen] = {}
        self.completed: set[tuple[str, int]] = set()
        self.retried: set[str] = set()

    songs_drawn = st.integers(0, SONGS - 1)
    workers_drawn = st.sampled_from(WORKERS)

    @rule(song=songs_drawn, times=st.integers(1, 2))
    def upload(self, song: int, times: int) -> None:
        self.world.container.upload_blob(self.songs[song].blob_name, uuid.uuid4().bytes, overwrite=True)
        for _ in range(times):
            self.announce(song)

    @rule(song=songs_drawn)
    def announce(self, song: int) -> None:
        job = self.world.run(self.world.services.workflow.on_upload(self.songs[song].blob_name))
        if job and job.id not in self.songs[song].job_ids:
            self.songs[song].job_ids.append(job.id)
            self.seen[job.id] = Seen(job.status)

    @rule(song=songs_drawn, worker=workers_drawn, is_old_message=st.booleans())
    def claim(self, song: int, worker: str, is_old_message: bool) -> None:
        for job in self.jobs_of(song):
            attempt = 1 if is_old_message else job.queued_attempt
            request = ClaimRequest(attempt=attempt, worker_id=worker)
            with contextlib.suppress(*REFUSALS):
                claimed = self.world.run(self.world.services.workflow.claim(job.id, request))
                if (claimed.worker_id, claimed.attempt) == (job.worker_id, job.attempt):
                    continue  # it has the job, and is told so again
                assert job.status is not JobStatus.RUNNING or self.is_lapsed(job), (
                    "a live lease was taken over"
                )
                self.held[worker] = claimed
                self.seen[job.id].holder = (worker, claimed.attempt)
                self.seen[job.id].claims += 1

    @rule(worker=workers_drawn)
    def beat(self, worker: str) -> None:
        if job := self.held.get(worker):
            beat = Heartbeat(attempt=job.attempt, worker_id=worker)
            self.call(job, self.world.services.jobs.heartbeat(job.id, beat))

    @rule(worker=workers_drawn)
    def complete(self, worker: str) -> None:
        if job := self.held.get(worker):
            workflow = self.world.services.workflow
            with contextlib.suppress(*REFUSALS):
                self.world.run(save_stems(self.world.services, self.world.container, job))
            if self.call(job, workflow.complete(job.id, completion(job))):
                self.completed.add((job.id, job.attempt))

    @rule(worker=workers_drawn, kind=st.sampled_from(["permanent", "transient", "released"]))
    def fail(self, worker: str, kind: str) -> None:
        if job := self.held.get(worker):
            wire = {"attempt": job.attempt, "workerId": worker, "error": "It broke.", "kind": kind}
            before = self.status_of(job.id)
            failed = self.call(job, self.world.services.workflow.fail(job.id, Failure.model_validate(wire)))
            if failed and kind == "released" and before is JobStatus.RUNNING:
                self.seen[job.id].claims -= 1

    @rule(worker=workers_drawn, number=st.integers(1, 3))
    def save_some_stems(self, worker: str, number: int) -> None:
        if job := self.held.get(worker):
            types = list(StemType)[:number]
            with contextlib.suppress(*REFUSALS):
                self.world.run(save_stems(self.world.services, self.world.container, job, *types))

    @rule(seconds=st.sampled_from([1, 31, 91, 1860, 8 * 24 * 3600]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.turn(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        async def on_ended(job: Job) -> None:
            assert job.is_terminal

        self.world.run(self.world.services.sweeps.sweep(on_ended))

    @rule(song=songs_drawn)
    def announce_again(self, song: int) -> None:
        """As a sweep does that takes the message for lost, be it so or not."""
        for job in self.jobs_of(song):
            self.world.run(self.world.services.workflow.announce_again(job.id, self.world.clock()))

    @rule()
    def purge(self) -> None:
        self.world.run(self.world.services.sweeps.purge())

    @rule(song=songs_drawn)
    def cancel(self, song: int) -> None:
        for job in self.jobs_of(song):
            with contextlib.suppress(*REFUSALS):
                self.world.run(self.world.services.workflow.cancel(job.id))

    @rule(song=songs_drawn)
    def retry(self, song: int) -> None:
        for job in self.jobs_of(song):
            with contextlib.suppress(*REFUSALS):
                self.world.run(self.world.services.workflow.retry(job.id))
                self.retried.add(job.id)
                self.seen[job.id].claims = 0

    @rule(song=songs_drawn)
    def delete_audio(self, song: int) -> None:
        self.world.run(self.world.services.workflow.delete_audio(self.songs[song].id))
        assert not list(self.world.container.list_blob_names(name_starts_with=self.songs[song].id))

    @invariant()
    def an_ended_job_changes_only_by_a_retry(self) -> None:
        for job_id, seen in self.seen.items():
            status = self.status_of(job_id)
            if status is None:
                continue
            if seen.status in TERMINAL_STATUSES and status is not seen.status:
                assert job_id in self.retried, f"{seen.status} became {status}"
            seen.status = status
        self.retried.clear()

    @invariant()
    def attempts_are_bounded(self) -> None:
        for job_id, seen in self.seen.items():
            assert seen.claims <= self.world.services.settings.max_retries + 1, job_id

    @invariant()
    def only_stems_of_completed_attempts_are_visible(self) -> None:
        for song in self.songs:
            with contextlib.suppress(NotFoundError):
                for stem in self.world.run(self.world.services.stems.of_song(song.id)):
                    job_id, attempt = stem.blob_uri.split("/")[-3:-1]
                    assert (job_id, int(attempt)) in self.completed

    def teardown(self) -> None:
        """Every job ends, and what is left is a song with the stems of its last completed analysis."""
        for _ in range(3):
            self.world.clock.turn(minutes=31)
            self.sweep()
            for number in range(SONGS):
                self.claim(number, WORKERS[0], is_old_message=False)
                if WORKERS[0] in self.held:
                    self.complete(WORKERS[0])
        for number, song in enumerate(self.songs):
            assert all(job.is_terminal for job in self.jobs_of(number))
            with contextlib.suppress(NotFoundError):
                visible = self.world.run(self.world.services.stems.of_song(song.id))
                blobs = self.world.container.list_blob_names(name_starts_with=f"{song.id}/stems/")
                uris = [stem.blob_uri for stem in visible]
                uris += [json.loads(str(stem.notation_data))["midiUri"] for stem in visible]
                assert sorted(blobs) == sorted(str(self.world.services.blobs.name_of(uri)) for uri in uris)
        self.world.clock.turn(days=8)
        self.purge()
        assert not any(self.jobs_of(number) for number in range(SONGS))

    def call(self, job: Job, call: Coroutine[Any, Any, object]) -> bool:
        """Make a worker's call; return whether it was accepted, which only the latest claim's may be."""
        try:
            self.world.run(call)
        except REFUSALS:
            return False
        assert self.seen[job.id].holder == (job.worker_id, job.attempt), "a superseded worker was heard"
        return True

    def jobs_of(self, song: int) -> list[Job]:
        found = [self.job(job_id) for job_id in self.songs[song].job_ids]
        return [job for job in found if job]

    def job(self, job_id: str) -> Job | None:
        try:
            return self.world.run(self.world.services.jobs.get(job_id)).record
        except NotFoundError:
            return None

    def status_of(self, job_id: str) -> JobStatus | None:
        job = self.job(job_id)
        return job and job.status

    def is_lapsed(self, job: Job) -> bool:
        assert job.last_heartbeat is not None
        return job.last_heartbeat + self.world.services.settings.job_policy.lease <= self.world.clock()


@pytest.fixture
def world(settings: AppSettings) -> Iterator[World]:
    clock = TurnedClock()
    service = BlobServiceClient.from_connection_string(str(settings.audio_storage))
    with asyncio.Runner() as runner, service:
        services = Services.build(settings, clock=clock)
        yield World(runner, services, clock, service.get_container_client(settings.audio_container))
        runner.run(services.close())


def test_the_promises_hold_whatever_happens(world: World) -> None:
    run_state_machine_as_test(
        lambda: JobMachine(world),
        settings=hypothesis_settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            print_blob=True,
            phases=(Phase.reuse, Phase.generate),  # to shrink takes minutes, each step being real
        ),
    )

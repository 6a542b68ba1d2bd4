"""Many jobs that complete together, the host killed amid them: each is there for 30 s and gone soon after."""

import asyncio
import contextlib
import math
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.conftest import wait_for
from tests.faults.many import RESULT, Calls, take_messages, upload_songs
from tests.faults.product import Product

JOBS = int(os.environ.get("MANY_JOBS", "100"))
"""They complete as fast as one host takes it, some 20 a second on two cores; deleting is faster."""
KEPT, GONE_AT = 30.0, 32.0
WATCHED = 5
"""Jobs that are asked for again and again; of the others the log tells."""
LOOK_SECONDS = 0.25
DELETED = re.compile(r"\[functions\] (\S+ \S+) INFO shared\.jobs: Job (\S+) deleted")
WORKER = {"attempt": 1, "workerId": "many"}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Here nothing but the durable timers deletes: the sweeps are years away."""
    with Product(
        tmp_path_factory.mktemp("many"),
        COMPLETED_JOB_TTL_SECONDS=str(int(KEPT)),
        LEASE_SECONDS="3600",
        STALE_SWEEP_SCHEDULE="0 0 0 29 2 *",
        PURGE_SCHEDULE="0 0 0 29 2 *",
    ) as product:
        yield product


async def watch(api: httpx.AsyncClient, job_id: str, completed_at: datetime) -> tuple[float, float]:
    """Return how old the job was when it was seen last, and when it was seen to be gone."""
    seen = 0.0
    while True:
        asked = seconds_between(completed_at, datetime.now(UTC))
        with contextlib.suppress(httpx.TransportError):  # while the host is being restarted
            answer = await api.get(f"/api/jobs/{job_id}")
            if answer.status_code == 404:
                assert answer.json()["outcome"] == "Completed"
                return seen, seconds_between(completed_at, datetime.now(UTC))
            assert answer.json()["status"] == "Completed"
            seen = asked
        await asyncio.sleep(LOOK_SECONDS)


def deletions(product: Product) -> dict[str, datetime]:
    """Return when jobs were deleted, by the log: to ask for each again and again is a load of its own."""
    found = DELETED.findall(product.log.read_text())
    return {job_id: datetime.fromisoformat(moment).astimezone(UTC) for moment, job_id in found}


def seconds_between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


async def test_each_of_many_jobs_is_deleted_in_its_time(product: Product):
    await upload_songs(product, JOBS)
    jobs = list(take_messages(product, JOBS))
    await Calls(product, "claim", **WORKER).make(jobs)
    completing = Calls(product, "complete", **WORKER, **RESULT)

    def restart_amid() -> None:
        wait_for(lambda: len(completing.answers) >= JOBS // 2, "half of the completions")
        product.restart_host()

    completed, _ = await asyncio.gather(completing.make(jobs), asyncio.to_thread(restart_amid))
    moments = {job_id: datetime.fromisoformat(job["completedAt"]) for job_id, job in completed.items()}
    first, last = min(moments.values()), max(moments.values())

    async with httpx.AsyncClient(base_url=product.api) as api:
        watched = jobs[:: max(1, JOBS // WATCHED)]
        looks = await asyncio.gather(*(watch(api, job_id, moments[job_id]) for job_id in watched))
    wait_for(lambda: len(deletions(product)) == JOBS, "the deletion of all jobs")
    ages = sorted(seconds_between(moments[job_id], moment) for job_id, moment in deletions(product).items())
    p99 = ages[math.ceil(0.99 * JOBS) - 1]
    print(
        f"{JOBS} jobs, completed within {seconds_between(first, last):.1f} s: deleted {ages[0]:.2f} to "
        f"{ages[-1]:.2f} s after that, p99 {p99:.2f} s"
    )
    assert ages[0] >= KEPT
    assert p99 <= GONE_AT
    assert min(gone for _, gone in looks) >= KEPT, "all looks before that saw the job"
    assert min(seen for seen, _ in looks) > 0

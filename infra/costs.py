"""What a deployment costs a month, by the prices and habits below: `python infra/costs.py`. Put your own in.

Estimates of November 2026: nothing of this was measured in Azure, or read from its price list then. Prices
are pay-as-you-go list prices in US dollars, as widely published for large regions; that of a GPU is the
least sure.
"""

from dataclasses import dataclass

DAYS = 30


@dataclass(frozen=True)
class Prices:
    """US dollars."""

    worker_vcpu_second: float = 0.000024
    worker_gib_second: float = 0.000003
    worker_gpu_second: float = 0.26 / 3600  # T4; an assumption, see the price list of your region
    function_gb_second: float = 0.000026
    function_free_gb_seconds: float = 100_000
    blob_hot_gb_month: float = 0.018
    blob_write: float = 0.05 / 10_000
    request_unit: float = 0.25 / 1_000_000
    cosmos_gb_month: float = 0.25
    service_bus_month: float = 10.0
    registry_month: float = 5.0
    log_alert_month: float = 1.5
    metric_alert_month: float = 0.1
    logs_gb: float = 2.3
    logs_free_gb: float = 5.0
    download_gb: float = 0.087
    download_free_gb: float = 100.0


@dataclass(frozen=True)
class Habits:
    """What a song takes. A song is four minutes long."""

    separation_seconds: float = 30.0
    """On a T4, which waits for nothing else while songs are there: the estimate of docs/scaling.md."""
    other_seconds: float = 18.0
    """A song's download, analysis and saving; with two songs at work they take time of their own only when no
    other song is separated meanwhile, once each time that a worker runs."""
    start_seconds: float = 90.0
    """Of a worker that starts, from its image to a loaded model."""
    vcpus: int = 8
    memory_gib: int = 56
    song_gb: float = 0.010
    stems_gb: float = 0.170
    blobs: int = 17
    request_units: float = 1_020
    records_gb: float = 0.00003
    function_gb_seconds: float = 120
    """The app's calls, 2 GB each, and those of people who look at the song."""
    logs_gb: float = 0.0003
    downloads_gb: float = 0.1
    idle_function_gb_seconds: float = 9_360 * 2 * 2
    """Timers: 12 sweeps an hour and a purge, two seconds each."""
    idle_logs_gb: float = 2.0


def month(songs_a_day: int, prices: Prices, habits: Habits) -> dict[str, float]:
    """Return the cost of the first month by part; storage is what a month's songs take when it is over."""
    songs = songs_a_day * DAYS
    # Few songs come one by one, and each starts a worker; many keep it busy.
    starts = min(songs, 20 * DAYS if songs_a_day <= 1_000 else 100 * DAYS)
    seconds = songs * habits.separation_seconds + starts * (habits.other_seconds + habits.start_seconds)
    machine = (
        prices.worker_gpu_second
        + habits.vcpus * prices.worker_vcpu_second
        + habits.memory_gib * prices.worker_gib_second
    )
    gb_seconds = songs * habits.function_gb_seconds + habits.idle_function_gb_seconds
    return {
        "worker (T4)": seconds * machine,
        "functions": max(0, gb_seconds - prices.function_free_gb_seconds) * prices.function_gb_second,
        "storage": songs * (habits.song_gb + habits.stems_gb) * prices.blob_hot_gb_month
        + songs * habits.blobs * prices.blob_write,
        "Cosmos DB": songs * habits.request_units * prices.request_unit
        + songs * habits.records_gb * prices.cosmos_gb_month,
        "Service Bus": prices.service_bus_month,
        "registry": prices.registry_month,
        "logs and alerts": max(0, songs * habits.logs_gb + habits.idle_logs_gb - prices.logs_free_gb)
        * prices.logs_gb
        + 6 * prices.log_alert_month
        + prices.metric_alert_month,
        "downloads": max(0, songs * habits.downloads_gb - prices.download_free_gb) * prices.download_gb,
    }


def table(prices: Prices, habits: Habits) -> str:
    """Return the costs as a table in Markdown."""
    loads = {"idle": 0, "100 songs a day": 100, "10,000 songs a day": 10_000}
    months = [month(songs, prices, habits) for songs in loads.values()]
    rows = [[part, *(f"{costs[part]:,.0f}" for costs in months)] for part in months[0]]
    rows.append(["**together**", *(f"**{sum(costs.values()):,.0f}**" for costs in months)])
    lines = [["US dollars a month", *loads], ["---", *("--:" for _ in loads)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table(Prices(), Habits()))

"""How much of its time the GPU is said to work."""

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gpu_worker.busy import BusyShare, send_gpu_share


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_share_is_of_the_time_since_the_last_reading():
    clock = Clock()
    busy = BusyShare(clock)
    clock.now = 105.0
    busy.begin()
    clock.now = 107.0
    busy.begin()  # progress
    clock.now = 110.0
    assert busy.read() == 0.5
    clock.now = 112.0
    busy.end()
    busy.end()
    clock.now = 120.0
    assert busy.read() == 0.2
    assert busy.read() == 0


@pytest.mark.parametrize(("has_gpu", "sent"), [(True, [0.25]), (False, [])])
def test_without_a_gpu_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, has_gpu: bool, sent: list[float]):
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics, "get_meter", MeterProvider([reader], shutdown_on_exit=False).get_meter)
    clock = Clock()
    busy = BusyShare(clock)
    send_gpu_share(busy, lambda: has_gpu)
    busy.begin()
    clock.now += 1
    busy.end()
    clock.now += 3
    data = reader.get_metrics_data()
    points = [
        point.value
        for resource in (data.resource_metrics if data else [])
        for metric in resource.scope_metrics[0].metrics
        for point in metric.data.data_points
    ]
    assert points == sent

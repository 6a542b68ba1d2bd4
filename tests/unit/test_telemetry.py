"""What spans say and belong to; that nothing is sent unasked, and that no receiver stops anything."""

import json
import os
import socket
import subprocess
import sys
import uuid

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from local.process import free_port
from shared import exporters, telemetry
from shared.settings import TelemetrySettings
from tests.collector import Collector
from tests.conftest import ROOT

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    return exporter


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def test_a_call_belongs_to_the_trace_of_its_caller(spans: InMemorySpanExporter):
    with telemetry.span_of_call("served", CALLER, SpanKind.SERVER, job_id="j"):
        pass
    (span,) = spans.get_finished_spans()
    assert (parent_of(span), span.kind) == ("b7ad6b7169203331", SpanKind.SERVER)
    assert span.attributes == {"stem_library.job_id": "j"}


@pytest.mark.parametrize("traceparent", [None, "", "nonsense"])
def test_a_call_of_nobody_is_a_trace_of_its_own(spans: InMemorySpanExporter, traceparent: str | None):
    with telemetry.span_of_call("served", traceparent):
        pass
    (span,) = spans.get_finished_spans()
    assert (parent_of(span), span.kind) == (None, SpanKind.CONSUMER)


@pytest.mark.parametrize("traceparent", [CALLER, None])
def test_within_the_span_of_the_host_it_is_no_second_request(
    spans: InMemorySpanExporter, traceparent: str | None
):
    with (
        telemetry.span_of_call("of the host", traceparent, SpanKind.SERVER) as hosts,
        telemetry.span_of_call("served", traceparent, SpanKind.SERVER),
    ):
        pass
    span, _ = spans.get_finished_spans()
    assert (parent_of(span), span.kind) == (f"{hosts.get_span_context().span_id:016x}", SpanKind.INTERNAL)


def test_the_trace_of_a_job_holds_where_the_host_begins_another(spans: InMemorySpanExporter):
    """So a durable activity, which the host calls from its own timer."""
    with telemetry.span("of the host"), telemetry.span_of_call("activity", CALLER):
        pass
    span, _ = spans.get_finished_spans()
    assert (parent_of(span), span.kind) == ("b7ad6b7169203331", SpanKind.CONSUMER)


def test_of_an_error_the_type_is_noted_and_not_its_words(spans: InMemorySpanExporter):
    with pytest.raises(ValueError, match="sig"), telemetry.span("failing"):
        raise ValueError("https://account.example/song.wav?sig=secret")
    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
    assert span.attributes == {"error.type": "ValueError"}
    assert "secret" not in span.to_json()


@pytest.mark.parametrize("value", [CALLER, CALLER.encode(), 3, None, b"\xff"])
def test_what_a_message_carries_is_read_whatever_it_is(value: object):
    for properties in ({"traceparent": value}, {b"traceparent": value}):
        text = telemetry.traceparent_of(properties)
        assert text is None or isinstance(text, str)
        with telemetry.span_of_call("received", text):
            pass
    assert telemetry.traceparent_of(None) is None
    assert telemetry.traceparent_of(telemetry.message_properties(CALLER)) == CALLER


def test_steps_that_were_taken_elsewhere_lie_one_after_the_other(spans: InMemorySpanExporter):
    with telemetry.span("job") as job:
        telemetry.note_steps({"decode": 0.5, "separate": 2.25})
    decode, separate = sorted(spans.get_finished_spans()[:2], key=lambda span: span.start_time or 0)
    assert [decode.name, separate.name] == ["decode", "separate"]
    assert decode.end_time == separate.start_time
    assert separate.end_time is not None and separate.start_time is not None
    assert separate.end_time - separate.start_time == 2_250_000_000
    assert parent_of(decode) == f"{job.get_span_context().span_id:016x}"


# As a program that was set up to send, has something to send, and ends.
PROGRAM = """
import logging, os, sys, threading
from opentelemetry import metrics
from shared import instruments, telemetry
from shared.settings import TelemetrySettings
telemetry.set_up("probe", TelemetrySettings())
with telemetry.span("probed"):
    logging.getLogger("probe").warning("said")
    instruments.DEAD_LETTERS.add(1)
    instruments.GROWTH.set(4)
if "opentelemetry.sdk" in sys.modules and "LEAVES_ALL_FOR_THE_END" not in os.environ:
    metrics.get_meter_provider().force_flush()
print(len(threading.enumerate()), "opentelemetry.sdk" in sys.modules)
"""
APPLICATION_INSIGHTS = f"InstrumentationKey={uuid.UUID(int=0)};IngestionEndpoint=http://127.0.0.1:9/"


def run(timeout: float = 120, **settings: str) -> subprocess.CompletedProcess[str]:
    names = {str(field.validation_alias) for field in TelemetrySettings.model_fields.values()}
    env = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**env, **settings},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_without_a_destination_there_is_no_thread_and_no_sdk():
    done = run(APPLICATIONINSIGHTS_CONNECTION_STRING="", OTEL_EXPORTER_OTLP_ENDPOINT="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 False\n", "said\n")


def test_what_is_left_is_sent_at_the_end_and_what_a_gauge_says_only_once():
    with Collector() as collector:
        done = run(**{**collector.settings, "OTEL_BSP_SCHEDULE_DELAY": "60000"})
        assert done.returncode == 0, done.stderr
        assert [(span.name, span.service) for span in collector.spans()] == [("probed", "probe")]
        (record,) = collector.logs()
        assert (record.text, record.trace_id) == ("said", next(collector.spans()).trace_id)
        sent = [metric for service, metric in collector.metrics() if service == "probe"]
        assert sent.count("stem_library.queue.dead_letters") == 2
        assert sent.count("stem_library.library.growth") == 1


def test_the_console_has_a_line_for_each():
    done = run(TELEMETRY_CONSOLE="true")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert [json.loads(line).get("name") for line in lines].count("probed") == 1
    assert "stem_library.queue.dead_letters" in "".join(lines)


def test_nobody_at_the_endpoint_stops_nothing():
    """And the log of failing to send is not sent itself, for ever."""
    nobody = f"http://127.0.0.1:{free_port()}"
    done = run(OTEL_EXPORTER_OTLP_ENDPOINT=nobody, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert (done.returncode, done.stdout.split()[-1]) == (0, "True")


def test_an_endpoint_that_never_answers_holds_up_the_end_for_seconds_only():
    """By themselves the three kinds of signals would wait for half a minute, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        done = run(80, **settings, LEAVES_ALL_FOR_THE_END="1")
    assert (done.returncode, done.stdout.split()[-1]) == (0, "True")


def test_application_insights_is_reached_by_identity_and_told_of_gauges_once():
    settings = TelemetrySettings(APPLICATIONINSIGHTS_CONNECTION_STRING=APPLICATION_INSIGHTS)
    (destination,) = exporters.destinations(settings)
    for exporter in (destination.spans, destination.metrics, destination.logs):
        assert type(exporter).__name__.startswith("AzureMonitor")
        assert type(exporter._credential).__name__ == "DefaultAzureCredential"
        exporter.shutdown()

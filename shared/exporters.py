"""Where telemetry goes: Application Insights, any OTLP endpoint, the console. Imported where one is set."""

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry import _logs, metrics, trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider, _Gauge
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from shared.settings import TelemetrySettings

SECONDS_TO_END = 5.0
"""What was not sent so long after the process began to end is lost."""


@dataclass(frozen=True)
class Destination:
    """Where the signals go. The console has the log anyway."""

    spans: SpanExporter
    metrics: MetricExporter
    logs: LogRecordExporter | None = None


def set_up(service: str, settings: TelemetrySettings) -> None:
    """Send spans, metrics and log records to every destination of the settings; what is left, at exit."""
    os.environ.setdefault("OTEL_SERVICE_NAME", service)
    resource = Resource.create()
    chosen = list(destinations(settings))
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    meters = MeterProvider([_reader(each.metrics) for each in chosen], resource, shutdown_on_exit=False)
    for destination in chosen:
        tracers.add_span_processor(BatchSpanProcessor(destination.spans))
        if destination.logs:
            loggers.add_log_record_processor(BatchLogRecordProcessor(destination.logs))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    if any(destination.logs for destination in chosen):
        _logs.set_logger_provider(loggers)
        handler = LoggingHandler(logger_provider=loggers)
        # What is said while sending, such as that it fails, is not sent: that would never end.
        handler.addFilter(lambda record: is_instrumentation_enabled())
        logging.getLogger().addHandler(handler)
    _end_in_time(tracers, meters, loggers)


def _end_in_time(*providers: TracerProvider | MeterProvider | LoggerProvider) -> None:
    """Have the providers send what is left when the process ends, side by side and within a time.

    By themselves they do so one after the other, each for up to half a minute. The threads wait from now on,
    since none can be started at exit.
    """
    is_ending = threading.Event()

    def end(provider: TracerProvider | MeterProvider | LoggerProvider) -> None:
        is_ending.wait()
        provider.shutdown()

    threads = [threading.Thread(target=end, args=(provider,), daemon=True) for provider in providers]
    for thread in threads:
        thread.start()

    @atexit.register
    def at_exit() -> None:
        is_ending.set()
        last = time.monotonic() + SECONDS_TO_END
        for thread in threads:
            thread.join(max(0.0, last - time.monotonic()))


def _reader(exporter: MetricExporter) -> MetricReader:
    """Return a reader that sends what a gauge was set to once.

    By default it would be repeated as long as the process lives, next to newer values that other instances
    of the app have measured. The exporters have no parameter for this, or not all.
    """
    usual = exporter._preferred_temporality or {}
    exporter._preferred_temporality = {**usual, _Gauge: AggregationTemporality.DELTA}
    return PeriodicExportingMetricReader(exporter)


def destinations(settings: TelemetrySettings) -> Iterator[Destination]:
    """Yield the destinations that are set."""
    if settings.application_insights:
        yield _application_insights(settings.application_insights)
    if settings.otlp_endpoint:
        yield _otlp()
    if settings.telemetry_console:
        yield Destination(
            ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n"),
            ConsoleMetricExporter(formatter=lambda data: data.to_json(indent=None) + "\n"),
        )


def _application_insights(connection_string: str) -> Destination:
    from azure.identity import DefaultAzureCredential
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    credential = DefaultAzureCredential()
    return Destination(
        AzureMonitorTraceExporter(connection_string=connection_string, credential=credential),
        AzureMonitorMetricExporter(connection_string=connection_string, credential=credential),
        AzureMonitorLogExporter(connection_string=connection_string, credential=credential),
    )


def _otlp() -> Destination:
    """Return the exporters that read OTEL_EXPORTER_OTLP_ENDPOINT and its kin themselves."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Destination(OTLPSpanExporter(), OTLPMetricExporter(), OTLPLogExporter())

"""A collector of telemetry: takes OTLP over HTTP on loopback, and keeps what comes."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    name: str
    service: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    """Empty of a root."""
    begin: int
    end: int
    attributes: Mapping[str, str]
    is_failed: bool


@dataclass(frozen=True)
class LogRecord:
    text: str
    trace_id: str


class Collector:
    """It listens while it is entered."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": [], "/v1/logs": []}
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies[self.path].append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """Environment of a program that sends here, and soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }

    def spans(self) -> Iterator[Span]:
        for body in [*self.bodies["/v1/traces"]]:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _values(resource.resource.attributes)["service.name"]
                for span in (span for scope in resource.scope_spans for span in scope.spans):
                    yield Span(
                        span.name,
                        service,
                        span.kind,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        _values(span.attributes),
                        span.status.code == span.status.STATUS_CODE_ERROR,
                    )

    def metrics(self) -> Iterator[tuple[str, str]]:
        """Yield service and name of a metric, each time that it came."""
        for body in [*self.bodies["/v1/metrics"]]:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                service = _values(resource.resource.attributes)["service.name"]
                for scope in resource.scope_metrics:
                    yield from ((service, metric.name) for metric in scope.metrics)

    def logs(self) -> Iterator[LogRecord]:
        for body in [*self.bodies["/v1/logs"]]:
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for record in (record for scope in resource.scope_logs for record in scope.log_records):
                    yield LogRecord(record.body.string_value, record.trace_id.hex())


def _values(attributes: Any) -> dict[str, str]:
    kinds = ((pair.key, pair.value, pair.value.WhichOneof("value")) for pair in attributes)
    return {key: str(getattr(value, kind)) for key, value, kind in kinds}

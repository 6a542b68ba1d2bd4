"""Traces: one runs from a blob's event through the queue to the worker, and back to the API.

Only OpenTelemetry's API is imported here: without a destination among the settings its spans and instruments
do nothing. With one, `set_up` loads the SDK. A span carries no URL (a SAS is one), and of an error only its
type, since its words may hold one.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_TRACE_ID, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from shared.settings import TelemetrySettings

TRACEPARENT = "traceparent"
DIAGNOSTIC_ID = "Diagnostic-Id"
"""By this name the Azure SDKs and the Functions host look for a message's traceparent."""
NANOSECONDS = 10**9

_tracer = trace.get_tracer("stem_library")
_w3c = TraceContextTextMapPropagator()


def set_up(service: str, settings: TelemetrySettings) -> None:
    """Send what this process notes to the destinations of its settings, if they name any."""
    if settings.has_destination:
        from shared import exporters

        exporters.set_up(service, settings)


@contextmanager
def span(
    name: str,
    *,
    after: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    **attributes: AttributeValue,
) -> Iterator[Span]:
    """Note what happens meanwhile, within the present span; also a decorator of functions that are not async.

    Parameters
    ----------
    after : Context, optional
        What this belongs to instead of the present span.
    attributes
        Noted with `stem_library.` before their names.
    """
    with _tracer.start_as_current_span(
        name,
        context=after,
        kind=kind,
        attributes={f"stem_library.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            fail(type(error).__name__)
            raise


@contextmanager
def span_of_call(
    name: str,
    traceparent: str | None,
    kind: SpanKind = SpanKind.CONSUMER,
    **attributes: AttributeValue,
) -> Iterator[Span]:
    """Note a call from outside, in the caller's trace, if any.

    Azure's host begins a span for each call and gives it where the Python worker is told to
    (`PYTHON_ENABLE_OPENTELEMETRY`). This one lies within it, and is no second request then; but not if the
    host's is of another trace than the caller's, as that of a durable activity.
    """
    caller = _w3c.extract({TRACEPARENT: traceparent} if traceparent else {}, Context())
    of_caller = trace.get_current_span(caller).get_span_context()
    of_host = trace.get_current_span().get_span_context()
    is_within = of_host.is_valid and of_caller.trace_id in (of_host.trace_id, INVALID_TRACE_ID)
    after, kind = (None, SpanKind.INTERNAL) if is_within else (caller, kind)
    with span(name, after=after, kind=kind, **attributes) as current:
        yield current


def fail(error_type: str) -> None:
    """Mark the present span as failed."""
    current = trace.get_current_span()
    current.set_attribute("error.type", error_type)
    current.set_status(StatusCode.ERROR)


def note(**attributes: AttributeValue) -> None:
    """Add attributes to the present span, as those of `span`."""
    for key, value in attributes.items():
        trace.get_current_span().set_attribute(f"stem_library.{key}", value)


def note_steps(seconds: Mapping[str, float]) -> None:
    """Note steps that were taken elsewhere one after the other, the last of which has just ended."""
    end = time.time_ns()
    for name, length in reversed(list(seconds.items())):
        begin = end - round(length * NANOSECONDS)
        _tracer.start_span(name, start_time=begin).end(end)
        end = begin


def headers() -> dict[str, str]:
    """Return the header by which a request carries the present span, none where there is no span."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return {name: value for name, value in carrier.items() if name == TRACEPARENT}


def present() -> str | None:
    """Return the present span as the W3C's traceparent, None where there is none."""
    return headers().get(TRACEPARENT)


def message_properties(traceparent: str | None) -> dict[str | bytes, Any]:
    """Return the application properties by which a message carries a traceparent."""
    return {} if traceparent is None else {TRACEPARENT: traceparent, DIAGNOSTIC_ID: traceparent}


def traceparent_of(properties: Mapping[Any, Any] | None) -> str | None:
    """Return the traceparent that a message carries, if any; the SDKs have texts or bytes."""
    known = properties or {}
    value = known.get(TRACEPARENT, known.get(TRACEPARENT.encode()))
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value and str(value)

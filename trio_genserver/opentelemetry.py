"""Traces and figures of servers for OpenTelemetry; needs the extra ``trio-genserver[opentelemetry]``.

A message is two spans, as the conventions for messaging have it: one of whoever sent it, and one of the
server while it handles it. The first is a child of the span that was current where the message was sent, the
second is a child of the first, and is current itself while the handler runs, in a child task as well. So
what a handler sends, and the spans that it makes itself, become children of it: a trace follows a request
through any number of servers, and the gap between two spans is the time in a mailbox. Baggage goes along.

Only the envelope of the message links them: there is no table to leak.

Only the API of OpenTelemetry is used. Which SDK collects, and where to, is the program's choice.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import trio
from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from ._instrument import Instrument
from ._ref import ref_of
from ._request import FAILED, Envelope, Info, Request
from ._task import Task

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from ._ref import ServerRef

__all__ = ["OpenTelemetryInstrument"]

NAME = "trio_genserver"

# Upper bounds in seconds, from what a handler of a server in the same process takes.
BUCKETS = (0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# The message that is handled in a context, for a crash in it.
_HANDLED = context.create_key(f"{NAME}.message")


class _InFlight:
    """One message on its flight.

    Attributes:
      name: the handler's, as ``Counter.increment``.
      operation: how it was sent: ``"call"``, ``"cast"``, ``"send"``, ``"start"`` (a task).
      sender: the span of a call until it has ended; those of other messages end where they are sent.
      context: what the server's span is a child of.
      sent, received: when, on Trio's clock; None: not while this instrument was there.
      ref, server: who handles it, and the span of that; while it is handled.
      outer: the context that was current in the server's task before.
    """

    __slots__ = ("context", "name", "operation", "outer", "received", "ref", "sender", "sent", "server")

    def __init__(self, envelope: Envelope) -> None:
        handler = getattr(envelope.message, "handler", None)
        if isinstance(envelope, Task):
            self.operation, self.name = "start", str(envelope.name)
        elif isinstance(envelope, Info):
            self.operation, self.name = "send", type(envelope.message).__name__
        else:
            self.operation = "call" if isinstance(envelope, Request) else "cast"
            self.name = f"{handler.owner.__name__}.{handler.name}" if handler is not None else ""
        self.sender: trace.Span | None = None
        self.context: Context = context.Context()
        self.sent: float | None = None
        self.received: float | None = None
        self.ref: ServerRef[Any] | None = None
        self.server: trace.Span | None = None
        self.outer: Context | None = None


class OpenTelemetryInstrument(Instrument):
    """Spans and metrics of every server of a run. Install it with `add_instrument`.

    Spans are named ``"call Counter.increment"`` where the message is sent (kind CLIENT for calls and tasks,
    until the reply; PRODUCER for others, which nobody waits for) and ``"process Counter.increment"`` where it
    is handled (SERVER or CONSUMER). Besides the attributes of the conventions for messaging
    (``messaging.system``, ``messaging.operation.name`` and ``.type``, ``messaging.destination.name``: the
    server, ``messaging.destination.template``: its class, ``error.type``) they have
    ``trio_genserver.message``: the handler's name. Never the arguments, which may be secret. A span has the
    status ERROR if the call failed or was given up (``error.type`` is then ``"abandoned"``), or the handler
    crashed.

    Metrics, with the server's class and the operation as attributes; times in seconds of Trio's clock:

    - ``messaging.client.sent.messages``, ``messaging.client.consumed.messages``: counters.
    - ``messaging.client.operation.duration``: histogram, of calls: from sending to the reply.
    - ``messaging.process.duration``: histogram, of handlers; its count is what was handled.
    - ``trio_genserver.mailbox.wait``: histogram, from sending to the begin of the handler.
    - ``trio_genserver.messages.dropped``: counter, with ``trio_genserver.reason``.
    - ``trio_genserver.crashes``, ``trio_genserver.restarts``: counters.
    - ``trio_genserver.servers``: how many run, of those that were started since this was installed.

    Args:
      tracer_provider, meter_provider: None: the global ones.
      server_names_in_metrics: whether metrics have the server's name (``messaging.destination.name``), too.
        Only for programs with few names: each makes series of its own.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        server_names_in_metrics: bool = False,
    ) -> None:
        version = _version()
        self._tracer = trace.get_tracer(NAME, version, tracer_provider)
        meter = metrics.get_meter(NAME, version or "", meter_provider)
        self._names_in_metrics = server_names_in_metrics
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Messages that were sent to servers"
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Messages that servers began to handle"
        )
        self._call_time = _seconds(
            meter, "messaging.client.operation.duration", "Time from a call to its end"
        )
        self._handler_time = _seconds(meter, "messaging.process.duration", "Time that a handler took")
        self._wait_time = _seconds(
            meter, f"{NAME}.mailbox.wait", "Time from the sending of a message to the start of its handler"
        )
        self._dropped = meter.create_counter(
            f"{NAME}.messages.dropped", "{message}", "Messages not handled, and replies not wanted"
        )
        self._crashes = meter.create_counter(f"{NAME}.crashes", "{crash}", "Crashes of servers and tasks")
        self._restarts = meter.create_counter(f"{NAME}.restarts", "{restart}", "Restarts by supervisors")
        self._servers = meter.create_up_down_counter(f"{NAME}.servers", "{server}", "Servers that run")
        self._running: set[ServerRef[Any]] = set()
        # The message that each server handles now: its span ends with the server, if nothing has ended it
        # before.
        self._handling: dict[ServerRef[Any], dict[_InFlight, None]] = {}

    # A message.

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        flight = self._flight(envelope)
        is_call = _is_call(envelope)
        span = self._tracer.start_span(
            f"{flight.operation} {flight.name}",
            kind=SpanKind.CLIENT if is_call else SpanKind.PRODUCER,
            attributes=_attributes(server, flight, "send"),
        )
        flight.context = trace.set_span_in_context(span)
        flight.sent = trio.current_time()
        self._sent.add(1, self._metric(server, flight.operation))
        if is_call:
            flight.sender = span
        else:
            span.end()

    def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
        flight = self._flight(envelope)
        is_call = _is_call(envelope)
        flight.received = trio.current_time()
        flight.outer = context.get_current()
        attributes = self._metric(server, flight.operation)
        self._consumed.add(1, attributes)
        if flight.sent is not None:
            self._wait_time.record(flight.received - flight.sent, attributes)
        flight.ref = server
        flight.server = self._tracer.start_span(
            f"process {flight.name}",
            context=flight.context,
            kind=SpanKind.SERVER if is_call else SpanKind.CONSUMER,
            attributes=_attributes(server, flight, "process"),
        )
        self._handling.setdefault(server, {})[flight] = None
        context.attach(
            context.set_value(_HANDLED, flight, trace.set_span_in_context(flight.server, flight.context))
        )

    def message_handled(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self._processed(self._flight(envelope))

    def message_replied(self, server: ServerRef[Any], envelope: Envelope) -> None:
        flight = self._flight(envelope)
        request: Any = envelope
        error = request._answer if request.state == FAILED else None
        self._answered(server, flight, error)
        if error is not None and flight.operation == "start":
            # The task was cancelled, or has raised; neither is handled.
            self._processed(flight, error)

    def message_abandoned(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self._answered(server, self._flight(envelope), "abandoned")

    def message_dropped(self, server: ServerRef[Any], envelope: Envelope, why: str) -> None:
        self._dropped.add(1, self._metric(server, self._flight(envelope).operation) | {f"{NAME}.reason": why})

    # A server.

    def server_started(self, server: ServerRef[Any]) -> None:
        self._running.add(server)
        self._servers.add(1, self._metric(server))

    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        self._crashes.add(1, self._metric(server) | {"error.type": _type_name(error)})
        flight = context.get_value(_HANDLED)
        if isinstance(flight, _InFlight) and flight.ref is server:
            # Not one of the server that started this one, whose context it inherits.
            self._processed(flight, error)

    def task_crashed(self, task: Task[Any], error: BaseException) -> None:
        server = ref_of(task.process)
        self._crashes.add(1, self._metric(server) | {"error.type": _type_name(error)})
        self._processed(self._flight(task), error)

    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None:
        self._restarts.add(1, self._metric(server))

    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        for flight in list(self._handling.get(server, ())):
            self._processed(flight, "cancelled")
        if server in self._running:
            self._running.remove(server)
            self._servers.add(-1, self._metric(server))

    # How they come about.

    def _flight(self, envelope: Envelope) -> _InFlight:
        if envelope.data is None:
            envelope.data = {}
        flight = envelope.data.get(self)
        if flight is None:
            flight = envelope.data[self] = _InFlight(envelope)
        return flight

    def _answered(self, server: ServerRef[Any], flight: _InFlight, error: BaseException | str | None) -> None:
        """A call has ended for its caller."""
        span, flight.sender = flight.sender, None
        if span is None or flight.sent is None:
            return
        attributes = self._metric(server, flight.operation) | _end(span, error)
        self._call_time.record(trio.current_time() - flight.sent, attributes)

    def _processed(self, flight: _InFlight, error: BaseException | str | None = None) -> None:
        """A message has been handled, or has ended its server, or has been ended by it."""
        span, server = flight.server, flight.ref
        if span is None or server is None or flight.received is None:
            return
        flight.server = flight.ref = None
        if flight.outer is not None and context.get_value(_HANDLED) is flight:
            context.attach(flight.outer)
        flight.outer = None
        attributes = self._metric(server, flight.operation) | _end(span, error)
        self._handler_time.record(trio.current_time() - flight.received, attributes)
        handling = self._handling[server]
        del handling[flight]
        if not handling:
            del self._handling[server]

    def _metric(self, server: ServerRef[Any], operation: str | None = None) -> dict[str, str]:
        attributes = {"messaging.system": NAME, "messaging.destination.template": _class_name(server)}
        if operation is not None:
            attributes["messaging.operation.name"] = operation
        if self._names_in_metrics:
            attributes["messaging.destination.name"] = server.name
        return attributes


def _seconds(meter: metrics.Meter, name: str, description: str) -> metrics.Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=BUCKETS)


def _is_call(envelope: object) -> bool:
    return isinstance(envelope, Request)


def _attributes(server: ServerRef[Any], flight: _InFlight, kind: str) -> dict[str, str]:
    return {
        "messaging.system": NAME,
        "messaging.operation.name": flight.operation if kind == "send" else kind,
        "messaging.operation.type": kind,
        "messaging.destination.name": server.name,
        "messaging.destination.template": _class_name(server),
        f"{NAME}.message": flight.name,
    }


def _end(span: trace.Span, error: BaseException | str | None) -> dict[str, str]:
    """End `span`; the attributes that metrics have for it."""
    attributes: dict[str, str] = {}
    if error is not None:
        attributes["error.type"] = error if isinstance(error, str) else _type_name(error)
        if isinstance(error, BaseException):
            span.record_exception(error)
        span.set_status(StatusCode.ERROR, str(error))
        span.set_attributes(attributes)
    span.end()
    return attributes


def _class_name(server: ServerRef[Any]) -> str:
    return server._process.spec.server_class.__name__


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _version() -> str | None:
    try:
        return importlib.metadata.version("trio-genserver")
    except importlib.metadata.PackageNotFoundError:
        return None  # run from a copy of the source

"""Traces and counters of servers for OpenTelemetry; needs the extra ``trio-genserver[opentelemetry]``.

A message is one span, from when it was sent to when it was answered or handled; a child of the span that
was current where it was sent. It is current in turn while the message is handled, so what the handler sends
becomes a child of it: a trace follows a request through any number of servers.

Only the API of OpenTelemetry is used. Which SDK collects, and where to, is the program's choice.
"""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING, Any

import trio.lowlevel
from opentelemetry import context, metrics, trace

from ._instrument import Instrument
from ._request import FAILED, Envelope, Request

if TYPE_CHECKING:
    from ._ref import ServerRef

__all__ = ["OpenTelemetryInstrument"]

NAME = "trio_genserver"


class OpenTelemetryInstrument(Instrument):
    """Install it with `add_instrument`.

    Spans are named ``"<server> <handler>"``: of kind CLIENT for calls, PRODUCER for casts and others. Their
    attributes: ``trio_genserver.server``, ``trio_genserver.message`` (the handler's name, never the
    arguments, which may be secret), ``trio_genserver.dropped`` (why it was not handled, or its answer not
    wanted). An event ``received`` marks the end of the wait in the mailbox. A call that fails has the
    status ERROR and its exception.

    Counters, with the server's name: ``trio_genserver.messages.handled``,
    ``trio_genserver.messages.dropped`` (with ``why``), ``trio_genserver.crashes``,
    ``trio_genserver.restarts``.

    Args:
      tracer_provider, meter_provider: None: the global ones.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self._handled = meter.create_counter(f"{NAME}.messages.handled", "{message}")
        self._dropped = meter.create_counter(f"{NAME}.messages.dropped", "{message}")
        self._crashes = meter.create_counter(f"{NAME}.crashes", "{crash}")
        self._restarts = meter.create_counter(f"{NAME}.restarts", "{restart}")
        # The messages on their way to each server. By identity: equal messages are several.
        self._open: dict[ServerRef[Any], dict[int, list[Envelope]]] = {}
        # What to restore in the context of each server's main task.
        self._tokens: dict[ServerRef[Any], Token[context.Context]] = {}

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        handler = getattr(envelope.message, "handler", None)
        name: str = getattr(handler, "name", type(envelope.message).__name__)
        span = self._tracer.start_span(
            f"{server.name} {name}",
            kind=trace.SpanKind.CLIENT if _is_call(envelope) else trace.SpanKind.PRODUCER,
            attributes={f"{NAME}.server": server.name, f"{NAME}.message": name},
        )
        if envelope.data is None:
            envelope.data = {}
        envelope.data[self] = span
        self._open.setdefault(server, {}).setdefault(id(envelope.message), []).append(envelope)

    def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
        span = self._span(envelope)
        if span is None:
            return
        span.add_event("received")
        if trio.lowlevel.current_task() is server._process.task:
            self._restore(server)
            self._tokens[server] = context.attach(trace.set_span_in_context(span))

    def message_handled(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self._handled.add(1, {"server": server.name})
        if trio.lowlevel.current_task() is server._process.task:
            self._restore(server)
        if not _is_call(envelope):
            self._end(server, envelope)

    def message_replied(self, server: ServerRef[Any], envelope: Envelope) -> None:
        request: Any = envelope
        span = self._span(envelope)
        if span is not None and request.state == FAILED:
            span.record_exception(request._answer)
            span.set_status(trace.StatusCode.ERROR, repr(request._answer))
        self._end(server, envelope)

    def message_dropped(self, server: ServerRef[Any], message: object, why: str) -> None:
        self._dropped.add(1, {"server": server.name, "why": why})
        envelopes = self._open.get(server, {}).get(id(message))
        if envelopes:
            self._end(server, envelopes[0], why)

    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        self._crashes.add(1, {"server": server.name})
        for envelope in self._open.get(server, {}).get(id(message), [])[:1]:
            span = self._span(envelope)
            if span is not None and not _is_call(envelope):
                span.record_exception(error)
                span.set_status(trace.StatusCode.ERROR, repr(error))

    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None:
        self._restarts.add(1, {"server": server.name})

    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        # Its task, and the context with it, is about to end.
        self._tokens.pop(server, None)
        for envelopes in list(self._open.get(server, {}).values()):
            for envelope in list(envelopes):
                self._end(server, envelope, "stopped")

    def _span(self, envelope: Envelope) -> trace.Span | None:
        return None if envelope.data is None else envelope.data.get(self)

    def _restore(self, server: ServerRef[Any]) -> None:
        token = self._tokens.pop(server, None)
        if token is not None:
            context.detach(token)

    def _end(self, server: ServerRef[Any], envelope: Envelope, dropped: str | None = None) -> None:
        span = None if envelope.data is None else envelope.data.pop(self, None)
        if span is None:
            return
        if dropped is not None:
            span.set_attribute(f"{NAME}.dropped", dropped)
        span.end()
        messages = self._open[server]
        envelopes = messages[id(envelope.message)]
        envelopes.remove(envelope)
        if not envelopes:
            del messages[id(envelope.message)]
        if not messages:
            del self._open[server]


def _is_call(envelope: object) -> bool:
    return isinstance(envelope, Request)

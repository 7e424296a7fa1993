"""Spans and metrics reach the real SDK of OpenTelemetry, with exporters and readers that keep everything in
memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from opentelemetry import baggage, trace
from opentelemetry import context as telemetry_context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_genserver import (
    Cast,
    From,
    GenServer,
    MailboxFull,
    Refuse,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    start_server,
)
from trio_genserver.instruments import add_instrument, remove_instrument
from trio_genserver.opentelemetry import OpenTelemetryInstrument
from trio_genserver.tasks import open_task_supervisor


class Back(GenServer):
    def __init__(self) -> None:
        self.froms: list[From[str]] = []

    @handle_call
    def get(self, secret: str = "secret") -> int:
        return 1

    @handle_call
    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @handle_call(child=True, max_children=1)
    async def sleep_in_child(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @handle_call(noreply=True)
    def later(self, from_: From[str]) -> None:
        self.froms.append(from_)

    @handle_call
    def refuse(self) -> None:
        raise Refuse(LookupError("not here"))

    @handle_call
    def crash(self) -> None:
        raise RuntimeError("boom")

    @handle_call(child=True)
    async def crash_in_child(self) -> None:
        raise RuntimeError("boom")

    @handle_call
    def baggage(self) -> object:
        return baggage.get_baggage("tenant")

    @handle_cast
    def put(self) -> None: ...

    @handle_cast
    async def sleep_on_cast(self) -> None:
        await trio.sleep(1)

    @handle_cast
    def crash_on_cast(self) -> None:
        raise RuntimeError("boom")

    @handle_cast
    def stop_on_cast(self) -> None:
        raise Stop

    async def handle_info(self, message: object) -> None: ...


class Front(GenServer):
    """Passes everything on to a `Back`, and shows which span is current for itself."""

    def __init__(self, back: ServerRef[Back], tracer: trace.Tracer) -> None:
        self.back = back
        self.tracer = tracer

    @handle_call
    async def get(self) -> int:
        await self.back.cast(Back.put())
        with self.tracer.start_as_current_span("own work"):
            return await self.back.call(Back.get())

    @handle_call(child=True)
    async def get_in_child(self) -> int:
        await self.back.cast(Back.put())
        with self.tracer.start_as_current_span("own work"):
            return await self.back.call(Back.get())

    @handle_call
    async def idle(self) -> None:
        self.set_timeout(1)

    async def handle_timeout(self) -> None:
        self.tracer.start_span("on timeout").end()


class Telemetry:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("test")
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.instrument = OpenTelemetryInstrument(self.tracers, self.meters)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    def points(self, name: str) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def total(self, name: str, **attributes: str) -> float:
        """The sum of a counter over the points with these attributes, given by their last words."""
        total: float = sum(
            point.value
            for point in self.points(name)
            if {key.rpartition(".")[2]: value for key, value in point.attributes.items()}.items()
            >= attributes.items()
        )
        return total


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.tracers.shutdown()
    telemetry.meters.shutdown()


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def identity(span: ReadableSpan) -> int:
    assert span.context is not None
    number: int = span.context.span_id
    return number


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


@pytest.mark.parametrize("name", ["get", "get_in_child"])
async def test_a_trace_follows_a_request_through_servers(telemetry: Telemetry, name: str) -> None:
    # OTP 174
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back, open_server(Front, back, telemetry.tracer) as front:
        with telemetry.tracer.start_as_current_span("request"):
            await front.call(getattr(Front, name)())
        await wait_all_tasks_blocked()
        chain = ["request", f"call Front.{name}", f"process Front.{name}", "own work"]
        chain += ["call Back.get", "process Back.get"]
        spans = [telemetry.span(name) for name in chain]
        assert [parent(span) for span in spans] == [None, *map(identity, spans[:-1])]
        put = telemetry.span("cast Back.put")
        assert parent(put) == identity(spans[2])
        assert parent(telemetry.span("process Back.put")) == identity(put)
        # What comes after it, to the same servers, is no part of it.
        telemetry.exporter.clear()
        await back.call(Back.get())
        await wait_all_tasks_blocked()
        assert parent(telemetry.span("call Back.get")) is None
    assert {span.status.status_code for span in telemetry.exporter.get_finished_spans()} == {StatusCode.UNSET}


async def test_spans_have_the_kind_and_the_attributes_of_the_conventions(telemetry: Telemetry) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(child_spec(Back).replace(name="b1")) as back:
        await back.call(Back.get("password"))
        await back.cast(Back.put())
        await back.send(3)
        await wait_all_tasks_blocked()
    assert {span.name: span.kind for span in telemetry.exporter.get_finished_spans()} == {
        "call Back.get": SpanKind.CLIENT,
        "process Back.get": SpanKind.SERVER,
        "cast Back.put": SpanKind.PRODUCER,
        "process Back.put": SpanKind.CONSUMER,
        "send int": SpanKind.PRODUCER,
        "process int": SpanKind.CONSUMER,
    }
    assert dict(telemetry.span("call Back.get").attributes or {}) == {
        "messaging.system": "trio_genserver",
        "messaging.operation.name": "call",
        "messaging.operation.type": "send",
        "messaging.destination.name": "b1",
        "messaging.destination.template": "Back",
        "trio_genserver.message": "Back.get",
    }
    assert attribute(telemetry.span("process Back.get"), "messaging.operation.type") == "process"
    assert "password" not in "".join(span.to_json() for span in telemetry.exporter.get_finished_spans())


async def test_baggage_of_the_caller_is_there_in_the_handler_and_gone_after_it(telemetry: Telemetry) -> None:
    # OTP 174
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back:
        token = telemetry_context.attach(baggage.set_baggage("tenant", "acme"))
        try:
            assert await back.call(Back.baggage()) == "acme"
        finally:
            telemetry_context.detach(token)
        assert await back.call(Back.baggage()) is None


async def test_what_a_server_does_by_itself_belongs_to_no_trace(
    telemetry: Telemetry, autojump_clock: MockClock
) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back, open_server(Front, back, telemetry.tracer) as front:
        with telemetry.tracer.start_as_current_span("request"):
            await front.call(Front.get_in_child())
            await front.call(Front.idle())
            await trio.sleep(2)
    assert parent(telemetry.span("on timeout")) is None


async def test_a_crash_is_an_error_of_both_spans_and_is_counted(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    add_instrument(telemetry.instrument)
    async with open_supervisor([child_spec(Back)]) as root:
        back: ServerRef[Any] = root.child("Back")
        for message in (Back.crash(), Back.crash_in_child()):
            with pytest.raises(ServerCrashed):
                await back.call(message)
            await wait_all_tasks_blocked()
        await back.cast(Back.crash_on_cast())
        await wait_all_tasks_blocked()
        await back.call(Back.get())
        await wait_all_tasks_blocked()
        assert telemetry.total("trio_genserver.servers") == 2
    for name in ("call Back.crash", "call Back.crash_in_child"):
        call = telemetry.span(name)
        assert call.status.status_code == StatusCode.ERROR
        assert attribute(call, "error.type") == "trio_genserver._errors.ServerCrashed"
    for name in ("process Back.crash", "process Back.crash_in_child", "process Back.crash_on_cast"):
        process = telemetry.span(name)
        assert process.status.status_code == StatusCode.ERROR
        assert attribute(process, "error.type") == "RuntimeError"
        assert [event.name for event in process.events] == ["exception"]
    assert telemetry.span("cast Back.crash_on_cast").status.status_code == StatusCode.UNSET
    assert telemetry.span("process Back.get").status.status_code == StatusCode.UNSET
    assert telemetry.total("trio_genserver.crashes", type="RuntimeError", template="Back") == 3
    assert telemetry.total("trio_genserver.restarts", template="Back") == 3
    assert telemetry.total("trio_genserver.servers") == 0


async def test_a_refusal_is_an_error_of_the_caller_alone(telemetry: Telemetry) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back:
        with pytest.raises(LookupError):
            await back.call(Back.refuse())
        await wait_all_tasks_blocked()
    assert attribute(telemetry.span("call Back.refuse"), "error.type") == "LookupError"
    assert telemetry.span("process Back.refuse").status.status_code == StatusCode.UNSET


async def test_a_call_that_is_given_up_ends_then_and_its_handler_when_it_ends(
    telemetry: Telemetry, autojump_clock: MockClock
) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back:
        with trio.move_on_after(1):
            await back.call(Back.sleep(3))
        queued = back.send_request(Back.get())
        queued.abandon()
        await trio.sleep(5)
    for name in ("call Back.sleep", "call Back.get"):
        assert attribute(telemetry.span(name), "error.type") == "abandoned"
    assert telemetry.span("process Back.sleep").status.status_code == StatusCode.UNSET
    assert telemetry.spans("process Back.get") == []
    (waited,) = [p for p in telemetry.points("messaging.client.operation.duration") if p.max == 1]
    assert waited.attributes["error.type"] == "abandoned"
    (handled,) = telemetry.points("messaging.process.duration")
    assert (handled.count, handled.sum) == (1, 3)
    assert telemetry.total("trio_genserver.messages.dropped", reason="late reply") == 1
    assert telemetry.total("trio_genserver.messages.dropped", reason="withdrawn") == 1


async def test_times_are_those_of_trios_clock(telemetry: Telemetry, autojump_clock: MockClock) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back, trio.open_nursery() as nursery:
        nursery.start_soon(back.call, Back.sleep(2))
        await wait_all_tasks_blocked()
        nursery.start_soon(back.call, Back.get())
    (wait,) = telemetry.points("trio_genserver.mailbox.wait")
    assert (wait.count, wait.sum) == (2, 2)
    (call,) = telemetry.points("messaging.client.operation.duration")
    assert (call.count, call.sum) == (2, 4)
    assert call.explicit_bounds[0] < 0.001
    assert call.attributes == {
        "messaging.system": "trio_genserver",
        "messaging.destination.template": "Back",
        "messaging.operation.name": "call",
    }
    assert telemetry.total("messaging.client.sent.messages") == 2
    assert telemetry.total("messaging.client.consumed.messages") == 2


async def test_a_child_that_waits_for_its_turn_waits_and_is_not_handled_yet(
    telemetry: Telemetry, autojump_clock: MockClock
) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(back.call, Back.sleep_in_child(2))
        await wait_all_tasks_blocked()
        given_up = back.send_request(Back.sleep_in_child(7))
        await wait_all_tasks_blocked()
        given_up.abandon()
    abandoned, *answered = telemetry.spans("call Back.sleep_in_child")
    assert attribute(abandoned, "error.type") == "abandoned"
    handlers = telemetry.spans("process Back.sleep_in_child")
    assert [parent(span) for span in handlers] == [identity(span) for span in answered]
    (handled,) = telemetry.points("messaging.process.duration")
    assert (handled.count, handled.max) == (2, 2)
    (wait,) = telemetry.points("trio_genserver.mailbox.wait")
    assert (wait.count, wait.sum) == (2, 2)
    assert telemetry.total("trio_genserver.messages.dropped", reason="withdrawn") == 1


async def test_an_answer_given_later_ends_the_call_and_not_the_handler(telemetry: Telemetry) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back:
        request = back.send_request(Back.later())
        await wait_all_tasks_blocked()
        assert telemetry.span("process Back.later")
        assert telemetry.spans("call Back.later") == []
        back._process.instance.froms[0].reply("now")
        assert telemetry.span("call Back.later")
        assert request.check() == "now"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Back.sleep(9), "cancelled"),
        (Back.sleep_in_child(9), "cancelled"),
        (Back.sleep_on_cast(), "cancelled"),
        (Back.later(), None),
    ],
    ids=repr,
)
async def test_every_span_ends_with_the_server_at_the_latest(
    telemetry: Telemetry, message: Any, error: str | None
) -> None:
    add_instrument(telemetry.instrument)
    is_cast = isinstance(message, Cast)
    with trio.CancelScope() as scope:
        async with open_server(Back) as back:
            send: Any = back.cast_nowait if is_cast else back.send_request
            send(message)
            await wait_all_tasks_blocked()
            back.send_request(Back.get())
            back.cast_nowait(Back.put())
            scope.cancel()
    name = f"Back.{message.handler.name}"
    assert attribute(telemetry.span(f"process {name}"), "error.type") == error
    sent = telemetry.span(f"cast {name}" if is_cast else f"call {name}")
    assert sent.status.status_code == (StatusCode.UNSET if is_cast else StatusCode.ERROR)
    assert telemetry.span("call Back.get")
    assert telemetry.span("cast Back.put")
    assert not telemetry.instrument._handling
    assert not telemetry.instrument._running


async def test_a_handler_that_stops_its_server_has_handled_its_message(telemetry: Telemetry) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back:
        await back.cast(Back.stop_on_cast())
        await back.wait_stopped()
    assert telemetry.span("process Back.stop_on_cast").status.status_code == StatusCode.UNSET


async def test_a_message_that_is_not_taken_is_counted_with_the_reason(telemetry: Telemetry) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(child_spec(Back).replace(mailbox_size=1, overflow="raise")) as back:
        begun = back.send_request(Back.sleep(9))
        await wait_all_tasks_blocked()
        back.cast_nowait(Back.put())
        with pytest.raises(MailboxFull):
            await back.call(Back.get())
        with pytest.raises(MailboxFull):
            back.send_request(Back.get())
        begun.abandon()
        back._process.kill()
        await back.wait_stopped()
        with pytest.raises(ServerNotRunning):
            await back.call(Back.get())
    assert [attribute(span, "error.type") for span in telemetry.spans("call Back.get")] == [
        "trio_genserver._errors.MailboxFull"
    ] * 2
    assert telemetry.total("trio_genserver.messages.dropped", reason="mailbox full") == 2
    assert telemetry.total("trio_genserver.messages.dropped", reason="stopped") == 1
    assert telemetry.total("trio_genserver.messages.dropped", reason="not running") == 1


async def test_a_task_is_a_call_to_its_supervisor(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> str:
        telemetry.tracer.start_span("own work").end()
        return "done"

    async def fail() -> None:
        raise LookupError("failed")

    add_instrument(telemetry.instrument)
    async with open_task_supervisor() as tasks:
        assert await tasks.start(work).wait() == "done"
        failed, slept = tasks.start_isolated(fail), tasks.start(trio.sleep_forever)
        await wait_all_tasks_blocked()
        await slept.shutdown()
        assert failed.done
    started = {span.name.rpartition(".")[2]: span for span in telemetry.exporter.get_finished_spans()}
    assert parent(started["own work"]) is not None
    processed = [span for span in telemetry.exporter.get_finished_spans() if span.name.startswith("process")]
    assert [attribute(span, "error.type") for span in processed] == [
        None,
        "LookupError",
        "trio_genserver._errors.TaskStopped",
    ]
    assert telemetry.total("trio_genserver.crashes", type="LookupError") == 1


async def test_a_crash_of_a_server_is_none_of_the_message_that_had_it_started(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    class Starter(GenServer):
        @handle_call
        async def start(self, nursery: trio.Nursery) -> ServerRef[Back]:
            back = await start_server(nursery, Back)
            back._process.crashed(RuntimeError("outside of any message"), None)
            return back

    add_instrument(telemetry.instrument)
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="outside")):
        async with open_server(Starter) as starter, trio.open_nursery() as nursery:
            await starter.call(Starter.start(nursery))
    assert telemetry.span("process Starter.start").status.status_code == StatusCode.UNSET


async def test_installed_between_it_sees_what_comes_and_removed_nothing(telemetry: Telemetry) -> None:
    async with open_server(Back) as back, trio.open_nursery() as nursery:
        nursery.start_soon(back.call, Back.later())
        await wait_all_tasks_blocked()
        back.cast_nowait(Back.put())
        add_instrument(telemetry.instrument)
        back._process.instance.froms[0].reply("now")
        await wait_all_tasks_blocked()
        await back.call(Back.get())
        await wait_all_tasks_blocked()
        remove_instrument(telemetry.instrument)
        await back.call(Back.get())
    # The cast waited when nobody looked: its handler is a trace of its own.
    assert parent(telemetry.span("process Back.put")) is None
    assert telemetry.span("call Back.get")
    assert telemetry.spans("call Back.later") == []
    assert telemetry.total("trio_genserver.servers") == 0
    (wait,) = telemetry.points("trio_genserver.mailbox.wait")
    assert wait.count == 1


async def test_metrics_have_the_name_of_the_server_only_if_asked(telemetry: Telemetry) -> None:
    add_instrument(OpenTelemetryInstrument(telemetry.tracers, telemetry.meters, server_names_in_metrics=True))
    async with open_server(child_spec(Back).replace(name="b1")) as back:
        await back.call(Back.get())
    (point,) = telemetry.points("messaging.client.sent.messages")
    assert point.attributes["messaging.destination.name"] == "b1"

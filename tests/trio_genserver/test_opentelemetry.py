from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from trio.testing import wait_all_tasks_blocked

from trio_genserver import (
    GenServer,
    ServerCrashed,
    ServerRef,
    add_instrument,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
)
from trio_genserver.opentelemetry import OpenTelemetryInstrument


class Back(GenServer):
    @handle_call
    def get(self, secret: str) -> int:
        return 1

    @handle_call
    async def wait(self, event: trio.Event) -> None:
        await event.wait()

    @handle_call
    def crash(self) -> None:
        raise RuntimeError("boom")

    @handle_cast
    def put(self) -> None: ...

    @handle_cast
    def crash_on_cast(self) -> None:
        raise RuntimeError("boom")


class Front(GenServer):
    def __init__(self, back: ServerRef[Back]) -> None:
        self.back = back

    @handle_call
    async def get(self) -> int:
        await self.back.cast(Back.put())
        return await self.back.call(Back.get("secret"))

    @handle_call(child=True)
    async def get_in_child(self) -> int:
        return await self.back.call(Back.get("secret"))


class Telemetry:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.instrument = OpenTelemetryInstrument(self.tracers, self.meters)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def counts(self) -> dict[tuple[str, ...], int]:
        data: Any = self.reader.get_metrics_data()
        return {
            (metric.name.removeprefix("trio_genserver."), *map(str, point.attributes.values())): point.value
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.tracers.shutdown()
    telemetry.meters.shutdown()


def _parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    identity: int = span.context.span_id
    return identity


@pytest.mark.parametrize("message", [Front.get(), Front.get_in_child()], ids=["main", "child"])
async def test_a_trace_follows_a_call_through_servers(telemetry: Telemetry, message: Any) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back, open_server(Front, back) as front:
        with telemetry.tracers.get_tracer("test").start_as_current_span("request"):
            await front.call(message)
        await wait_all_tasks_blocked()
        await back.call(Back.get("unrelated"))
    spans = telemetry.exporter.get_finished_spans()
    request = telemetry.spans["request"]
    outer = next(span for span in spans if span.name.startswith("Front"))
    inner, unrelated = [span for span in spans if span.name == "Back get"]
    assert _parent(outer) == _id(request)
    assert _parent(inner) == _id(outer)
    assert _parent(unrelated) is None
    assert (outer.kind, inner.kind) == (trace.SpanKind.CLIENT, trace.SpanKind.CLIENT)
    assert dict(inner.attributes or {}) == {
        "trio_genserver.server": "Back",
        "trio_genserver.message": "get",
    }
    assert [event.name for event in inner.events] == ["received"]
    if "Back put" in telemetry.spans:
        put = telemetry.spans["Back put"]
        assert _parent(put) == _id(outer)
        assert put.kind == trace.SpanKind.PRODUCER
    assert ("Back put" in telemetry.spans) == (message == Front.get())


async def test_a_crash_ends_the_span_with_its_error_and_is_counted(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    add_instrument(telemetry.instrument)
    async with open_supervisor([child_spec(Back)]) as root:
        back: ServerRef[Any] = root.child("Back")
        with pytest.raises(ServerCrashed):
            await back.call(Back.crash())
        await wait_all_tasks_blocked()
        await back.cast(Back.crash_on_cast())
        await wait_all_tasks_blocked()
        await back.call(Back.get("secret"))
    call, cast = telemetry.spans["Back crash"], telemetry.spans["Back crash_on_cast"]
    assert call.status.status_code == cast.status.status_code == trace.StatusCode.ERROR
    assert call.events[-1].name == cast.events[-1].name == "exception"
    assert telemetry.spans["Back get"].status.status_code == trace.StatusCode.UNSET
    counts = telemetry.counts()
    assert counts["crashes", "Back"] == 2
    assert counts["restarts", "Back"] == 2
    assert counts["messages.handled", "Back"] == 1


async def test_every_span_ends_also_of_what_is_not_handled(telemetry: Telemetry) -> None:
    add_instrument(telemetry.instrument)
    async with open_server(Back) as back:
        begun = back.send_request(Back.wait(trio.Event()))
        await wait_all_tasks_blocked()
        queued = back.send_request(Back.get("secret"))
        await back.cast(Back.put())
        queued.abandon()
        back._process.kill()
        await back.wait_stopped()
        assert begun.done
    dropped = {
        name: (span.attributes or {}).get("trio_genserver.dropped") for name, span in telemetry.spans.items()
    }
    assert dropped == {"Back wait": None, "Back get": "withdrawn", "Back put": "stopped"}
    assert not telemetry.instrument._open
    assert telemetry.counts()["messages.dropped", "Back", "withdrawn"] == 1

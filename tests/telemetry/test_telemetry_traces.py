"""Spans: which there are, what they say, whose child is whose, through both adapters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from telemetry_kit import Bench, of

from flow.flow_kit import FIREFOX, Site, each
from gatehound import Guard
from gatehound.stores.base import Store
from gatehound.stores.sqlite import SQLiteStore
from gatehound.telemetry import OpenTelemetry
from gatehound.testing import FaultyStore


def by_name(bench: Bench, name: str) -> ReadableSpan:
    (span,) = (one for one in bench.spans if one.name == name)
    return span


def current(visit: Any) -> Any:
    """What the app sees as the span that is open."""
    return trace.get_current_span().get_span_context()


def parent_of(span: ReadableSpan) -> Any:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> Any:
    return None if span.context is None else span.context.span_id


def test_a_request_is_one_span_with_its_store_inside(bench: Bench) -> None:
    browser = bench.site().browser()
    browser.login()
    bench.clear()
    session = browser.see().session
    examine, load = by_name(bench, "gatehound.examine"), by_name(bench, "gatehound.store.load")
    assert of(examine) == {
        "gatehound.outcome": "live",
        "gatehound.activity": "navigate",
        "gatehound.action": "allow",
        "session.id": session.public_id,
    }
    assert of(load) == {"db.system.name": "memory", "db.operation.name": "load"}
    assert parent_of(load) == id_of(examine)
    assert parent_of(examine) is None
    assert {span.kind for span in bench.spans} == {SpanKind.INTERNAL}
    assert {span.status.status_code for span in bench.spans} == {StatusCode.UNSET}
    assert examine.instrumentation_scope is not None
    assert examine.instrumentation_scope.name == "gatehound"


def test_no_span_says_who_or_from_where(bench: Bench) -> None:
    browser = bench.site().browser()
    browser.login("alice@example.org")
    browser.agent = FIREFOX
    browser.see()
    told = " ".join(span.to_json() for span in bench.spans)
    for secret in ("alice", browser.address, "Firefox", *browser.cookies.values()):
        assert secret not in told


def test_the_app_is_not_a_child_of_the_look_up(bench: Bench) -> None:
    browser = bench.site().browser()
    browser.login()
    bench.clear()
    result = browser.do(each(current, lambda visit: visit.sessions()))
    assert not result.value[0].is_valid
    listed = by_name(bench, "gatehound.store.sessions")
    assert parent_of(listed) is None  # it belongs to the app, and the app has no span


def test_with_a_server_span_all_of_it_is_one_trace(bench: Bench) -> None:
    browser = bench.site().browser()
    browser.login()
    bench.clear()
    with bench.tracers.get_tracer("server").start_as_current_span("GET /") as server:
        seen = browser.do(each(current, lambda visit: visit.sessions())).value[0]
    assert seen == server.get_span_context()
    parents = {span.name: parent_of(span) for span in bench.spans}
    ours = server.get_span_context().span_id
    assert parents["gatehound.examine"] == parents["gatehound.store.sessions"] == ours
    assert parents["gatehound.store.load"] == id_of(by_name(bench, "gatehound.examine"))
    assert len({span.context.trace_id for span in bench.spans if span.context}) == 1


def test_signals_are_events_of_the_span(bench: Bench) -> None:
    browser = bench.site().browser()
    browser.login()
    bench.clear()
    browser.agent = FIREFOX
    browser.see()
    examine = by_name(bench, "gatehound.examine")
    assert of(examine)["gatehound.action"] == "flag"
    assert [event.name for event in examine.events] == ["gatehound.signal"] * 2
    told: list[dict[str, Any]] = [dict(event.attributes or {}) for event in examine.events]
    assert {one["gatehound.signal"] for one in told} == {"browser_changed", "os_changed"}
    assert {one["gatehound.detector"] for one in told} == {"agent_change"}
    assert {type(one["gatehound.weight"]) for one in told} == {float}
    assert all(len(one) == 3 for one in told)  # no reason and no detail: they may name a place


def test_a_session_that_is_over_is_named_too(bench: Bench) -> None:
    browser = bench.site().browser()
    browser.login()
    public_id = browser.see().session.public_id
    browser.site.guard.sync.terminate_user("alice")
    bench.clear()
    browser.see()
    examine = of(by_name(bench, "gatehound.examine"))
    assert (examine["gatehound.outcome"], examine["session.id"]) == ("ended", public_id)


def test_what_the_store_failed_with_is_on_its_span(bench: Bench, store: Store) -> None:
    faulty = FaultyStore(store)
    browser = bench.site(over=faulty).browser()
    browser.login()
    bench.clear()
    faulty.go_down()
    browser.do(lambda visit: visit.client_ip)
    load, examine = by_name(bench, "gatehound.store.load"), by_name(bench, "gatehound.examine")
    assert load.status.status_code is StatusCode.ERROR
    assert of(load)["error.type"] == "unavailable"
    assert load.kind is SpanKind.CLIENT
    assert of(examine)["gatehound.outcome"] == "outage"
    assert examine.status.status_code is StatusCode.UNSET  # the request is answered all the same


def test_what_examining_raises_ends_its_span(bench: Bench) -> None:
    def broken(request: Any) -> None:
        raise LookupError(request.path)

    with pytest.raises(LookupError):
        bench.site(guard={"activity": broken}).browser().see()
    examine = by_name(bench, "gatehound.examine")
    assert examine.status.status_code is StatusCode.ERROR
    assert of(examine) == {"gatehound.outcome": "failed", "error.type": "failed"}


def test_requests_of_several_tasks_do_not_mix(
    bench: Bench, make_guard: Callable[..., Guard], tmp_path: Any
) -> None:
    """Thirty at once on one loop, over a store that waits: each has its own child."""
    store = SQLiteStore(str(tmp_path / "s.db"), suspends=True)
    sites = [
        Site("asgi", make_guard(over=store, guard={"telemetry": bench.telemetry})).browser()
        for _ in range(1)
    ]
    site, browser = sites[0].site, sites[0]
    browser.login()
    bench.clear()
    _at_once(site, browser, 30)
    spans = {id_of(span): span for span in bench.spans}
    loads = [span for span in spans.values() if span.name == "gatehound.store.load"]
    assert len(loads) == 30
    assert {spans[parent_of(one)].name for one in loads} == {"gatehound.examine"}
    assert len({parent_of(one) for one in loads}) == 30
    assert {span.kind for span in loads} == {SpanKind.CLIENT}
    asyncio.run(store.close())


def _at_once(site: Site, browser: Any, count: int) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"host": "localhost", "user-agent": browser.agent, "cookie": cookie}
    site.job = lambda visit: visit.user_id

    async def all_of_them() -> None:
        asks = (site._serve_asgi("GET", "/", headers, browser.address) for _ in range(count))
        site.result = type(site.result)(0, [], b"")
        await asyncio.gather(*asks)

    asyncio.run(all_of_them())
    assert site.result.value == "alice"


def test_requests_of_several_threads_do_not_mix(
    bench: Bench, make_guard: Callable[..., Guard]
) -> None:
    guard = make_guard(guard={"telemetry": bench.telemetry})
    first = Site("wsgi", guard).browser()
    first.login()
    bench.clear()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            browser = Site("wsgi", guard).browser()
            browser.cookies = dict(first.cookies)
            for _ in range(5):
                assert browser.see().user_id == "alice"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    loads = [span for span in bench.spans if span.name == "gatehound.store.load"]
    assert len({parent_of(one) for one in loads}) == len(loads) == 30
    assert bench.counted("gatehound.examine.duration", "live") == 30


def test_a_request_that_is_cancelled_leaves_no_span_open(
    bench: Bench, make_guard: Callable[..., Guard], store: Store
) -> None:
    class Hanging(FaultyStore):
        async def load(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(3600)

    hanging = Hanging(store)
    hanging.suspends = True
    guard = make_guard(over=hanging, guard={"telemetry": bench.telemetry})
    browser = Site("asgi", guard).browser()
    browser.login()
    bench.clear()

    async def cancelled() -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        headers = {"host": "localhost", "user-agent": browser.agent, "cookie": cookie}
        ask = browser.site._serve_asgi("GET", "/", headers, browser.address)
        task = asyncio.create_task(ask)
        while "load" not in [of(span).get("db.operation.name") for span in bench.spans]:
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not trace.get_current_span().get_span_context().is_valid

    asyncio.run(cancelled())
    assert of(by_name(bench, "gatehound.store.load"))["error.type"] == "cancelled"
    assert of(by_name(bench, "gatehound.examine"))["gatehound.outcome"] == "failed"


def test_without_an_sdk_nothing_is_made_current(make_site: Callable[..., Site]) -> None:
    seen: list[Any] = []

    def look(request: Any) -> None:
        seen.append(dict(context.get_current()))

    telemetry = OpenTelemetry(trace.NoOpTracerProvider())
    make_site(guard={"telemetry": telemetry, "activity": look}).browser().see()
    assert seen == [{}]

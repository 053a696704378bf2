"""Events as JSON, a line each, with the span that was open."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry_kit import Bench

from flow.flow_kit import FIREFOX, IDENTITY, SECRET, Site
from gatehound import Event, Guard
from gatehound.events import JSONLogSink, LogSink

LOGGER = "gatehound.events"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What a stream holds that the standard library's own formatter wrote."""
    with _written() as stream_of:
        yield stream_of


class _written:  # noqa: N801 - a context manager, used as a function
    def __enter__(self) -> Callable[[], list[dict[str, Any]]]:
        self.stream = io.StringIO()
        self.out = logging.StreamHandler(self.stream)
        self.out.setFormatter(logging.Formatter("%(message)s"))
        self.logger = logging.getLogger(LOGGER)
        self.before = self.logger.level
        self.logger.addHandler(self.out)
        self.logger.setLevel(logging.INFO)
        return lambda: [json.loads(line) for line in self.stream.getvalue().split("\n")[:-1]]

    def __exit__(self, *error: object) -> None:
        self.logger.removeHandler(self.out)
        self.logger.setLevel(self.before)


def test_a_line_is_one_object(lines: Callable[[], list[dict[str, Any]]]) -> None:
    event = Event("session_created", "a\nb", "00ff", detail={"remember": True}, at=12.345)
    JSONLogSink()(event)
    JSONLogSink()(Event("session_flagged", at=1_800_000_000.0))
    assert lines() == [
        {
            "time": "1970-01-01T00:00:12.345+00:00",
            "level": "info",
            "name": "session_created",
            "user_id": "a\nb",
            "public_id": "00ff",
            "detail": {"remember": True},
        },
        {"time": "2027-01-15T08:00:00.000+00:00", "level": "warning", "name": "session_flagged"},
    ]


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=8), st.text(max_size=20)))
def test_whatever_is_in_an_event_is_one_line_of_json(text: str, detail: dict[str, str]) -> None:
    """Oracle: the standard library reads back what was given."""
    text = text.encode("utf-8", "replace").decode()
    with _written() as lines:
        JSONLogSink()(Event("login_failed", text, reason=text, detail=detail, at=1.0))
        (line,) = lines()
    assert line.get("reason", "") == text
    assert line.get("detail", {}) == detail


def test_a_formatter_that_makes_json_itself_finds_the_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        JSONLogSink()(Event("session_created", public_id="00ff", at=1.0))
    (record,) = caplog.records
    assert vars(record)["gatehound"] == json.loads(record.getMessage())


def test_it_is_silent_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, LOGGER)
    JSONLogSink()(Event("session_created"))
    assert not caplog.records


def test_the_line_names_the_span_of_its_request(
    bench: Bench, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    browser = bench.site(guard={"sinks": [JSONLogSink()]}).browser()
    browser.login()
    public_id = browser.see().session.public_id
    bench.clear()
    browser.agent = FIREFOX
    browser.see()
    created, flagged = lines()
    assert created["public_id"] == flagged["public_id"] == public_id
    assert "trace_id" not in created  # a sign-in belongs to the app, which has no span here
    examine = next(span for span in bench.spans if span.name == "gatehound.examine")
    assert examine.context is not None
    assert flagged["trace_id"] == f"{examine.context.trace_id:032x}"
    assert flagged["span_id"] == f"{examine.context.span_id:016x}"
    for secret in browser.cookies.values():
        assert secret not in json.dumps([created, flagged])


@pytest.mark.parametrize(("log", "kind"), [("lines", LogSink), ("json", JSONLogSink)])
def test_a_setting_chooses(log: str, kind: type) -> None:
    keys = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": "memory://"}
    guard = Guard({**keys, "telemetry": {"log": log}})
    assert [type(sink) for sink in guard._events._sinks] == [kind]


def test_sinks_that_are_given_are_all_there_is(make_site: Callable[..., Site]) -> None:
    site = make_site(telemetry={"log": "json"})
    assert not [one for one in site.guard._events._sinks if isinstance(one, JSONLogSink)]


@pytest.mark.slow
def test_json_lines_load_no_opentelemetry() -> None:
    code = (
        "import sys, logging; logging.basicConfig(level=20, format='%(message)s')\n"
        "from gatehound.events import JSONLogSink; from gatehound import Event\n"
        "JSONLogSink()(Event('store_up', at=1.0)); print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert json.loads(done.stderr)["name"] == "store_up"

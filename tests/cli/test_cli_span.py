"""Spans and moments of command lines."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.cli import span
from gatehound.cli.output import Unable

NOW = 1_800_000_000.0
OPTION = click.Option(["--since"])
HERE = click.Context(click.Command("x"))
FIRST, LAST = (datetime(year, 1, 3, tzinfo=UTC).replace(tzinfo=None) for year in (1970, 2200))
SIZES = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_span(text: str) -> float | None:
    return span.read_span(HERE, OPTION, text)


def read_moment(text: str) -> float | None:
    return span.read_moment(HERE, OPTION, text)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


@given(st.integers(0, 5000), st.sampled_from(sorted(SIZES)), st.sampled_from(["", " "]))
def test_spans_are_read(count: int, unit: str, between: str) -> None:
    seconds = count * SIZES[unit]
    for text in (f"{count}{between}{unit}", f" {count}{unit.upper()} "):
        assert read_span(text) == pytest.approx(seconds)


@given(st.text(max_size=12))
def test_other_text_is_refused_with_a_sentence_or_read_as_a_bounded_span(text: str) -> None:
    found, told = 0.0, "--since: "
    try:
        found = read_span(text) or 0.0
    except Unable as error:
        told = error.message
    assert 0 <= found <= span.LONGEST
    assert told.startswith("--since: ")
    assert told.isascii()


@pytest.mark.parametrize("text", ["", "soon", "-1h", "1y", "1h30m", "36501d", "9" * 400, "inf"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(Unable, match=r"--since: '.*' given; allowed are seconds or text"):
        read_span(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", NOW - 7200),
        ("0", NOW),
        ("36500d", 0.0),
        ("2026-09-01", 1_788_220_800.0),
        ("2026-09-01T12:00+02:00", 1_788_256_800.0),
        ("2026-09-01T10:00:00Z", 1_788_256_800.0),
        ("2026-09-01 10:00", 1_788_256_800.0),
        ("1969-01-01", 0.0),
        ("0001-01-01", 0.0),
    ],
)
def test_moments_are_read(text: str, at: float) -> None:
    assert read_moment(text) == at


@given(st.datetimes(FIRST, LAST), st.integers(-12, 14))
def test_any_date_and_time_is_read_back(when: datetime, hours: int) -> None:
    assert read_moment(when.isoformat()) == when.replace(tzinfo=UTC).timestamp()
    there = when.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert read_moment(there.isoformat()) == there.timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "12:00", "\x1b[2J"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(Unable, match=r"--since: '.*' given; allowed is a span back") as told:
        read_moment(text)
    assert told.value.message.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (1e6, "11d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert span.age(seconds) == text

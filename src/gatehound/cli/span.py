"""Spans of time and moments, as people type them on a command line: callbacks of options."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import click

from gatehound.cli.output import Unable

LONGEST: Final = 36_500 * 86_400.0  # a hundred years: what is longer is a slip


def read_span(_ctx: click.Context, param: click.Parameter, given: str | None) -> float | None:
    """Read a span such as 90s, 60m, 12h or 14d, in seconds."""
    if given is None:
        return None
    found = _span(given)
    if found is None:
        raise Unable(
            f"{param.opts[0]}: {given!a} given; allowed are seconds or text such as 90s, 60m, "
            "12h, 14d, 8w, up to 36500d"
        )
    return found


def read_moment(_ctx: click.Context, param: click.Parameter, given: str | None) -> float | None:
    """Read a span back from now, or a date and time of ISO 8601, as seconds since 1970."""
    if given is None:
        return None
    span = _span(given)
    if span is not None:
        return max(time.time() - span, 0.0)
    try:
        found = datetime.fromisoformat(given.strip())
        at = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Unable(
            f"{param.opts[0]}: {given!a} given; allowed is a span back from now such as 2h or 7d, "
            "or a date such as 2026-09-01 or 2026-09-01T12:00+02:00, in UTC without an offset"
        ) from None
    return max(at, 0.0)


def age(seconds: float) -> str:
    """Write a span as people skim it: its largest unit, rounded down."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def _span(text: str) -> float | None:
    from gatehound._reading import seconds_of

    found = seconds_of(text)
    return None if found is None or found > LONGEST else found

"""Names, redaction, floods and sinks of events."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import gatehound.events
from gatehound import Event, UsageError
from gatehound.events import (
    FLOODABLE,
    NAMES,
    RESERVED,
    SINKS_ONLY,
    Events,
    LogSink,
    as_json,
    coarse,
)
from gatehound.tokens import CSRFTokens

PINNED = {
    "session_created",
    "session_terminated",
    "session_terminated_limit",
    "session_expired",
    "session_ip_shift",
    "session_geo_anomaly",
    "session_flagged",
    "session_cleared",
    "session_rotated",
    "session_reuse",
    "step_up_required",
    "step_up_passed",
    "login_refused",
    "login_failed",
    "token_forged",
    "token_unknown",
    "token_replayed",
    "store_down",
    "store_up",
    "proxy_misconfigured",
    "device_bound",
    "device_proof_failed",
}


def test_the_pinned_names_are_there() -> None:
    assert set(NAMES) >= PINNED
    assert set(NAMES) >= set(FLOODABLE)


def test_names_that_the_log_never_has_are_names() -> None:
    """Which they are, tests/web/test_web_admin_kept.py finds out by emitting."""
    assert set(NAMES) > SINKS_ONLY | RESERVED
    assert not SINKS_ONLY & RESERVED
    page = (Path(__file__).parents[1] / "docs/reference/events.md").read_text(encoding="utf-8")
    (line,) = [one for one in page.splitlines() if one.startswith("To the sinks alone go")]
    assert set(re.findall(r"`(\w+)`", line)) == SINKS_ONLY


def test_every_name_that_the_code_uses_is_in_the_list() -> None:
    folder = Path(gatehound.events.__file__).parent
    used = set()
    for file in folder.rglob("*.py"):
        used |= set(
            re.findall(r'(?:Event|\.event|\.flood)\(\s*(?:passage, )?"(\w+)"', file.read_text())
        )
    assert used
    assert used <= set(NAMES)


@pytest.mark.parametrize(
    ("address", "precision", "expected"),
    [
        ("203.0.113.77", "full", "203.0.113.77"),
        ("203.0.113.77", "network", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "network", "2001:db8:1:2::"),
        ("203.0.113.77", "none", ""),
        ("", "network", ""),
    ],
)
def test_addresses_at_the_precision_of_the_settings(
    address: str, precision: str, expected: str
) -> None:
    assert coarse(address, precision) == expected  # type: ignore[arg-type]  # from a table
    events = Events(precision=precision)  # type: ignore[arg-type]  # from a table
    assert events.redacted(Event("store_up", address=address)).address == expected


def test_a_sink_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []

    def broken(event: Event) -> None:
        raise OSError("disk full")

    Events([broken, seen.append]).emit(Event("store_up"))
    assert [event.name for event in seen] == ["store_up"]
    assert "a sink failed on store_up" in caplog.text


def test_floods_are_told_now_and_then_with_their_count() -> None:
    now = [1000.0]
    told: list[Event] = []
    events = Events([told.append], monotonic=lambda: now[0])
    for _ in range(250):
        if events.admits("token_forged"):
            events.emit(Event("token_forged"))
        now[0] += 0.5
    assert [event.detail.get("count") for event in told] == [None, 119, None, 119, None]
    now[0] += 60
    events.emit(Event("store_up"))  # whatever comes next tells what was held back
    assert [(event.name, event.detail.get("count")) for event in told[-2:]] == [
        ("token_forged", 9),
        ("store_up", None),
    ]


def test_some_names_are_told_more_often_and_others_always() -> None:
    events = Events(monotonic=lambda: 0.0)
    for name, allowed in {**FLOODABLE, "session_created": 500}.items():
        assert sum(events.admits(name) for _ in range(500)) == allowed


def test_the_log_line_is_the_name_and_json(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gatehound.events"):
        LogSink()(Event("session_created", user_id="a\nb", public_id="00ff", at=12.3456))
        LogSink()(Event("session_flagged", detail={"score": 5.0}))
    first, second = caplog.records
    assert first.getMessage() == (
        'session_created {"at":12.346,"user_id":"a\\nb","public_id":"00ff"}'
    )
    assert (first.levelname, second.levelname) == ("INFO", "WARNING")
    assert as_json(Event("store_up")) == "{}"


def test_the_log_sink_is_silent_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "gatehound.events")
    LogSink()(Event("session_created"))
    assert not caplog.records


def test_csrf_tokens_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = CSRFTokens(secret_keys=["s" * 40], namespace="default")
    token = tokens.make(b"12345678")
    assert tokens.check(token, b"12345678")
    rotated = CSRFTokens(secret_keys=["n" * 40, "s" * 40], namespace="default")
    assert rotated.check(token, b"12345678")
    assert not CSRFTokens(secret_keys=["s" * 40], namespace="other").check(token, b"12345678")
    assert not tokens.check(token, b"12345679")
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 12 * 3600 + 2)
    assert not tokens.check(token, b"12345678")


def test_a_sink_that_waits_or_is_none_is_refused_when_it_is_given() -> None:
    async def waits(event: Event) -> None:
        """Nobody would ever await it."""

    class Waits:
        async def __call__(self, event: Event) -> None:
            """Nobody would ever await it."""

    for sink in (waits, Waits(), "print"):
        with pytest.raises(UsageError, match="plain function of an Event"):
            Events([sink])  # type: ignore[list-item]  # that it is refused is the point

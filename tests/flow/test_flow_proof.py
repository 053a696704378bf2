"""What a passed proof is worth: it forgives, it teaches, and what is older is no evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, Browser, Site

from gatehound import Action, Event, Guard, Signal
from gatehound.detection import AgentChange
from gatehound.errors import SessionSuperseded, SettingsError
from gatehound.stores.answer import Remembered
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock

MakeSite = Callable[..., Site]
OLDER_CHROME = CHROME.replace("126", "120")


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def thief_of(victim: Browser, address: str = "192.0.2.66") -> Browser:
    thief = victim.site.browser(FIREFOX, address)
    thief.cookies = dict(victim.cookies)
    return thief


# --- copies that a proof made worthless ---


@pytest.fixture
def proven(site: Site, clock: FakeClock) -> tuple[Browser, Browser]:
    """A victim who has proved to be the owner, and a thief whose copy is worth nothing since."""
    alice = site.browser()
    alice.login()
    clock.advance(10)
    thief = thief_of(alice)
    assert thief.see().action >= Action.FLAG
    alice.call("reauthenticate")
    clock.advance(61)
    return alice, thief


def test_a_copy_from_before_the_proof_is_refused_and_is_no_evidence(
    proven: tuple[Browser, Browser], events: list[Event], clock: FakeClock
) -> None:
    alice, thief = proven
    for _ in range(3):
        assert thief.see().user_id is None
        assert not alice.see().session.flagged
        alice.call("reauthenticate")  # the thief's secret is stale from now on
        clock.advance(61)
    assert names(events).count("session_reuse") == 3
    assert names(events).count("session_flagged") == 1


def test_a_copy_from_after_the_proof_is_evidence(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(session={"rotate_every": "30m"})
    alice = site.browser()
    alice.login()
    clock.advance(10)
    alice.call("reauthenticate")
    copy = thief_of(alice)
    clock.advance(1801)
    assert alice.see().user_id == "alice"  # renewed by time
    assert alice.see().user_id == "alice"  # and the new secret presented
    clock.advance(61)
    assert copy.see().user_id is None
    assert names(events)[-2:] == ["session_reuse", "session_flagged"]


# --- what it forgives and teaches ---


def test_a_proof_forgives_and_teaches_where_nothing_was_flagged(
    make_site: MakeSite, demo_databases: dict[str, str], clock: FakeClock
) -> None:
    """A traveller is recorded, signs in again, and is at home there from then on."""
    site = make_site(detection=demo_databases)
    alice = site.browser()
    alice.login()
    clock.advance(2400)
    alice.address = "192.0.2.66"
    first = alice.see()
    assert first.action is Action.RECORD
    alice.call("reauthenticate")
    assert alice.see().action is Action.ALLOW
    alice.agent = OLDER_CHROME
    later = alice.see()
    assert later.action is Action.RECORD
    assert [signal.code for signal in later.signals] == ["browser_downgraded"]


def test_a_proof_in_mode_off_writes_no_evidence(make_site: MakeSite) -> None:
    site = make_site(detection={"mode": "off"})
    alice = site.browser()
    alice.login()
    alice.call("reauthenticate")
    exported = site.guard.sync.export_user("alice")
    assert not exported["user_evidence"]


# --- a secret that is replaced while its request is judged ---


class Renewing(MemoryStore):
    """A store in which the owner proves to be there while another request is judged."""

    renew: Callable[[], Any] | None = None

    async def remember(self, *given: Any, **change: Any) -> Remembered:
        if self.renew is not None:
            renew, self.renew = self.renew, None
            await renew()
        return await super().remember(*given, **change)


def test_who_is_judged_while_the_secret_changes_is_told_so(
    make_site: MakeSite, clock: FakeClock
) -> None:
    store = Renewing(clock=clock)
    site = make_site(over=store)
    alice = site.browser()
    session = alice.login()
    record = next(iter(store._table.users.values()))
    sid = bytes.fromhex(session.public_id)
    alias, held = site.guard.alias("alice"), record.sessions[sid].security.secret_hash

    async def renew() -> None:
        await store.rotate(alias, sid, held, b"n" * 16, authenticated=True)

    alice.address = "198.51.100.9"
    store.renew = renew
    told = alice.do(lambda visit: visit.user_id)
    assert isinstance(told.error, SessionSuperseded)
    seen = alice.do(lambda visit: visit.action, catch=False)
    assert (seen.value, seen.status) == (None, 401)


# --- what a Guard is given ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_hijack": "x"},
        {"on_hijack": 5},
        {"users": 5},
        {"store": "memory://"},
        {"activity": "x"},
    ],
)
def test_wrong_arguments_are_named_when_the_guard_is_built(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"{name}: .* was given"):
        Guard({"secret_keys": ["s" * 40], "identity_key": "i" * 40}, **wrong)


def test_what_is_disabled_is_left_out_of_given_detectors_too() -> None:
    def own(_: Any) -> Signal:
        return Signal("own", 1.0, "Own")

    settings = {
        "secret_keys": ["s" * 40],
        "identity_key": "i" * 40,
        "store": "memory://",
        "detection": {"disable": ["agent_change"]},
    }
    guard = Guard(settings, detectors=[AgentChange(), own])
    assert [one.name for one in guard.detection.detectors] == ["own"]

"""Which events the log has: what goes to the sinks alone is not offered, and is said to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from admin_kit import EXPORTS, admin_of, said_in, see, sign_in
from web_kit import Place

import gatehound
from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.events import NAMES, RESERVED, SINKS_ONLY

ALONE = "This event goes to the log of your app alone, and is not kept here."
SOURCE = Path(gatehound.__file__).parent
# How code tells the sinks of an event without a write: each is one call with the name in it.
TOLD = re.compile(r'(?:announce|_events\.emit)\(\s*(?:guard\.event|Event)\(\s*"(\w+)"')
FLOODED = re.compile(r'\.flood\(\s*passage, "(\w+)"')


def test_only_events_that_are_kept_are_offered(desk: Place) -> None:
    page = see(admin_of(desk), "events").text
    offered = re.findall(r"<option>(\w+)</option>", page)
    assert offered == [name for name in NAMES if name not in SINKS_ONLY | RESERVED]
    assert ALONE not in page


@pytest.mark.parametrize("name", sorted(SINKS_ONLY))
def test_event_that_is_not_kept_is_said_to_be_elsewhere(desk: Place, name: str) -> None:
    admin = admin_of(desk)
    page = see(admin, f"events?name={name}")
    assert (page.status_code, said_in(page)) == (200, [])
    assert ALONE in page.text
    assert "Nothing is in the log." not in page.text
    assert f"<option selected>{name}</option>" in page.text
    for file in EXPORTS:
        assert see(admin, f"{file}?name={name}").status_code == 200


def emit_many(place: Place) -> None:
    """Let happen what makes events of all kinds."""
    ann, bob, eve = sign_in(place, "ann", "bob", "eve")
    cookie = next(iter(ann.cookies.jar))
    value = cookie.value or ""
    place.guard.sync.terminate_user("ann")
    ann.get("/")  # replayed, and then removed
    ann.cookies.set(cookie.name, value, domain="shop.example")
    ann.get("/")
    run_sync(place.guard.store.forget(place.guard.alias("bob"), "bob"))
    bob.get("/")  # unknown
    place.person().get("/", headers={"cookie": f"{cookie.name}={value[:-4]}AAAA"})  # forged
    place.person().get("http://shop.example/login?user=zoe")
    place.guard.sync.forget_user("eve")
    place.guard.note_outage(StoreUnavailable("gone"))
    place.guard.note_outage(StoreCorrupt("damaged"))
    place.guard.sync.disable_user("eve")
    place.guard.sync.enable_user("eve")
    eve.get("/login?user=eve&role=admin")
    place.guard.sync.terminate_everyone()


def test_list_agrees_with_what_the_code_keeps(desk: Place) -> None:
    """Of what happened, the log lacks what the list names, and nothing else."""
    emit_many(desk)
    told = {event.name for event in desk.events}
    kept = {event.name for event in desk.guard.sync.events(limit=500).events}
    assert told - kept == SINKS_ONLY - {"notification_failed"}  # which needs somebody to be told
    assert {"session_created", "session_terminated", "user_disabled", "user_enabled"} <= kept
    assert "everyone_terminated" in kept


def test_list_agrees_with_the_source() -> None:
    """For those that are named where they are told; `login_failed` too is kept but in an outage."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        found |= set(TOLD.findall(text)) | set(FLOODED.findall(text))
    assert found == SINKS_ONLY


def test_reserved_names_are_used_nowhere() -> None:
    for file in SOURCE.rglob("*.py"):
        if file.name != "events.py":
            assert not any(f'"{name}"' in file.read_text(encoding="utf-8") for name in RESERVED)

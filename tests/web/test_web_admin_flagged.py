"""From where flagged sessions were used: a second list, a line at each, and the notice."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from admin_kit import (
    MakeDesk,
    act,
    admin_of,
    forms_of,
    marked_in,
    rob,
    said_in,
    see,
    sign_in,
    users_in,
)
from web_kit import Place

from gatehound import Event, suspicion
from gatehound._sync import run_sync
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore

THIEF = "198.51.100.9"  # of admin_kit.rob
CITIES = str(resources.files("gatehound.cli.demo") / "demo-city.mmdb")


def test_flagged_session_is_found_by_the_network_of_the_thief(
    desk: Place, clock: FakeClock
) -> None:
    ann, _ = sign_in(desk, "ann", "bob")
    rob(ann, clock)
    clock.advance(120)
    admin = admin_of(desk)
    page = see(admin, "sessions?network=198.51.100.0/24")
    assert users_in(page) == []  # the record keeps its owner's address
    second = marked_in(page)
    assert users_in(second) == ["ann"]
    assert "203.0.113.7" in second
    assert f"flagged at {THIEF}," in second
    assert "2 minutes ago" in second
    assert {form["user"] for name in ("end", "clear") for form in forms_of(page, name)} == {"ann"}
    (form,) = forms_of(page, "end")
    assert said_in(see(admin, act(admin, "end", **form).headers["location"])) == [
        "That session is over."
    ]
    assert marked_in(see(admin, "sessions?network=198.51.100.0/24")) == ""


@pytest.mark.parametrize("query", ["", "network=192.0.2.0/24", "network=x", "flagged=yes"])
def test_second_list_is_of_a_network_alone(desk: Place, clock: FakeClock, query: str) -> None:
    (ann,) = sign_in(desk, "ann")
    rob(ann, clock)
    assert marked_in(see(admin_of(desk), f"sessions?{query}")) == ""


def test_session_whose_flag_was_cleared_is_in_no_second_list(desk: Place, clock: FakeClock) -> None:
    (ann,) = sign_in(desk, "ann")
    rob(ann, clock)
    admin = admin_of(desk)
    (form,) = forms_of(see(admin, f"sessions?network={THIEF}"), "clear")
    act(admin, "clear", **form)
    assert marked_in(see(admin, f"sessions?network={THIEF}")) == ""
    assert "flagged at" not in see(admin, "user?id=ann").text


def test_matching_says_whom_it_leaves_out(desk: Place, clock: FakeClock) -> None:
    (ann,) = sign_in(desk, "ann")
    rob(ann, clock)
    admin = admin_of(desk)
    page = see(admin, f"matching?network={THIEF}")
    assert said_in(page) == ["0 sessions match."]
    assert "keeps the address of its owner" in page.text
    assert "keeps the address of its owner" not in see(admin, "matching?user=ann").text


def test_page_of_a_user_says_where_and_when(desk: Place, clock: FakeClock) -> None:
    robbed, _ = sign_in(desk, "ann", "ann")
    rob(robbed, clock)
    page = see(admin_of(desk), "user?id=ann")
    assert page.text.count("flagged at") == 1
    assert f"flagged at {THIEF}," in page.text


def test_guard_lists_them_for_code(desk: Place, clock: FakeClock) -> None:
    ann, _ = sign_in(desk, "ann", "bob")
    rob(ann, clock)
    admin = desk.guard.sync
    assert [one.user_id for one in admin.flagged_from("198.51.100.0/24")] == ["ann"]
    assert admin.flagged_from("203.0.113.7") == []
    with pytest.raises(ValueError, match="does not appear to be"):
        admin.flagged_from("x")


def test_look_up_is_bounded(desk: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many users, and so many events, however many there are."""
    monkeypatch.setattr(suspicion, "MOST_USERS", 2)
    monkeypatch.setattr(suspicion, "MOST_EVENTS", 4)
    store = FaultyStore(desk.guard.store)
    for number in range(9):
        event = Event("session_flagged", f"u{number}", "0" * 16, address=THIEF)
        run_sync(store.append(event))
    run_sync(store.append(Event("session_flagged", "u8", "0" * 16)))  # where no address is kept
    run_sync(store.append(Event("session_flagged", address=THIEF)))  # of nobody
    monkeypatch.setattr(desk.guard, "_stores", {True: store, False: store})
    store.calls.clear()
    marks = run_sync(suspicion.marks_of(desk.guard, network=THIEF))
    assert list(marks) == [("u8", "0" * 16), ("u7", "0" * 16), ("u6", "0" * 16)]
    assert run_sync(suspicion.flagged_from(desk.guard, THIEF)) == []
    assert store.calls.count("sessions") == 2


def test_short_pages_are_read_on_and_not_for_ever(
    desk: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = desk.guard.store, []
    whole = store.events

    async def short(query: object) -> object:
        asked.append(query)
        page = await whole(query)  # type: ignore[arg-type] # passed on
        return type(page)((), "0-1-00")

    monkeypatch.setattr(store, "events", short)
    assert run_sync(suspicion.marks_of(desk.guard)) == {}
    assert len(asked) == suspicion.MOST_PAGES


# --- the notice of a user ---


def notice_of(place: Place) -> str:
    (session,) = place.guard.sync.sessions_of("ann")
    return place.guard.notice_path(session)


def test_notice_of_a_flagged_session_says_what_happened(
    make_desk: MakeDesk, clock: FakeClock
) -> None:
    place = make_desk(detection={"city_database": CITIES})
    (ann,) = sign_in(place, "ann")
    rob(ann, clock)
    page = place.person().get(notice_of(place))
    (told,) = said_in(page)
    assert re.fullmatch(
        rf"This session of yours was used in a way that is unusual, from {THIEF} "
        r"\(London, GB\) at 2027-01-15 08:01 UTC\.",
        told,
    )
    before, _, after = page.text.partition("It began on:")
    assert re.findall(r"<li>(.+?)</li>", before)
    assert THIEF not in after
    for text in ("Firefox on Linux", "203.0.113.7", "If it was you,", "If it was not you,"):
        assert text in after
    assert "there is nothing to do" not in page.text


@pytest.mark.parametrize("precision", ["full", "none"])
def test_notice_says_no_more_than_is_known(
    make_desk: MakeDesk, clock: FakeClock, precision: str
) -> None:
    place = make_desk(privacy={"address_precision": precision})
    (ann,) = sign_in(place, "ann")
    rob(ann, clock)
    (told,) = said_in(place.person().get(notice_of(place)))
    where = f", from {THIEF} at 2027-01-15 08:01 UTC" if precision == "full" else ""
    assert told == f"This session of yours was used in a way that is unusual{where}."


def test_notice_of_a_calm_session_is_as_it_was(desk: Place) -> None:
    sign_in(desk, "ann")
    page = desk.person().get(notice_of(desk))
    assert "Somebody is signed in to your account here:" in page.text
    assert "If it was you, there is nothing to do." in page.text


def test_notice_while_the_log_does_not_answer(make_desk: MakeDesk, clock: FakeClock) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_desk(store)
    (ann,) = sign_in(place, "ann")
    rob(ann, clock)
    path = notice_of(place)
    store.fail("events")
    assert place.person().get(path).status_code == 503

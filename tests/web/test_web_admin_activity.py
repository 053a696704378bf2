"""The activity log: filters, pages, and all of it as a file, in parts."""

from __future__ import annotations

import csv
import gc
import json
import re
from typing import Any

import pytest
from admin_kit import (
    DESK,
    EXPORTS,
    MakeDesk,
    act,
    acts_in,
    admin_of,
    body_of,
    link_of,
    parts_of,
    rob,
    said_in,
    see,
    sign_in,
)
from web_kit import Person, Place, only_wsgi

from gatehound import Event
from gatehound._sync import run_sync
from gatehound.exporting import COLUMNS, FIELDS
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.web.admin import activity


@pytest.fixture
def past(desk: Place, clock: FakeClock) -> Person:
    """An hour and more in which something happened; return an admin."""
    (ann,) = sign_in(desk, "ann")
    sign_in(desk, "bob", address="198.51.100.4")
    rob(ann, clock)
    clock.advance(3600)
    admin = admin_of(desk)
    act(admin, "disable", user="bob")
    return admin


def names_in(answer: Any) -> list[str]:
    """The events that a page lists."""
    return re.findall(r"<code>(\w+)</code>", answer.text)


def test_log_is_shown_newest_first(past: Person) -> None:
    answer = see(past, "events")
    found = names_in(answer)
    assert found[0] == "admin_acted"
    assert found[-2:] == ["session_created", "session_created"]
    assert "session_flagged" in found
    for text in (DESK, "disabled a user", "of_user: bob;", "2027-01-15 09:01:00 UTC"):
        assert text in answer.text
    assert "Events are kept for 90 days." in answer.text


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("name=session_created", {("session_created", one) for one in ("ann", "bob", "root")}),
        ("name=session_created&user=bob", {("session_created", "bob")}),
        ("user=bob&network=198.51.100.0/24", {("session_created", "bob")}),
        ("network=2001:db8::/32", set()),
        ("within=3600&name=session_created", {("session_created", "root")}),
        ("name=session_created&within=21600&user=ann", {("session_created", "ann")}),
        ("name=token_forged", set()),
        ("user=+ann+&name=session_created", {("session_created", "ann")}),
    ],
)
@pytest.mark.parametrize("page", ["events", *EXPORTS])
def test_filters(past: Person, page: str, query: str, wanted: set[tuple[str, str]]) -> None:
    answer = see(past, f"{page}?{query}")
    assert answer.status_code == 200
    if page == "events":
        names = names_in(answer)
        assert set(names) == {name for name, _ in wanted}
        assert len(names) == len(wanted)
        for _, user in wanted:
            assert link_of(answer, user) == f"user?id={user}"
    else:
        assert {(row["name"], row["user_id"]) for row in rows_of(answer.text)} == wanted


def rows_of(text: str) -> list[dict[str, str]]:
    """Read either kind of file."""
    if text.startswith('"id"'):
        return list(csv.DictReader(text.splitlines()))
    return [json.loads(line) for line in text.splitlines()]


def test_activity_of_one_session(past: Person) -> None:
    found = re.search(r'href="\./(events\?session=\w+)"', see(past, "events?user=ann").text)
    assert found is not None
    answer = see(past, found[1])
    assert names_in(answer)[-1] == "session_created"
    assert "session_flagged" in names_in(answer)
    assert (link_of(answer, "ann"), link_of(answer, "bob")) == ("user?id=ann", "")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("name=no_such", "There is no event of that name."),
        ("session=x", "The id of a session is 16 digits"),
        ("session=" + "A" * 16, "The id of a session is 16 digits"),
        ("network=a", "An address is written as"),
        ("within=1", "That span of time"),
        (f"user={'x' * 1000}", "No user has such an id"),
    ],
)
@pytest.mark.parametrize("page", ["events", *EXPORTS])
def test_filter_that_cannot_be_used_is_named(
    past: Person, page: str, query: str, said: str
) -> None:
    before = len(acts_in(past.place))
    answer = see(past, f"{page}?{query}")
    if page != "events":
        assert answer.status_code == 303
        answer = see(past, answer.headers["location"])
    assert answer.status_code == 400
    assert said_in(answer)[0].startswith(said)
    assert names_in(answer) == []
    assert len(acts_in(past.place)) == before


def test_log_goes_on_page_by_page(past: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = names_in(see(past, "events"))
    monkeypatch.setattr(activity, "PAGE", 2)
    answer, seen = see(past, "events"), list[str]()
    assert "data-gh-live" in answer.text  # the first page alone can be followed
    while True:
        seen += names_in(answer)
        if not (more := link_of(answer, "Earlier")):
            break
        answer = see(past, more)
        assert "data-gh-live" not in answer.text
    assert seen == whole


@pytest.mark.parametrize("cursor", ["", "x", "0" * 5000, "%F0%9F", "\N{SNOWMAN}", "-1", "1e9"])
def test_cursor_of_nobody_shows_a_page(past: Person, cursor: str) -> None:
    assert see(past, f"events?cursor={cursor}").status_code == 200


def test_empty_log(desk: Place) -> None:
    answer = see(admin_of(desk), "events?user=nobody")
    assert "Nothing is in the log." in answer.text


# --- files ---


def test_files_hold_the_same(past: Person, desk: Place) -> None:
    lines = see(past, "events.jsonl")
    table = see(past, "events.csv")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    for answer, suffix in ((lines, "jsonl"), (table, "csv")):
        wanted = f'attachment; filename="events.{suffix}"'
        assert answer.headers["content-disposition"] == wanted
        assert "content-length" not in answer.headers
        assert "no-store" in answer.headers["cache-control"]
    rows, cells = rows_of(lines.text), rows_of(table.text)
    assert tuple(rows[0]) == FIELDS
    assert tuple(cells[0]) == COLUMNS
    # The export of the lines is in the log by the time of the table.
    assert (cells[0]["name"], cells[0]["reason"]) == ("admin_acted", "exported events")
    assert [row["id"] for row in rows] == [one["id"] for one in cells[1:]]
    told = [event for event in acts_in(desk) if event.reason == "exported events"]
    assert [(event.user_id, dict(event.detail)) for event in told] == [
        ("root", {"filter": ""}),
        ("root", {"filter": ""}),
    ]


@pytest.mark.parametrize("name", EXPORTS)
def test_file_comes_in_parts(past: Person, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    name = f"{name}?name=session_created"
    whole = see(past, name).text
    monkeypatch.setattr(activity, "EXPORT_PAGE", 2)
    parts = [part for part in parts_of(past, f"/admin/{name}") if part]
    assert len(parts) == 2 + whole.startswith('"id"')  # three events, and the head of a table
    assert b"".join(parts).decode() == whole


@only_wsgi
def test_reader_who_leaves_leaves_nothing_behind(
    past: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "EXPORT_PAGE", 1)
    body = iter(body_of(past, "/admin/events.jsonl"))
    assert next(body)
    body.close()  # type: ignore[attr-defined] # PEP 3333: the server calls it
    del body
    gc.collect()  # what was left would be told here, and warnings are errors
    assert see(past, "events").status_code == 200


@pytest.mark.parametrize("name", EXPORTS)
def test_head_sends_no_file_and_is_no_export(past: Person, desk: Place, name: str) -> None:
    answer = past.ask("HEAD", f"/admin/{name}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-disposition"]
    assert [event.reason for event in acts_in(desk)] == ["disabled a user"]


HARMFUL = [
    "=1+1",
    "+1",
    "-1+2",
    "@SUM(1)",
    "\uff1d1+1",
    'say "hi", bob',
    "two\r\nlines",
    "\u202egnp",
    "ü\N{SNOWMAN}",
    "'quoted",
]


@pytest.mark.parametrize("text", HARMFUL)
def test_what_strangers_wrote_is_harmless_in_files(
    desk: Place, clock: FakeClock, text: str
) -> None:
    run_sync(
        desk.guard.store.append(
            Event("login_failed", user_id=text, reason=text, detail={"path": text})
        )
    )
    clock.advance(1)
    admin = admin_of(desk)
    (line,) = see(admin, "events.jsonl?name=login_failed").text.splitlines()
    assert json.loads(line)["reason"] == text
    table = see(admin, "events.csv?name=login_failed").text
    head, row = table.removesuffix("\r\n").split("\r\n")  # no text of theirs ends a line
    (cells,) = csv.reader([row])
    assert len(cells) == len(head.split(","))
    assert not any(cell[:1] in ("=", "+", "-", "@", "\uff1d") for cell in cells)
    assert text.split("\r")[0][1:] in row.replace('""', '"').replace("\\u202e", "\u202e")


def test_event_of_any_text_is_escaped_on_the_page(desk: Place) -> None:
    text = "<script>alert(1)</script>{{ 7*7 }}"
    event = Event("login_failed", user_id=text, reason=text, address=text, detail={text: text})
    run_sync(desk.guard.store.append(event))
    answer = see(admin_of(desk), "events")
    assert "<script>alert" not in answer.text
    assert "{{ 7*7 }}" in answer.text


# --- a store that fails ---


@pytest.fixture
def faulty(make_desk: MakeDesk, clock: FakeClock) -> tuple[FaultyStore, Person]:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_desk(store)
    sign_in(place, "ann", "bob")
    clock.advance(1)
    return store, admin_of(place)


@pytest.mark.parametrize("name", EXPORTS)
def test_store_that_is_down_is_no_file(faulty: tuple[FaultyStore, Person], name: str) -> None:
    store, admin = faulty
    store.fail("events")
    answer = see(admin, name)
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "content-disposition" not in answer.headers
    assert acts_in(admin.place) == []


@pytest.mark.parametrize("name", EXPORTS)
def test_file_that_breaks_off_says_so_at_its_end(
    faulty: tuple[FaultyStore, Person], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store, admin = faulty
    monkeypatch.setattr(activity, "EXPORT_PAGE", 1)
    whole = store.store.events
    calls: list[Any] = []

    async def failing(query: Any) -> Any:
        calls.append(query)
        if len(calls) == 2:
            store.fail("events")
        return await whole(query)

    monkeypatch.setattr(store.store, "events", failing)
    answer = see(admin, name)
    rows = rows_of(answer.text)
    assert answer.status_code == 200
    assert rows[-1]["name"] == "store_down"
    assert rows[-1]["reason"] == "the export broke off here: what is older is missing"
    assert [row["name"] for row in rows[:-1]] == ["session_created"] * len(rows[:-1])
    assert any(event.name == "store_down" for event in admin.place.events)

"""The tail, shelves and pages by network of the SQLite store: bounds, damage, backups, locks."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlite_kit import bench_at, query

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.model import Event
from gatehound.stores.answer import EventQuery, Memory
from gatehound.stores.sqlite import SQLiteStore
from gatehound.stores.sqlite import log as log_module
from gatehound.testing import FakeClock
from gatehound.testing.bench import META


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


def write(store: SQLiteStore, *reasons: str, address: str = "") -> None:
    for reason in reasons:
        run_sync(store.append(Event("login_failed", "anna", reason=reason, address=address)))


def told(store: SQLiteStore, place: str, **options: Any) -> list[str]:
    return [event.reason for event in run_sync(store.tail(place, **options)).events]


def test_events_of_a_network_come_in_bounded_pages(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may be empty, and the next one goes on where it stopped looking."""
    monkeypatch.setattr(log_module, "_MAX_SCAN", 10)
    store = SQLiteStore(path)
    write(store, "old", address="2001:db8::1")
    write(store, *map(str, range(25)), address="192.0.2.1")
    write(store, "new", address="2001:db8::2")
    asked = EventQuery(network=(bytes.fromhex("20010db8") + bytes(12), 32), limit=5)
    pages = [run_sync(store.events(asked))]
    while pages[-1].cursor:
        pages.append(run_sync(store.events(replace(asked, cursor=pages[-1].cursor))))
    assert [[event.reason for event in page.events] for page in pages] == [["new"], [], ["old"]]
    many = replace(asked, network=(bytes(4), 0))
    page = run_sync(store.events(many))
    assert [event.reason for event in page.events] == ["24", "23", "22", "21", "20"]
    assert run_sync(store.events(replace(many, cursor=page.cursor))).events[0].reason == "19"
    run_sync(store.close())


def test_the_moment_is_found_by_an_index(path: Path) -> None:
    store = SQLiteStore(path)
    write(store, "1")
    for statement, values in ((log_module._SINCE, (1,)), (log_module._AFTER, (1, 1, 1))):
        plan = query(path, f"EXPLAIN QUERY PLAN {statement}", *values)
        assert [row[3].split()[0] for row in plan] == ["SEARCH"], plan
    run_sync(store.close())


def test_an_end_of_all_events_is_no_new_beginning(path: Path) -> None:
    """Numbers go on after all events were dropped, so that a place stays one."""
    clock = FakeClock()
    store = SQLiteStore(path, clock=clock)
    write(store, "1", "2")
    seen = run_sync(store.tail("", since=0))
    query(path, "DELETE FROM events")
    assert run_sync(store.tail(seen.place)) == replace(seen, events=())
    write(store, "3")
    assert told(store, seen.place) == ["3"]
    run_sync(store.close())


def test_a_backup_that_is_older_begins_anew(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore(path)
    write(store, "1")
    run_sync(store.close())
    shutil.copy(path, tmp_path / "backup.db")
    store = SQLiteStore(path)
    write(store, "2", "3")
    ahead = run_sync(store.tail("", since=0)).place
    run_sync(store.close())
    restored = SQLiteStore(tmp_path / "backup.db")
    assert told(restored, ahead, since=0) == ["1"]
    anew = run_sync(restored.tail(ahead))
    assert anew.events == ()
    write(restored, "4")
    assert told(restored, anew.place) == ["4"]
    run_sync(restored.close())


@pytest.mark.parametrize("value", ["'text'", "x'00'", "7"])
def test_a_shelf_that_was_changed_is_corrupt(path: Path, value: str) -> None:
    store = SQLiteStore(path)
    assert run_sync(store.put("work", Memory(b"note")))
    query(path, f"UPDATE meta SET value = {value} WHERE name = 'shelf:work'")  # noqa: S608 - of the table above
    for call in (store.shelf("work"), store.put("work", Memory(b"x", 1))):
        with pytest.raises(StoreCorrupt, match="a row of the table meta cannot be read"):
            run_sync(call)
    run_sync(store.prepare(META))  # what is on a shelf is no matter of the settings
    run_sync(store.close())


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ("body = 'x'", 1_800_000_000),
        ("body = x'00'", 1_800_000_000),
        ("body = '[]'", 1_800_000_000),
        ("""body = '["", "", [], ""]'""", 1_800_000_000),
        ("""body = '["", 7, {}, ""]'""", 1_800_000_000),
        ("name = x'00'", 1_800_000_000),
        ("user_id = x'ff'", 1_800_000_000),
        ("at = 'noon'", 0),
    ],
)
def test_an_event_that_cannot_be_read_says_so_and_the_log_goes_on(
    path: Path, change: str, at: int
) -> None:
    bench = bench_at(path)
    store = bench.store
    for number in range(3):
        run_sync(store.append(Event("login_failed", "anna", reason=str(number))))
    query(path, f"UPDATE events SET {change} WHERE id = 2")  # noqa: S608 - of the table above
    tail = run_sync(store.tail("", since=0))
    names = ["login_failed", "record_unreadable", "login_failed"]
    assert [event.name for event in tail.events] == names
    assert run_sync(store.tail(tail.place)).events == ()
    damaged = tail.events[1]
    assert (damaged.id, damaged.at, damaged.user_id, damaged.detail) == ("2", at, None, {})
    assert damaged.reason
    page = run_sync(store.events(EventQuery()))
    assert page.events == tail.events[::-1]
    page = run_sync(store.events(EventQuery(names=("login_failed",), user_id="anna")))
    assert [event.id for event in page.events] == ["3", "1"]  # whose it is, nobody knows
    run_sync(store.close())


def test_an_export_leaves_out_no_event_that_cannot_be_read(path: Path) -> None:
    bench = bench_at(path)
    run_sync(bench.store.append(Event("login_failed", "anna")))
    query(path, "UPDATE events SET body = 'x'")
    with pytest.raises(StoreCorrupt, match="a row of the table events cannot be read"):
        run_sync(bench.store.export(bench.alias(), "anna"))
    run_sync(bench.store.close())


class Hurried(SQLiteStore):
    deadline = 50


@pytest.mark.parametrize("suspends", [False, True])
def test_while_another_process_writes_all_is_read_and_nothing_put(
    path: Path, suspends: bool
) -> None:
    async def whole() -> None:
        store = Hurried(path, suspends=suspends)
        await store.append(Event("login_failed", reason="1"))
        await store.put("work", Memory(b"note"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await store.shelf("work") == Memory(b"note", 1)
            assert await store.living() == 0
            assert len((await store.tail("", since=0)).events) == 1
            with pytest.raises(StoreUnavailable, match="locked by another process"):
                await store.put("work", Memory(b"late", 1))
            other.execute("ROLLBACK")
        assert await store.put("work", Memory(b"in time", 1))
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


def test_a_missing_folder_is_an_error_of_each_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SQLiteStore(tmp_path / "file" / "sessions.db")
    calls: tuple[Callable[[], Coroutine[Any, Any, object]], ...] = (
        lambda: store.tail(""),
        lambda: store.shelf("work"),
        lambda: store.put("work", Memory(b"x")),
        store.living,
    )
    for call in calls:
        with pytest.raises(StoreUnavailable, match=r"check its directory|cannot be"):
            run_sync(call())

"""Checks of a store: searching the sessions of all users, and paging through them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gatehound.model import EndReason
from gatehound.stores.answer import Page, Query
from gatehound.stores.record import FLAGGED, Record
from gatehound.testing.bench import MADE_UP_CURSORS, Bench, equal


async def check_search_filters(bench: Bench) -> None:
    store = bench.store
    start = bench.clock()
    v4 = await bench.login(seen=bench.seen(address=bytes([198, 51, 100, 130]), country="NO"))
    bench.clock.advance(60)
    v6 = await bench.login(
        seen=bench.seen(address=bytes.fromhex("20010db8000080") + bytes(9), country="SE"),
        flags=FLAGGED,
    )
    bench.clock.advance(60)
    none = await bench.login(alias=v4.alias, seen=bench.seen(address=b"", country=""))
    await bench.load(v4, touch=0)
    now = bench.clock()
    cases: tuple[tuple[dict[str, Any], set[bytes]], ...] = (
        ({}, {v4.sid, v6.sid, none.sid}),
        ({"alias": v4.alias}, {v4.sid, none.sid}),
        ({"alias": bench.alias()}, set()),
        ({"flagged": True}, {v6.sid}),
        ({"flagged": False}, {v4.sid, none.sid}),
        ({"country": "NO"}, {v4.sid}),
        ({"country": "DK"}, set()),
        ({"network": (bytes([198, 51, 100, 0]), 24)}, {v4.sid}),
        ({"network": (bytes([198, 51, 100, 128]), 25)}, {v4.sid}),
        ({"network": (bytes([198, 51, 100, 0]), 25)}, set()),
        ({"network": (bytes([198, 51, 100, 130]), 32)}, {v4.sid}),
        ({"network": (bytes(4), 0)}, {v4.sid}),
        ({"network": (bytes.fromhex("20010db8") + bytes(12), 32)}, {v6.sid}),
        ({"network": (bytes.fromhex("20010db8000080") + bytes(9), 49)}, {v6.sid}),
        ({"network": (bytes.fromhex("20010db8") + bytes(12), 49)}, set()),
        ({"created_before": start}, set()),
        ({"created_before": start + 1}, {v4.sid}),
        ({"created_before": now + 1, "flagged": False}, {v4.sid, none.sid}),
        ({"seen_before": now}, {v6.sid}),
        ({"seen_before": now + 1}, {v4.sid, v6.sid, none.sid}),
        ({"alias": v4.alias, "country": "NO", "flagged": False}, {v4.sid}),
        ({"alias": v6.alias, "country": "NO"}, set()),
    )
    for query, expected in cases:
        equal(await bench.search(**query), expected, f"search of {query}")
    equal((await store.search(Query())).now, now, "now")


async def check_search_follows_changes(bench: Bench) -> None:
    new = await bench.login(seen=bench.seen(country="NO"))
    await bench.store.remember(
        new.alias, new.sid, new.secret_hash, seen=bench.seen(country="SE"), set_flags=FLAGGED
    )
    found = (await bench.search(country="NO"), await bench.search(country="SE", flagged=True))
    equal(found, (set(), {new.sid}), "after it moved and was flagged")
    page = await bench.store.search(Query())
    equal(page.records, (await bench.record(new),), "the record that search returns")
    await bench.store.rotate(
        new.alias, new.sid, new.secret_hash, bench.secret(), clear_flags=FLAGGED
    )
    equal(await bench.search(flagged=True), set(), "after a rotation cleared the flag")


async def check_search_returns_only_the_living(bench: Bench) -> None:
    ended, over = await bench.login(), await bench.login(idle=600_000)
    living = await bench.login()
    await bench.store.revoke(ended.alias, only=ended.sid, reason=EndReason.LOGOUT)
    bench.clock.advance(1800)
    equal(await bench.search(), {living.sid}, "search")
    equal(await bench.search(alias=over.alias), set(), "search of a user whose time is over")


async def check_search_leaves_noticing_to_others(bench: Bench) -> None:
    """It has no way to say what it ended, so that nobody would hear of it."""
    over = await bench.login(idle=600_000)
    bench.clock.advance(1800)
    equal(await bench.search(alias=over.alias), set(), "search of the user")
    equal(await bench.search(), set(), "search")
    equal(await bench.events(), [], "events after it")
    equal((await bench.load(over)).expired, True, "the first who is told that it is over")


async def _pages(bench: Bench, query: Query) -> list[Page]:
    pages = [await bench.store.search(query)]
    while pages[-1].cursor:
        assert len(pages) < 100, "paging does not come to an end"
        pages.append(await bench.store.search(Query(limit=query.limit, cursor=pages[-1].cursor)))
    return pages


def _order(record: Record) -> tuple[int, bytes]:
    return record.security.created, record.sid


async def check_search_pages_newest_first(bench: Bench) -> None:
    made = []
    for _ in range(4):
        made += [(await bench.login()).sid for _ in range(3)]
        bench.clock.advance(1)
    for limit in (1, 5, 12, 1000):
        pages = await _pages(bench, Query(limit=limit))
        assert max(len(page.records) for page in pages) <= limit, "a page over its limit"
        found = [record for page in pages for record in page.records]
        ordered = sorted(found, key=_order, reverse=True)
        equal(found, ordered, "newest first by (created, sid)")
        equal(sorted(record.sid for record in found), sorted(made), "no duplicate, no loss")


async def check_search_pages_with_a_filter(bench: Bench) -> None:
    for number in range(10):
        await bench.login(seen=bench.seen(country="NO" if number % 3 else "SE"))
        bench.clock.advance(1)
    found: list[bytes] = []
    query = Query(country="NO", limit=2)
    for _ in range(100):
        page = await bench.store.search(query)
        found += [record.sid for record in page.records]
        query = Query(country="NO", limit=2, cursor=page.cursor)
        if not page.cursor:
            break
    equal((len(found), len(set(found))), (6, 6), "sessions found, and different ones")


async def check_search_pages_while_sessions_come_and_go(bench: Bench) -> None:
    stay = [await bench.login() for _ in range(7)]
    bench.clock.advance(1)
    go = [await bench.login() for _ in range(3)]
    bench.clock.advance(1)
    stay += [await bench.login() for _ in range(4)]
    found: list[bytes] = []
    query = Query(limit=2)
    while True:
        page = await bench.store.search(query)
        found += [record.sid for record in page.records]
        if not page.cursor:
            break
        query = Query(limit=2, cursor=page.cursor)
        bench.clock.advance(1)
        await bench.login()
        if go:
            gone = go.pop()
            await bench.store.revoke(gone.alias, only=gone.sid, reason=EndReason.LOGOUT)
    staying = {new.sid for new in stay}
    equal(sorted(sid for sid in found if sid in staying), sorted(staying), "those that stayed")
    equal(len(found), len(set(found)), "no duplicates")


async def check_search_survives_a_made_up_cursor(bench: Bench) -> None:
    """A cursor comes back through a URL: one that no page came with means the first page."""
    first = await bench.login()
    for cursor in MADE_UP_CURSORS:
        page = await bench.store.search(Query(cursor=cursor))
        equal([r.sid for r in page.records], [first.sid], f"the page of cursor {cursor!r}")


async def check_search_says_how_many_it_looked_at(bench: Bench) -> None:
    """So that whoever waits for a rare one sees how far it is; none is counted on two pages."""
    alias = bench.alias()
    for number in range(10):
        seen = bench.seen(country="NO" if number % 4 else "SE")
        await bench.login(seen=seen, alias=alias if number < 3 else b"")
        bench.clock.advance(1)
    cases = ((Query(limit=3), 10), (Query(country="SE", limit=2), 3), (Query(alias, limit=2), 3))
    for query, found in cases:
        looked_at, asked = 0, query
        for _ in range(20):
            page = await bench.store.search(asked)
            assert page.looked_at >= len(page.records), "it found more than it looked at"
            looked_at, asked = looked_at + page.looked_at, replace(asked, cursor=page.cursor)
            if not page.cursor:
                break
        assert found <= looked_at <= 10, f"{looked_at} of 10 were looked at for {query}"

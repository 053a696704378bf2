"""Checks of a store: writing, finding, paging and dropping events."""

from __future__ import annotations

from ipaddress import ip_network

from msgspec.structs import replace

from gatehound.model import Event
from gatehound.stores.answer import Created, EventQuery
from gatehound.stores.record import ANONYMOUS
from gatehound.stores.rule import DAY
from gatehound.testing.bench import MADE_UP_CURSORS, Bench, equal

FULL = Event(
    "session_flagged",
    user_id="zoë \x00 😀",
    public_id="00ff00ff00ff00ff",
    reason='Two words, "quoted",\nand a line.',
    address="2001:db8::1",
    detail={"text": "é", "int": -3, "float": 0.5, "true": True, "none": None, "big": 2**53 + 1},
    notify="both",
)
Told = list[tuple[str, str | None]]
ANNAS: Told = [("session_created", "anna")]
FORGED: Told = [("token_forged", None)]
ADDRESSES = ("", "192.0.2.7", "::ffff:192.0.2.9", "2001:db8::1", "192.0.3.1", "rubbish", "::2")


async def check_events_keep_everything(bench: Bench) -> None:
    for event in (FULL, Event("login_failed")):
        await bench.store.append(event)
        bench.clock.advance(1)
    for stored, given in zip(await bench.events(), (FULL, Event("login_failed")), strict=True):
        for name in ("name", "user_id", "public_id", "reason", "address", "notify"):
            equal(getattr(stored, name), getattr(given, name), name)
        equal(dict(stored.detail), dict(given.detail), "detail")
        assert stored.id, "a stored event has an id"
        assert isinstance(stored.id, str), f"an id is text, got {stored.id!r}"
    kinds = {key: type(value) for key, value in (await bench.events())[0].detail.items()}
    equal(kinds, {key: type(value) for key, value in FULL.detail.items()}, "types in detail")


async def check_events_carry_the_stores_time(bench: Bench) -> None:
    bench.clock.advance(ms=1)
    await bench.store.append(Event("login_failed"))
    equal((await bench.events())[0].at, bench.clock() / 1000, "at")


async def check_create_writes_its_event(bench: Bench) -> None:
    given = Event("session_created", "anna", "00", detail={"remember": True})
    await bench.login(event=given)
    stored = (await bench.events())[0]
    told = (stored.name, stored.user_id, stored.public_id, dict(stored.detail), stored.at)
    expected = ("session_created", "anna", "00", {"remember": True}, bench.clock() / 1000)
    equal(told, expected, "the event of create")


async def check_event_filters(bench: Bench) -> None:
    start = bench.clock()
    await bench.store.append(Event("login_failed", "anna"))
    bench.clock.advance(10)
    await bench.store.append(Event("session_created", "anna", "aa"))
    await bench.store.append(Event("session_created", "zoë", "bb"))
    bench.clock.advance(10)
    await bench.store.append(Event("token_forged"))
    cases: tuple[tuple[EventQuery, Told], ...] = (
        (EventQuery(user_id="anna"), [("session_created", "anna"), ("login_failed", "anna")]),
        (EventQuery(user_id="nobody"), []),
        (EventQuery(public_id="bb"), [("session_created", "zoë")]),
        (
            EventQuery(names=["login_failed", "token_forged"]),
            [("token_forged", None), ("login_failed", "anna")],
        ),
        (EventQuery(names={"session_created"}, user_id="zoë"), [("session_created", "zoë")]),
        (EventQuery(since=start + 15_000), [("token_forged", None)]),
        (EventQuery(since=start + 5_000, user_id="anna"), [("session_created", "anna")]),
        (EventQuery(since=bench.clock() + 1), []),
        (EventQuery(until=start + 10_000), [("login_failed", "anna")]),
        (EventQuery(until=start + 10_001, user_id="zoë"), [("session_created", "zoë")]),
        (EventQuery(since=start + 5_000, until=start + 15_000, public_id="aa"), ANNAS),
        (EventQuery(until=start), []),
        (EventQuery(until=0), []),
        (EventQuery(since=10**30), []),
        (EventQuery(since=-(10**30), until=10**30, names=["token_forged"]), FORGED),
        (EventQuery(user_id="anna", public_id="bb"), []),
    )
    for query, expected in cases:
        page = await bench.store.events(query)
        equal([(event.name, event.user_id) for event in page.events], expected, f"{query}")
        equal(page.cursor, "", f"cursor of {query}")


async def check_events_of_a_network(bench: Bench) -> None:
    for address in ADDRESSES:
        await bench.store.append(Event("login_failed", address=address))
        bench.clock.advance(ms=1)
    both = ["::ffff:192.0.2.9", "192.0.2.7"]  # IPv4 in the dress of IPv6 is IPv4
    cases: tuple[tuple[str, list[str]], ...] = (
        ("192.0.2.0/24", both),
        ("::ffff:192.0.2.0/120", both),
        ("192.0.2.7/32", ["192.0.2.7"]),
        ("0.0.0.0/0", ["192.0.3.1", *both]),
        ("2001:db8::/32", ["2001:db8::1"]),
        ("::/0", ["::2", "2001:db8::1"]),
        ("203.0.113.0/24", []),
    )
    for text, expected in cases:
        network = ip_network(text)
        asked = (network.network_address.packed, network.prefixlen)
        for limit in (1, 50):
            found = await _page_through(bench, EventQuery(network=asked, limit=limit))
            equal([event.address for event in found], expected, f"events of {text} by {limit}")


async def _page_through(bench: Bench, query: EventQuery, *, write: bool = False) -> list[Event]:
    found: list[Event] = []
    for _ in range(100):
        page = await bench.store.events(query)
        assert len(page.events) <= query.limit, "a page over its limit"
        found += page.events
        if not page.cursor:
            return found
        query = replace(query, cursor=page.cursor)
        if write:
            await bench.store.append(Event("token_forged", reason="later"))
    raise AssertionError("paging does not come to an end")


async def check_events_page_newest_first(bench: Bench) -> None:
    for number in range(12):
        await bench.store.append(Event("login_failed", reason=str(number)))
        bench.clock.advance(ms=1)
    expected = [str(number) for number in reversed(range(12))]
    for limit in (1, 5, 12, 50):
        found = await _page_through(bench, EventQuery(limit=limit))
        equal([event.reason for event in found], expected, f"pages of {limit}")
    equal(len({event.id for event in found}), 12, "different ids")


async def check_events_of_one_instant_page_without_loss(bench: Bench) -> None:
    """Their order among each other is the store's, and has to stay the same between pages."""
    for number in range(12):
        user_id = f"user {number}" if number % 2 else None
        await bench.store.append(Event("login_failed", user_id, reason=str(number)))
    for limit in (1, 5, 12):
        found = await _page_through(bench, EventQuery(limit=limit))
        reasons = sorted(int(event.reason) for event in found)
        equal(reasons, list(range(12)), f"pages of {limit}, in any order")


async def check_events_page_with_a_filter(bench: Bench) -> None:
    for number in range(12):
        name = "login_failed" if number % 3 else "token_forged"
        await bench.store.append(Event(name, reason=str(number)))
        bench.clock.advance(ms=1)
    found = await _page_through(bench, EventQuery(names=["login_failed"], limit=3))
    expected = [str(number) for number in reversed(range(12)) if number % 3]
    equal([event.reason for event in found], expected, "pages of 3")


async def check_events_page_while_others_are_written(bench: Bench) -> None:
    for number in range(9):
        await bench.store.append(Event("login_failed", reason=str(number)))
        bench.clock.advance(ms=1)
    found = await _page_through(bench, EventQuery(limit=2), write=True)
    expected = [str(number) for number in reversed(range(9))]
    equal([event.reason for event in found], expected, "no duplicate, no loss, nothing later")


async def check_events_are_kept_for_the_retention(bench: Bench) -> None:
    await bench.store.append(Event("login_failed", "anna"))
    bench.clock.advance(ms=89 * DAY)
    await bench.store.append(Event("token_forged"))
    await bench.store.sweep()
    equal(len(await bench.events()), 2, "events after 89 days")
    bench.clock.advance(ms=2 * DAY)
    await bench.store.append(Event("token_forged"))
    await bench.store.sweep()
    names = [event.name for event in await bench.events()]
    equal(names, ["token_forged", "token_forged"], "events after 91 days")
    equal(await bench.events(user_id="anna"), [], "events of the user after 91 days")


async def check_visitors_expire_without_an_event(bench: Bench) -> None:
    """They come and go all day long: their events would push out those of users."""
    visitors = [await bench.login(flags=ANONYMOUS, idle=600_000, user_id="") for _ in range(4)]
    user = await bench.login(idle=600_000)
    bench.clock.advance(1800)
    equal((await bench.load(visitors[0])).expired, True, "who notices at a load is told")
    noticed = [*(await bench.store.sessions(visitors[1].alias)).finished]
    noticed += await bench.store.sweep()
    sids = {done.record.sid for done in noticed}
    equal(sids, {user.sid, *(new.sid for new in visitors[1:])}, "who notices is told of each")
    events = await bench.events("session_expired")
    equal([event.public_id for event in events], [user.sid.hex()], "events of expired sessions")


async def check_logins_tell_of_whom_they_end(bench: Bench) -> None:
    """A login may end what is over of others too: each once, and whoever ends one is told."""
    over = [await bench.login(idle=600_000, user_id=f"user-{n}") for n in range(12)]
    living = [await bench.login() for _ in range(3)]
    bench.clock.advance(1800)
    told = []
    for _ in range(45):
        created = await bench.store.create(bench.new())
        assert isinstance(created, Created), f"create should make a session, it said {created}"
        told += [done.record.sid for done in created.finished]
    told += [done.record.sid for done in await bench.store.sweep()]
    equal(sorted(told), sorted(new.sid for new in over), "who was told of")
    names = sorted(event.public_id or "" for event in await bench.events("session_expired"))
    equal(names, sorted(new.sid.hex() for new in over), "events of expired sessions")
    equal([await bench.lives(new) for new in living], [True] * 3, "sessions that are not over")


async def check_events_survive_a_made_up_cursor(bench: Bench) -> None:
    """A cursor comes back through an URL: it may be refused by name, and break nothing."""
    await bench.store.append(Event("login_failed"))
    for cursor in MADE_UP_CURSORS:
        try:
            await bench.store.events(EventQuery(cursor=cursor))
        except ValueError:
            continue

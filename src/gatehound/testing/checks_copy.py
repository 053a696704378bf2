"""Checks of a store: a dump that is restored, over the same store and into a fresh one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Dump, Holdings, Memory, NewSession, Query, Refused, Standing
from gatehound.stores.base import Store
from gatehound.stores.record import ANONYMOUS, FLAGGED, REMEMBERED
from gatehound.testing.bench import (
    DAY,
    HOUR,
    MADE_UP_CURSORS,
    MINUTE,
    Bench,
    equal,
    standing,
)

LONG_ID: Final = "zoë-" + "x" * 200
LONG_ROLES: Final = tuple(f"{number}-of-many-roles" for number in range(20))


async def _pages(store: Store, limit: int = 100) -> list[Dump]:
    pages = [await store.dump(limit=limit)]
    while pages[-1].cursor:
        pages.append(await store.dump(pages[-1].cursor, limit=limit))
    return pages


async def _restore(pages: list[Dump], target: Store) -> None:
    for page in pages:
        await target.restore(page)


async def _copies(bench: Bench, limit: int = 100) -> AsyncIterator[str]:
    """Copy into a fresh store, and over the one it is from; `bench.store` is each in turn."""
    pages = await _pages(bench.store, limit)
    first, fresh = bench.store, await bench.another()
    for bench.store, name in ((fresh, "a fresh store"), (first, "the same store")):
        await _restore(pages, bench.store)
        await _restore(pages, bench.store)  # it may be repeated
        yield name


async def _export(store: Store, new: NewSession) -> dict[str, Any]:
    """Return an export without events, and without the empty entries that some stores leave out."""
    told = await store.export(new.alias, new.user_id)
    del told["events"]
    for name in ("memory", "data"):
        told[name] = {public_id: kept for public_id, kept in told[name].items() if kept}
    return told


@dataclass(slots=True)
class _People:
    """Users with sessions of every sort, and what each of their secrets is worth."""

    new: list[NewSession] = field(default_factory=list)
    worth: list[tuple[NewSession, bytes, Standing, str]] = field(default_factory=list)


async def _people(bench: Bench) -> _People:
    people = _People()

    async def rotated(new: NewSession, grace: int | None) -> bytes:
        secret = bench.secret()
        await bench.store.rotate(new.alias, new.sid, new.secret_hash, secret, grace=grace)
        return secret

    for flags in (0, REMEMBERED, FLAGGED, ANONYMOUS):
        new = await bench.login(flags=flags, user_id=f"user-{flags}", memory=b"first")
        people.new.append(new)
        people.worth.append((new, new.secret_hash, Standing.LIVE, ""))
    address = bytes.fromhex("20010db8000000000000000000000001")
    long = await bench.login(
        user_id=LONG_ID, roles=LONG_ROLES, seen=bench.seen(address=address, agent=b"agent2")
    )
    people.new.append(long)
    for grace, expected in ((None, Standing.SUPERSEDED), (30 * MINUTE, Standing.GRACE)):
        new = await bench.login(alias=long.alias, user_id=LONG_ID, roles=LONG_ROLES)
        secret = await rotated(new, grace)
        people.worth += [
            (new, new.secret_hash, expected, ""),
            (new, bench.secret(), Standing.REUSED, "stale"),
            (new, secret, Standing.LIVE, ""),  # last: it is the first presentation
        ]
    again = await bench.login(user_id="zoë")
    people.new.append(again)
    bench.clock.advance(61)
    secret = await rotated(again, 30 * MINUTE)
    await bench.store.load(again.alias, again.sid, secret)
    people.worth.append((again, again.secret_hash, Standing.GRACE, ""))
    return people


async def check_a_copy_signs_nobody_out(bench: Bench) -> None:
    people = await _people(bench)
    old = [await _export(bench.store, new) for new in people.new]
    # Over itself last: by then the secrets were presented.
    async for name in _copies(bench):
        for new, told in zip(people.new, old, strict=True):
            equal(await _export(bench.store, new), told, f"export of {new.user_id} in {name}")
        for new, secret, expected, reuse in people.worth:
            wanted = Standing.REUSED if expected is Standing.SUPERSEDED else expected
            reuse = "recent" if expected is Standing.SUPERSEDED else reuse
            answer = await bench.store.load(new.alias, new.sid, secret)
            standing(answer, wanted, f"a secret of {new.user_id} in {name}", reuse)
            assert answer.record is not None, "these answers carry the record"
            equal((answer.record.user_id, answer.record.roles), (new.user_id, new.roles), name)
    new = people.new[0]
    bench.clock.advance(30)
    answer = await bench.load(new, touch=MINUTE // 2)
    equal(answer.standing, Standing.LIVE, "a session of the copy slides")


async def check_a_copy_keeps_the_terms_of_old_secrets(bench: Bench) -> None:
    confirmed, waiting, proven = [await bench.login() for _ in range(3)]
    fresh: list[bytes] = []
    for new, grace in ((confirmed, 2 * MINUTE), (waiting, 2 * MINUTE), (proven, None)):
        fresh.append(bench.secret())
        await bench.store.rotate(new.alias, new.sid, new.secret_hash, fresh[-1], grace=grace)
    bench.clock.advance(10)
    await bench.store.load(confirmed.alias, confirmed.sid, fresh[0])
    bench.clock.advance(20)
    async for name in _copies(bench):
        at = bench.clock()
        standing(await bench.load(proven), Standing.SUPERSEDED, f"superseded in {name}")
        for new in (confirmed, waiting):
            standing(await bench.load(new), Standing.GRACE, f"graced in {name}")
        bench.clock.advance(101)
        standing(
            await bench.load(proven), Standing.REUSED, f"superseded long ago, {name}", "recent"
        )
        standing(await bench.load(confirmed), Standing.REUSED, f"after the grace, {name}", "recent")
        standing(await bench.load(waiting), Standing.GRACE, f"not confirmed yet, {name}")
        bench.clock.advance(500)
        standing(await bench.load(waiting), Standing.REUSED, f"never confirmed, {name}", "orphan")
        bench.clock.advance(ms=at - bench.clock())


async def check_a_copy_keeps_what_ended(bench: Bench) -> None:
    new = await bench.login(absolute=2 * HOUR)
    left = await bench.login(alias=new.alias, absolute=3 * HOUR, idle=3 * HOUR)
    await bench.store.revoke(new.alias, only=new.sid, reason=EndReason.SUSPICIOUS)
    bench.clock.advance(60)
    async for name in _copies(bench):
        at = bench.clock()
        answer = await bench.load(new)
        standing(answer, Standing.ENDED, f"an ended session in {name}")
        assert answer.ended is not None, "ENDED has to carry the tombstone"
        expected = (EndReason.SUSPICIOUS, at - 60_000)
        equal((answer.ended.reason, answer.ended.at), expected, f"why and when in {name}")
        bench.clock.advance(ms=2 * HOUR - 62_000)
        standing(await bench.load(new), Standing.ENDED, f"at the end of its life in {name}")
        bench.clock.advance(4)
        standing(await bench.load(new), Standing.UNKNOWN, f"after its life in {name}")
        standing(await bench.load(left), Standing.LIVE, f"another session in {name}")
        bench.clock.advance(ms=at - bench.clock())


async def check_a_copy_keeps_the_newest_tombstones(bench: Bench) -> None:
    ended = []
    alias = bench.alias()
    for _ in range(8):
        ended.append(await bench.login(alias=alias, limit=1))
        bench.clock.advance(1)
    async for name in _copies(bench):
        await bench.store.revoke(alias, only=ended[-1].sid, reason=EndReason.LOGOUT)
        more = await bench.login(alias=alias)
        await bench.store.revoke(alias, only=more.sid, reason=EndReason.LOGOUT)
        known = [new.sid.hex() for new in (*ended[1:], more)]
        told = await bench.store.export(alias, "anna")
        equal(sorted(told["ended"]), sorted(known), f"the newest eight in {name}")


async def check_a_copy_keeps_out_who_was_kept_out(bench: Bench) -> None:
    disabled, revoked = await bench.login(), await bench.login(user_id="zoë")
    bench.clock.advance(60)
    everyone = await bench.store.epoch(bench.alias())
    begun = await bench.store.epoch(revoked.alias)
    await bench.store.disable(disabled.alias)
    epoch = (await bench.store.revoke(revoked.alias, reason=EndReason.PASSWORD_CHANGED)).epoch
    await bench.store.forget(disabled.alias, "anna")
    async for name in _copies(bench):
        refused = await bench.store.create(bench.new(alias=disabled.alias))
        equal(refused, Refused("disabled", bench.clock()), f"a disabled user in {name}")
        equal(await bench.store.epoch(revoked.alias), epoch, f"the epoch in {name}")
        equal(await bench.store.epoch(bench.alias()), everyone, f"the epoch of others in {name}")
        refused = await bench.store.create(bench.new(alias=revoked.alias, epoch=begun))
        equal(refused, Refused("epoch", bench.clock()), f"a login from before in {name}")
        bench.clock.advance(3590)  # the epoch is kept for an hour
        await bench.store.sweep()
        equal(await bench.store.epoch(revoked.alias), epoch, f"the epoch for an hour in {name}")
        bench.clock.advance(-3590)
    equal(await bench.store.enable(disabled.alias), True, "enable in a copy")


async def check_a_copy_keeps_evidence_and_data(bench: Bench) -> None:
    new = await bench.login(memory=b"first")
    remembered = await bench.login(user_id="zoë", idle=MINUTE, absolute=MINUTE)
    for one, known in ((new, b"user"), (remembered, b"gone")):
        await bench.store.remember(
            one.alias, one.sid, one.secret_hash, user_memory=Memory(known), agent=""
        )
    values = {"a": b"1", "é": b"\x00\xff", "empty": b"", "n" * 128: b"x" * 65_536}
    await bench.store.data_set(new.alias, new.sid, values)
    bench.clock.advance(200)
    await bench.store.sweep()
    async for name in _copies(bench):
        equal(await bench.store.data_get(new.alias, new.sid), values, f"app data in {name}")
        memory, about = await bench.store.recall(new.alias, new.sid)
        equal((memory.data, about.data), (b"first", b"user"), f"evidence in {name}")
        equal((await bench.store.recall(remembered.alias, new.sid))[1].data, b"gone", name)
        equal(await bench.store.agents([b"agent1"]), {b"agent1": new.agent}, f"agents in {name}")
        changed = Memory(b"first", memory.version), Memory(b"user", about.version)
        done = await bench.store.remember(
            new.alias, new.sid, new.secret_hash, memory=changed[0], user_memory=changed[1]
        )
        equal(done.done, True, f"compare-and-swap in {name}")
        done = await bench.store.remember(new.alias, new.sid, new.secret_hash, memory=changed[0])
        equal((done.done, done.gone), (False, False), f"with the version before in {name}")
        equal(await bench.store.data_incr(new.alias, new.sid, "n"), 1, f"app data grows in {name}")
        equal(await bench.store.data_delete(new.alias, new.sid, ["n"]), 1, f"and goes in {name}")


async def check_restore_replaces_what_is_there(bench: Bench) -> None:
    staying, ended, forgotten = [await bench.login(user_id="anna") for _ in range(3)]
    await bench.store.data_set(staying.alias, staying.sid, {"old": b"1", "kept": b"2"})
    target = await bench.another()
    await _restore(await _pages(bench.store), target)
    stranger = bench.new()
    await target.create(stranger)
    for store in (bench.store, target):
        await store.append(Event("login_failed"))
    bench.clock.advance(60)
    await bench.store.data_delete(staying.alias, staying.sid, ["old"])
    later = await bench.login(alias=staying.alias)
    await bench.store.revoke(ended.alias, only=ended.sid, reason=EndReason.LOGOUT)
    await bench.store.disable(forgotten.alias)
    await bench.store.forget(forgotten.alias, "anna")
    await bench.store.enable(forgotten.alias)
    await _restore(await _pages(bench.store), target)
    bench.store = target
    found = await bench.search()
    equal(found, {staying.sid, later.sid, stranger.sid}, "sessions after the second pass")
    standing(await bench.load(ended), Standing.ENDED, "ended since the first pass")
    standing(await bench.load(forgotten), Standing.UNKNOWN, "forgotten since the first pass")
    equal(await bench.store.data_get(staying.alias, staying.sid), {"kept": b"2"}, "app data")
    equal([event.name for event in await bench.events()], ["login_failed"], "no event is written")


async def check_restore_never_moves_back(bench: Bench) -> None:
    old, other = await bench.login(), await bench.login(user_id="zoë")
    bench.clock.advance(60)
    await bench.store.revoke(other.alias, reason=EndReason.PASSWORD_CHANGED)
    pages = await _pages(bench.store)
    bench.clock.advance(60)
    epoch = (await bench.store.revoke(other.alias, reason=EndReason.PASSWORD_CHANGED)).epoch
    await _restore(pages, bench.store)
    equal(await bench.store.epoch(other.alias), epoch, "the epoch of a user")
    bench.clock.advance(60)
    await bench.store.revoke_everyone()
    everyone = await bench.store.epoch(bench.alias())
    bench.clock.advance(60)
    later = await bench.login()
    await _restore(pages, bench.store)
    equal(await bench.store.epoch(bench.alias()), everyone, "the epoch of everybody")
    equal(await bench.lives(old), False, "a session of a backup, from before everybody's ended")
    equal(await bench.lives(later), True, "a session since, of who is not in the backup")


async def check_restore_ends_what_ended_for_everyone(bench: Bench) -> None:
    """Also of those who are not in the dump any more: nobody says why they are not."""
    stranger, unseen = bench.new(), await bench.login()
    target = await bench.another()
    await target.create(stranger)
    [page] = [page for page in await _pages(bench.store) if page.users]
    bench.clock.advance(60)
    await bench.store.revoke_everyone()
    begun = await bench.store.epoch(bench.alias())
    bench.clock.advance(60)
    later = await bench.login()
    # A store may tell of it by `not_before` alone, and leave the sessions for later.
    await target.restore(Dump(page.users, not_before=begun))
    await _restore(await _pages(bench.store), target)
    bench.store = target
    equal(await bench.store.epoch(bench.alias()), begun, "the epoch of everybody")
    equal(await bench.lives(stranger), False, "a session that was in the target alone")
    equal(await bench.lives(unseen), False, "a session that was in the dump")
    equal(await bench.lives(later), True, "a session since")
    equal(await bench.search(), {later.sid}, "search")
    equal(await bench.events(), [], "no event is written")


async def check_dump_comes_in_pages(bench: Bench) -> None:
    people = [await bench.login(user_id=f"user-{number}") for number in range(12)]
    disabled, ended = bench.alias(), await bench.login()
    await bench.store.disable(disabled)
    await bench.store.revoke(ended.alias, reason=EndReason.LOGOUT)
    wanted = {new.alias for new in people} | {disabled, ended.alias}
    for limit in (1, 5, 1000):
        pages = await _pages(bench.store, limit)
        found = {user.alias for page in pages for user in page.users}
        equal(found, wanted, f"users in pages of {limit}")
    async for name in _copies(bench, limit=1):
        equal(await bench.search(), {new.sid for new in people}, f"sessions in {name}")
    for cursor in MADE_UP_CURSORS:
        await bench.store.dump(cursor, limit=1)  # whatever it gives, it raises nothing


async def check_dump_ends_nothing(bench: Bench) -> None:
    new = await bench.login(idle=10 * MINUTE, user_id="anna")
    bench.clock.advance(1800)
    pages = await _pages(bench.store)
    kept = [held.record.sid for page in pages for user in page.users for held in user.sessions]
    equal(set(kept), {new.sid}, "a session that is over, and nobody noticed")
    equal(await bench.events(), [], "events of a dump")
    async for name in _copies(bench):
        answer = await bench.load(new)
        equal((answer.standing, answer.expired), (Standing.ENDED, True), f"who notices in {name}")
        names = [event.name for event in await bench.events()]
        equal(names, ["session_expired"], f"events in {name}")


async def check_a_copy_is_found(bench: Bench) -> None:
    made = []
    for number in range(6):
        made.append(await bench.login(user_id=f"user-{number}", flags=FLAGGED, idle=10 * MINUTE))
        bench.clock.advance(1)
    newest = [new.sid for new in reversed(made)]
    first = bench.store
    async for name in _copies(bench):
        found, cursor = [], "first"
        while cursor:
            query = Query(flagged=True, limit=4, cursor=cursor.removeprefix("first"))
            page = await bench.store.search(query)
            found += [record.sid for record in page.records]
            cursor = page.cursor
        equal(found, newest, f"search in {name}")
        listed = await bench.store.sessions(made[0].alias)
        equal([record.sid for record in listed.records], [made[0].sid], f"list in {name}")
    bench.store = await bench.another()
    await _restore(await _pages(first), bench.store)
    bench.clock.advance(300)
    kept = await bench.login()
    bench.clock.advance(ms=10 * MINUTE - 300_000)
    ended = {done.record.sid for done in await bench.store.sweep()}
    equal(ended, set(newest), "who is ended by a sweep of a copy")
    equal(await bench.search(), {kept.sid}, "search after it")


async def check_restore_of_nobody_changes_nothing(bench: Bench) -> None:
    new = await bench.login()
    told = await _export(bench.store, new)
    await bench.store.restore(Dump(()))
    await bench.store.restore(Dump((Holdings(bench.alias()),)))
    equal(await _export(bench.store, new), told, "a user who is not in it")
    equal(await bench.store.epoch(bench.alias()), 0, "the epoch of everybody")
    bench.clock.advance(ms=DAY)
    await bench.store.sweep()

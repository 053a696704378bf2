"""Checks of a store: it tells which sessions end, in whatever way, and only those."""

from __future__ import annotations

from gatehound.errors import UsageError
from gatehound.model import EndReason
from gatehound.stores.answer import Dump, Ends, Holdings
from gatehound.testing.bench import HOUR, Bench, equal

# How often to ask again, for up to a second each: spent whole only where something is not told.
PATIENCE = 20


async def _here(bench: Bench) -> str | None:
    """The place of now; None for a store that tells nothing, which only a blocking one may."""
    try:
        ends = await bench.store.ends("", wait=0)
    except UsageError:
        assert not bench.store.suspends, "a store that suspends has to tell"
        return None
    equal((ends.sids, ends.everyone, ends.missed), ((), False, False), "the place of now")
    assert ends.place, "a place is never empty"
    return ends.place


async def _since(bench: Bench, place: str, wanted: set[bytes]) -> Ends:
    """Ask until all that is wanted was told; everything that was told comes back as one."""
    told: list[bytes] = []
    everyone = missed = False
    for _ in range(PATIENCE):
        ends = await bench.store.ends(place, wait=1.0 if bench.store.tells else 0)
        told += ends.sids
        everyone, missed, place = everyone or ends.everyone, missed or ends.missed, ends.place
        if wanted <= set(told) or missed or not bench.store.tells:
            break
    return Ends(tuple(told), everyone, missed, place)


async def _told(bench: Bench, place: str, wanted: set[bytes], what: str) -> str:
    ends = await _since(bench, place, wanted)
    equal(set(ends.sids), wanted, what)
    equal(ends.missed, False, f"{what}: missed")
    return ends.place


async def check_ends_name_what_was_revoked(bench: Bench) -> None:
    alias = bench.alias()
    one, two, three = [await bench.login(alias=alias) for _ in range(3)]
    stranger = await bench.login()
    place = await _here(bench)
    if place is None:
        return
    equal((await bench.store.ends(place, wait=0)).sids, (), "before anything ended")
    await bench.store.revoke(alias, only=one.sid, reason=EndReason.LOGOUT)
    later = await _told(bench, place, {one.sid}, "revoke one")
    await bench.store.revoke(alias, keep=two.sid, reason=EndReason.USER)
    await _told(bench, later, {three.sid}, "revoke others")
    await bench.store.disable(stranger.alias)
    await _told(bench, later, {three.sid, stranger.sid}, "from an earlier place, disable too")


async def check_ends_name_what_made_room(bench: Bench) -> None:
    alias = bench.alias()
    oldest = await bench.login(alias=alias)
    bench.clock.advance(1)
    replaced = await bench.login(alias=alias)
    place = await _here(bench)
    if place is None:
        return
    new = await bench.login(alias=alias, limit=2, replaces=replaced.sid)
    place = await _told(bench, place, {replaced.sid}, "replaced")
    bench.clock.advance(1)
    await bench.login(alias=alias, limit=2)
    await _told(bench, place, {oldest.sid}, "over the limit")
    equal(await bench.lives(new), True, "the session that replaced one")


async def check_ends_name_what_expired(bench: Bench) -> None:
    noticed, swept = await bench.login(idle=HOUR), await bench.login(idle=HOUR)
    place = await _here(bench)
    if place is None:
        return
    bench.clock.advance(ms=2 * HOUR)
    await bench.load(noticed)
    place = await _told(bench, place, {noticed.sid}, "noticed")
    await bench.store.sweep()
    await _told(bench, place, {swept.sid}, "swept")


async def check_ends_name_who_was_forgotten(bench: Bench) -> None:
    new, ended = await bench.login(user_id="anna"), await bench.login()
    await bench.store.revoke(ended.alias, reason=EndReason.ADMIN)
    place = await _here(bench)
    if place is None:
        return
    await bench.store.forget(new.alias, "anna")
    await _told(bench, place, {new.sid}, "forget")


async def check_ends_of_everyone(bench: Bench) -> None:
    made = {(await bench.login()).sid for _ in range(3)}
    place = await _here(bench)
    if place is None:
        return
    bench.clock.advance(1)
    await bench.store.revoke_everyone()
    ends = await _since(bench, place, made)
    assert ends.everyone or ends.missed or set(ends.sids) == made, f"everyone: {ends}"


async def check_ends_are_those_of_many(bench: Bench) -> None:
    """More than one user's tombstones hold: all are named, or some are missed and it says so."""
    alias = bench.alias()
    made = {(await bench.login(alias=alias, limit=None)).sid for _ in range(12)}
    place = await _here(bench)
    if place is None:
        return
    await bench.store.revoke(alias, reason=EndReason.PASSWORD_CHANGED)
    ends = await _since(bench, place, made)
    assert ends.missed or set(ends.sids) == made, f"12 ended, named were {len(ends.sids)}"


async def check_a_rotation_ends_nothing(bench: Bench) -> None:
    new = await bench.login()
    place = await _here(bench)
    if place is None:
        return
    secret = bench.secret()
    await bench.store.rotate(new.alias, new.sid, new.secret_hash, secret)
    await bench.store.rotate(new.alias, new.sid, secret, bench.secret(), grace=1)
    other = await bench.login()
    await bench.store.revoke(other.alias, reason=EndReason.LOGOUT)
    await _told(bench, place, {other.sid}, "after two rotations and one end")


async def check_ends_name_what_a_copy_ended(bench: Bench) -> None:
    ended, staying = await bench.login(), await bench.login()
    place = await _here(bench)
    if place is None:
        return
    await bench.store.restore(Dump((Holdings(ended.alias),)))
    ends = await _since(bench, place, {ended.sid})
    equal(ends.missed or ended.sid in ends.sids, True, "a session that is not in the copy")
    equal(staying.sid in ends.sids or ends.everyone, False, "a user who is not in the copy")


async def check_a_foreign_place_has_missed_some(bench: Bench) -> None:
    place = await _here(bench)
    if place is None:
        return
    for foreign in ("x", "9" * 30, "-1", "9-9", "999999-0011223344556677", "٣", "1-٣"):
        ends = await bench.store.ends(foreign, wait=0)
        equal((ends.missed, ends.sids), (True, ()), f"the place {foreign!r}")
    new = await bench.login()
    await bench.store.revoke(new.alias, reason=EndReason.LOGOUT)
    await _told(bench, ends.place, {new.sid}, "from the place that came with it")


async def check_ends_reach_other_threads_and_loops(bench: Bench) -> None:
    new = await bench.login()
    place = await _here(bench)
    if place is None:
        return

    async def revoke() -> None:
        await bench.store.revoke(new.alias, reason=EndReason.LOGOUT)

    await bench.elsewhere(revoke)
    await _told(bench, place, {new.sid}, "ended in another thread")

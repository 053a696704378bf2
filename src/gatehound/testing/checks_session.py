"""Checks of a store: create, load and list, the limit, and time."""

from __future__ import annotations

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, Refused, Standing
from gatehound.stores.record import ANONYMOUS, REMEMBERED, Seen
from gatehound.testing.bench import DAY, HOUR, MINUTE, Bench, equal, standing


async def check_create_keeps_everything(bench: Bench) -> None:
    now = bench.clock()
    new = bench.new(roles=("admin", "redaktør", "a,b"), flags=REMEMBERED | ANONYMOUS, aal=2)
    new = replace(new, methods=("password", "totp"), memory=b"first \x00\xff")
    created = await bench.store.create(new)
    assert isinstance(created, Created), f"expected Created, got {created}"
    equal((created.now, created.finished), (now, ()), "now and finished of the first session")
    record = created.record
    equal(record.alias, new.alias, "alias")
    equal((record.user_id, record.roles), (new.user_id, new.roles), "user id and roles")
    security = record.security
    equal((security.sid, security.secret_hash), (new.sid, new.secret_hash), "sid, secret hash")
    equal((security.created, security.authenticated), (now, now), "created, authenticated")
    equal(security.rotated, now, "rotated")
    equal((security.expires, security.idle), (now + 12 * HOUR, HOUR), "expires, idle")
    equal((security.flags, security.aal), (new.flags, 2), "flags, aal")
    equal(security.methods, ("password", "totp"), "methods")
    equal(record.seen, replace(new.seen, last_seen=now), "seen")
    equal(await bench.record(new), record, "what load returns after create")
    memory, user_memory = await bench.store.recall(new.alias, new.sid)
    equal((memory.data, user_memory.data), (b"first \x00\xff", b""), "first evidence")


async def check_create_ignores_last_seen_of_the_caller(bench: Bench) -> None:
    new = await bench.login(seen=bench.seen(last_seen=bench.clock() + DAY))
    equal((await bench.record(new)).seen.last_seen, bench.clock(), "last seen")


async def check_create_keeps_any_seen_part(bench: Bench) -> None:
    seen = Seen(0, bytes(range(16)), "", 0, bytes(6), (b"\xff" * 6, b"\x00\x01" * 3))
    for part in (seen, Seen(0)):
        new = await bench.login(seen=part)
        expected = replace(part, last_seen=bench.clock())
        equal((await bench.record(new)).seen, expected, "seen")


async def check_user_ids_of_any_text(bench: Bench) -> None:
    for user_id in ("é" * 256, "😀" * 128, "a" * 512, "nul \x00 and\nline", " ", "<script>'\"%s"):
        new = await bench.login(user_id=user_id, roles=())
        record = await bench.record(new)
        equal((record.user_id, record.roles), (user_id, ()), "user id and no roles")
        listed = await bench.store.sessions(new.alias)
        equal([record.user_id for record in listed.records], [user_id], "user id in a list")


async def check_roles_are_those_of_the_latest_login(bench: Bench) -> None:
    first = await bench.login(roles=("editor",))
    await bench.login(alias=first.alias, roles=("admin", "owner"))
    equal((await bench.record(first)).roles, ("admin", "owner"), "roles after another login")


async def check_create_is_idempotent_on_its_secret(bench: Bench) -> None:
    new = await bench.login(event=Event("session_created", user_id="anna"), limit=1)
    before = await bench.record(new)
    bench.clock.advance(60)
    again = await bench.store.create(replace(new, agent="other", memory=b"other"))
    assert isinstance(again, Created), f"the same create again: expected Created, got {again}"
    equal((again.record, again.finished), (before, ()), "the same create again changes nothing")
    equal((await bench.store.recall(new.alias, new.sid))[0].data, b"", "evidence is not replaced")
    equal(len((await bench.store.sessions(new.alias)).records), 1, "sessions after both")


async def check_repeated_create_writes_no_second_event(bench: Bench) -> None:
    event = Event("session_created", user_id="anna")
    new = await bench.login(event=event)
    await bench.store.create(new, event)
    equal(len(await bench.events("session_created")), 1, "session_created events")


async def check_create_again_after_its_session_was_over(bench: Bench) -> None:
    """A session whose time is over is not there, also for the call that made it."""
    new = await bench.login(user_id="anna")
    bench.clock.advance(2 * 3600)
    for time in ("first", "second"):
        equal(await bench.store.create(new), Refused("sid", bench.clock()), f"the {time} time")
    await bench.store.sessions(new.alias)
    answer = await bench.load(new)
    equal((answer.standing, answer.expired), (Standing.ENDED, False), "load after it")
    equal(len(await bench.events("session_expired")), 1, "session_expired events")


async def check_create_refuses_a_taken_sid(bench: Bench) -> None:
    new = await bench.login(memory=b"mine")
    event = Event("session_created", user_id="anna")
    other = replace(new, secret_hash=bench.secret(), memory=b"theirs", roles=("admin",))
    equal(
        await bench.store.create(other, event),
        Refused("sid", bench.clock()),
        "create of a taken sid",
    )
    equal(await bench.lives(new), True, "the session that was there lives")
    equal((await bench.record(new)).roles, ("editor",), "roles after a refused create")
    equal((await bench.load(other)).standing, Standing.REUSED, "the other secret")
    equal(await bench.events("session_created"), [], "events of a refused create")


async def check_unknown_sessions_are_unknown(bench: Bench) -> None:
    known = await bench.login()
    stranger = bench.new()
    standing(await bench.load(stranger), Standing.UNKNOWN, "an unknown user")
    standing(
        await bench.load(replace(stranger, alias=known.alias)), Standing.UNKNOWN, "an unknown sid"
    )
    standing(
        await bench.load(replace(known, alias=stranger.alias)),
        Standing.UNKNOWN,
        "a known sid under the alias of somebody else",
    )


async def check_wrong_secret_is_reused_and_stale(bench: Bench) -> None:
    new = await bench.login()
    before = await bench.record(new)
    bench.clock.advance(120)
    wrong = replace(new, secret_hash=bench.secret())
    answer = await bench.load(wrong, touch=MINUTE)
    standing(answer, Standing.REUSED, "a secret that never was current", "stale")
    equal(await bench.record(new), before, "a refused secret does not slide the session")


async def check_touch_slides_when_due(bench: Bench) -> None:
    new = await bench.login()
    start = bench.clock()
    bench.clock.advance(ms=MINUTE - 1)
    seen = (await bench.load(new, touch=MINUTE)).record
    assert seen is not None, "a LIVE answer has to carry the record"
    equal(seen.seen.last_seen, start, "last seen when the touch is not due")
    bench.clock.advance(ms=1)
    equal((await bench.record(new)).seen.last_seen, start, "last seen after a load without touch")
    touched = (await bench.load(new, touch=MINUTE)).record
    assert touched is not None, "a LIVE answer has to carry the record"
    equal(touched.seen.last_seen, bench.clock(), "last seen in the answer of a touch that is due")
    equal((await bench.record(new)).seen, replace(seen.seen, last_seen=bench.clock()), "stored")


async def check_was_seen_tells_the_activity_before(bench: Bench) -> None:
    new = await bench.login()
    start = bench.clock()
    bench.clock.advance(120)
    cases = ((None, 0), (3 * MINUTE, 0), (MINUTE, start), (MINUTE, 0), (0, 0))
    for touch, expected in cases:
        answer = await bench.load(new, touch=touch)
        equal(answer.was_seen, expected, f"was_seen of a load with touch={touch}")
    refused = await bench.load(replace(new, secret_hash=bench.secret()), touch=0)
    equal(refused.was_seen, 0, "was_seen for a secret that is refused")


async def check_touch_keeps_a_session_alive(bench: Bench) -> None:
    new = await bench.login()
    for _ in range(13):
        bench.clock.advance(50 * 60)
        standing(await bench.load(new, touch=MINUTE), Standing.LIVE, "touched every 50 minutes")
    bench.clock.advance(ms=12 * HOUR - 13 * 50 * MINUTE)
    answer = await bench.load(new, touch=MINUTE)
    standing(answer, Standing.ENDED, "touched every 50 minutes, after the absolute time")
    assert answer.ended is not None, "ENDED has to carry the tombstone"
    equal(answer.ended.reason, EndReason.ABSOLUTE, "reason")


async def check_last_seen_never_moves_backwards(bench: Bench) -> None:
    new = await bench.login()
    bench.clock.advance(600)
    latest = (await bench.load(new, touch=0)).now
    bench.clock.advance(-300)
    await bench.load(new, touch=0)
    equal((await bench.record(new)).seen.last_seen, latest, "last seen after the clock went back")


async def check_idle_and_absolute_end_at_their_instant(bench: Bench) -> None:
    cases = (
        (HOUR, 12 * HOUR, HOUR, EndReason.IDLE),
        (13 * HOUR, 12 * HOUR, 12 * HOUR, EndReason.ABSOLUTE),
        (12 * HOUR, 12 * HOUR, 12 * HOUR, EndReason.ABSOLUTE),
    )
    for idle, absolute, life, reason in cases:
        new = await bench.login(idle=idle, absolute=absolute)
        bench.clock.advance(ms=life - 1)
        standing(await bench.load(new), Standing.LIVE, "one millisecond before its end")
        bench.clock.advance(ms=1)
        answer = await bench.load(new, touch=0)
        standing(answer, Standing.ENDED, "at the instant of its end")
        assert answer.ended is not None, "ENDED has to carry the tombstone"
        equal((answer.ended.reason, answer.expired), (reason, True), "reason and expired")
        again = await bench.load(new, touch=0)
        equal((again.standing, again.expired), (Standing.ENDED, False), "the second caller")
        equal(again.ended, answer.ended, "the tombstone does not change")


async def check_expiry_writes_one_event(bench: Bench) -> None:
    new = await bench.login(user_id="anna")
    bench.clock.advance(2 * 3600)
    await bench.load(new)
    bench.clock.advance(60)
    await bench.load(new)
    await bench.store.sessions(new.alias)
    await bench.store.sweep()
    events = await bench.events("session_expired")
    equal(len(events), 1, "session_expired events")
    told = (events[0].user_id, events[0].public_id, events[0].reason, events[0].at)
    equal(told, ("anna", new.sid.hex(), "idle", (bench.clock() - MINUTE) / 1000), "the event")


async def check_any_secret_notices_expiry(bench: Bench) -> None:
    new = await bench.login()
    bench.clock.advance(2 * 3600)
    answer = await bench.load(replace(new, secret_hash=bench.secret()))
    equal((answer.standing, answer.expired), (Standing.ENDED, True), "a wrong secret, too late")


async def check_expiry_of_each_session_is_told_to_somebody(bench: Bench) -> None:
    """Who notices that one is over may leave the others; none may end without a word."""
    made = [await bench.login(idle=10 * MINUTE)]
    made += [await bench.login(alias=made[0].alias, idle=10 * MINUTE) for _ in range(2)]
    bench.clock.advance(15 * 60)
    told = [(await bench.load(new)).expired for new in made]
    equal(told, [True] * 3, "expired, for the first who asks for each")
    equal(len(await bench.events("session_expired")), 3, "session_expired events")


async def check_who_notices_expiry_learns_whose_it_was(bench: Bench) -> None:
    made = [await bench.login(user_id="z" * 200, roles=("r" * 80,)) for _ in range(3)]
    before = [await bench.record(new) for new in made]
    bench.clock.advance(2 * 3600)
    right, wrong, rotated = made
    answers = (
        await bench.load(right, touch=0),
        await bench.load(replace(wrong, secret_hash=bench.secret())),
        await bench.store.rotate(rotated.alias, rotated.sid, rotated.secret_hash, bench.secret()),
    )
    for answer, record in zip(answers, before, strict=True):
        equal((answer.expired, answer.record), (True, record), "the session as it was")
    for new in made:
        again = await bench.load(new)
        equal((again.expired, again.record), (False, None), "the second caller")


async def check_list_is_oldest_first(bench: Bench) -> None:
    alias = bench.alias()
    made = []
    for _ in range(2):
        made += [await bench.login(alias=alias, limit=None) for _ in range(4)]
        bench.clock.advance(1)
    listed = await bench.store.sessions(alias)
    first, second = sorted(new.sid for new in made[:4]), sorted(new.sid for new in made[4:])
    equal([record.sid for record in listed.records], first + second, "order by (created, sid)")
    equal(
        listed.records[0], await bench.record(next(n for n in made if n.sid == first[0])), "record"
    )
    equal((listed.now, listed.finished), (bench.clock(), ()), "now and finished")
    nobody = await bench.store.sessions(bench.alias())
    equal((nobody.records, nobody.finished), ((), ()), "the list of an unknown user")


async def check_list_notices_expiry_once(bench: Bench) -> None:
    short = await bench.login(idle=10 * MINUTE)
    long = await bench.login(alias=short.alias)
    bench.clock.advance(15 * 60)
    listed = await bench.store.sessions(short.alias)
    equal([record.sid for record in listed.records], [long.sid], "living sessions")
    over = [(done.record.sid, done.reason) for done in listed.finished]
    equal(over, [(short.sid, EndReason.IDLE)], "finished")
    equal((await bench.store.sessions(short.alias)).finished, (), "finished, the second time")
    equal(len(await bench.events("session_expired")), 1, "session_expired events")
    answer = await bench.load(short)
    equal((answer.standing, answer.expired), (Standing.ENDED, False), "load after the list")


async def check_create_notices_expiry_once(bench: Bench) -> None:
    short = await bench.login(idle=10 * MINUTE, limit=1)
    bench.clock.advance(15 * 60)
    created = await bench.store.create(bench.new(alias=short.alias, limit=1, on_limit="deny"))
    assert isinstance(created, Created), f"an expired session takes no place: got {created}"
    over = [(done.record.sid, done.reason) for done in created.finished]
    equal(over, [(short.sid, EndReason.IDLE)], "finished")
    equal(len(await bench.events("session_expired")), 1, "session_expired events")
    equal(len(await bench.events("session_terminated_limit")), 0, "limit events")

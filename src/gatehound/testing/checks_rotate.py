"""Checks of a store: replacing the secret, and what the old one is worth afterwards."""

from __future__ import annotations

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Answer, NewSession, Query, Standing
from gatehound.stores.record import FLAGGED, REMEMBERED, STEP_UP
from gatehound.testing.bench import HOUR, MINUTE, Bench, equal, standing


async def _rotate(bench: Bench, old: NewSession, grace: int | None) -> NewSession:
    """Rotate, and return the session with its new secret."""
    new = replace(old, secret_hash=bench.secret())
    answer = await bench.store.rotate(
        old.alias, old.sid, old.secret_hash, new.secret_hash, grace=grace
    )
    standing(answer, Standing.LIVE, "rotate with the current secret")
    return new


async def check_rotate_replaces_the_secret(bench: Bench) -> None:
    for grace in (None, MINUTE):
        old = await bench.login()
        before = await bench.record(old)
        bench.clock.advance(600)
        new = await _rotate(bench, old, grace)
        after = await bench.record(new)
        expected = replace(before.security, secret_hash=new.secret_hash, rotated=bench.clock())
        equal(after.security, expected, "of the security part only the secret and its time")
        equal(after.seen, before.seen, "the seen part does not change")
        equal(len((await bench.store.sessions(old.alias)).records), 1, "sessions")


async def check_rotate_keeps_what_belongs_to_the_session(bench: Bench) -> None:
    old = await bench.login(memory=b"known")
    await bench.store.data_set(old.alias, old.sid, {"cart": b"3"})
    new = await _rotate(bench, old, None)
    equal((await bench.store.recall(new.alias, new.sid))[0].data, b"known", "evidence")
    equal(await bench.store.data_get(new.alias, new.sid), {"cart": b"3"}, "app data")


async def check_rotate_changes_what_is_given(bench: Bench) -> None:
    old = await bench.login(flags=REMEMBERED | STEP_UP | FLAGGED)
    bench.clock.advance(600)
    secret = bench.secret()
    answer = await bench.store.rotate(
        old.alias,
        old.sid,
        old.secret_hash,
        secret,
        authenticated=True,
        methods=("passkey", "totp"),
        aal=3,
        absolute=2 * HOUR,
        clear_flags=STEP_UP | FLAGGED,
    )
    standing(answer, Standing.LIVE, "rotate")
    assert answer.record is not None, "a LIVE answer has to carry the record"
    now, security = bench.clock(), answer.record.security
    equal((security.authenticated, security.expires), (now, now + 2 * HOUR), "times")
    equal((set(security.methods), security.aal), ({"passkey", "totp"}, 3), "methods, aal")
    equal(security.flags, REMEMBERED, "flags")
    equal((answer.now, security.secret_hash), (now, secret), "now, secret")
    equal(await bench.record(replace(old, secret_hash=secret)), answer.record, "stored")


async def check_rotate_writes_its_event(bench: Bench) -> None:
    old = await bench.login()
    event = Event("session_rotated", user_id="anna", public_id=old.sid.hex())
    new, late = bench.secret(), bench.secret()
    await bench.store.rotate(old.alias, old.sid, old.secret_hash, new, event=event)
    await bench.store.rotate(old.alias, old.sid, old.secret_hash, new, event=event)
    await bench.store.rotate(old.alias, old.sid, old.secret_hash, late, event=event)
    events = await bench.events("session_rotated")
    equal(len(events), 1, "events of one rotation, its repetition and one that lost")
    equal((events[0].public_id, events[0].at), (old.sid.hex(), bench.clock() / 1000), "event")


async def check_rotate_is_idempotent_on_the_new_secret(bench: Bench) -> None:
    for grace in (None, MINUTE):
        old = await bench.login()
        new = await _rotate(bench, old, grace)
        before = await bench.record(new)
        bench.clock.advance(1)
        answer = await bench.store.rotate(
            old.alias, old.sid, old.secret_hash, new.secret_hash, grace=grace, authenticated=True
        )
        standing(answer, Standing.LIVE, "the same rotate again")
        equal(answer.record, before, "the same rotate again changes nothing")


async def check_rotate_with_an_old_secret_changes_nothing(bench: Bench) -> None:
    old = await bench.login(flags=STEP_UP)
    new = await _rotate(bench, old, None)
    before = await bench.record(new)
    refused = await _lose(bench, old)
    standing(refused, Standing.SUPERSEDED, "rotate with the secret before")
    bench.clock.advance(61)
    standing(await _lose(bench, old), Standing.REUSED, "the same, a minute later", "recent")
    stranger = replace(old, secret_hash=bench.secret())
    standing(await _lose(bench, stranger), Standing.REUSED, "rotate with another secret", "stale")
    equal(await bench.record(new), before, "a rotate that was refused changes nothing")


async def _lose(
    bench: Bench, old: NewSession, *, authenticated: bool = True, grace: int | None = None
) -> Answer:
    return await bench.store.rotate(
        old.alias,
        old.sid,
        old.secret_hash,
        bench.secret(),
        grace=grace,
        authenticated=authenticated,
        methods=("totp",),
        aal=3,
        absolute=99 * HOUR,
        clear_flags=STEP_UP,
    )


async def check_rotate_of_a_graced_secret_changes_nothing(bench: Bench) -> None:
    old = await bench.login(flags=STEP_UP)
    new = await _rotate(bench, old, MINUTE)
    before = await bench.record(new)
    for authenticated, grace in ((False, None), (False, MINUTE), (True, MINUTE)):
        answer = await _lose(bench, old, authenticated=authenticated, grace=grace)
        standing(answer, Standing.GRACE, f"authenticated={authenticated}, grace={grace}")
        equal(await bench.record(new), before, "the session after it")


async def check_proof_is_accepted_with_a_graced_secret(bench: Bench) -> None:
    """Who proves again who they are must not fail because a new secret is on its way to them."""
    for confirmed in (False, True):
        old = await bench.login()
        issued = await _rotate(bench, old, 10 * MINUTE)
        if confirmed:
            standing(await bench.load(issued), Standing.LIVE, "the secret that was issued")
        bench.clock.advance(300)
        new = replace(old, secret_hash=bench.secret())
        for time in ("first", "second"):
            answer = await bench.store.rotate(
                *(old.alias, old.sid, old.secret_hash, new.secret_hash), authenticated=True, aal=2
            )
            standing(answer, Standing.LIVE, f"the {time} time, confirmed: {confirmed}")
        security = (await bench.record(new)).security
        told = (security.secret_hash, security.authenticated, security.rotated, security.aal)
        equal(told, (new.secret_hash, bench.clock(), bench.clock(), 2), "the session after it")
        standing(await bench.load(old), Standing.SUPERSEDED, "the secret that it was done with")
        standing(await bench.load(issued), Standing.REUSED, "the one issued before", "stale")
        equal(len((await bench.store.sessions(old.alias)).records), 1, "sessions")
        bench.clock.advance(60)
        standing(await bench.load(old), Standing.REUSED, "a minute later", "recent")


async def check_proof_is_refused_with_a_secret_past_its_grace(bench: Bench) -> None:
    for confirmed, reuse in ((False, "orphan"), (True, "recent")):
        old = await bench.login()
        new = await _rotate(bench, old, 10 * MINUTE)
        if confirmed:
            await bench.load(new)
        before = await bench.store.search(Query(alias=old.alias))
        bench.clock.advance(600)
        standing(await _lose(bench, old), Standing.REUSED, "the graced secret, too late", reuse)
        after = await bench.store.search(Query(alias=old.alias))
        equal(after.records, before.records, "the session after it")


async def check_rotate_of_nothing_makes_nothing(bench: Bench) -> None:
    stranger, ended = bench.new(), await bench.login()
    standing(await _lose(bench, stranger), Standing.UNKNOWN, "rotate of an unknown session")
    await bench.store.revoke(ended.alias, only=ended.sid, reason=EndReason.LOGOUT)
    standing(await _lose(bench, ended), Standing.ENDED, "rotate of an ended session")
    over = await bench.login()
    bench.clock.advance(2 * 3600)
    standing(await _lose(bench, over), Standing.ENDED, "rotate of an expired session")
    equal((await bench.load(over)).standing, Standing.ENDED, "load after it")
    equal(len(await bench.events("session_expired")), 1, "session_expired events")
    equal(await bench.search(), set(), "sessions")


async def check_privilege_rotation_kills_the_old_secret(bench: Bench) -> None:
    old = await bench.login()
    new = await _rotate(bench, old, None)
    for moment in ("before", "after"):
        answer = await bench.load(old, touch=0)
        standing(answer, Standing.SUPERSEDED, f"the old secret {moment} the new was presented")
        equal(await bench.lives(new), True, "the new secret")
    bench.clock.advance(ms=MINUTE - 1)
    standing(await bench.load(old), Standing.SUPERSEDED, "the old secret after 59.999 s")
    bench.clock.advance(ms=1)
    standing(await bench.load(old), Standing.REUSED, "the old secret after 60 s", "recent")


async def check_refused_secrets_do_not_slide(bench: Bench) -> None:
    old = await bench.login()
    new = await _rotate(bench, old, None)
    before = await bench.record(new)
    for seconds in (30, 300):
        bench.clock.advance(seconds)
        await bench.load(old, touch=0)
        equal(await bench.record(new), before, "a refused secret does not slide the session")


async def check_routine_rotation_graces_until_confirmed(bench: Bench) -> None:
    old = await bench.login()
    new = await _rotate(bench, old, MINUTE)
    bench.clock.advance(9 * 60)
    standing(await bench.load(old), Standing.GRACE, "unconfirmed, after 9 min")
    standing(await bench.load(new), Standing.LIVE, "the new secret is presented")
    bench.clock.advance(ms=MINUTE - 1)
    standing(await bench.load(old), Standing.GRACE, "confirmed, within the grace")
    standing(await bench.load(new), Standing.LIVE, "the new secret again: the grace goes on")
    bench.clock.advance(ms=1)
    standing(await bench.load(old), Standing.REUSED, "confirmed, after the grace", "recent")
    equal(await bench.lives(new), True, "the current secret")


async def check_routine_rotation_never_confirmed_is_an_orphan(bench: Bench) -> None:
    old = await bench.login()
    new = await _rotate(bench, old, MINUTE)
    bench.clock.advance(ms=10 * MINUTE - 1)
    standing(await bench.load(old), Standing.GRACE, "unconfirmed, before 10 min")
    bench.clock.advance(ms=1)
    standing(await bench.load(old), Standing.REUSED, "unconfirmed, after 10 min", "orphan")
    equal(await bench.lives(new), True, "the current secret, presented late")


async def check_a_graced_secret_slides_the_session(bench: Bench) -> None:
    old = await bench.login()
    new = await _rotate(bench, old, MINUTE)
    bench.clock.advance(300)
    standing(await bench.load(old, touch=MINUTE), Standing.GRACE, "the graced secret")
    equal((await bench.record(new)).seen.last_seen, bench.clock(), "last seen")


async def check_secrets_before_the_one_before_are_stale(bench: Bench) -> None:
    for grace in (None, MINUTE):
        first = await bench.login()
        second = await _rotate(bench, first, grace)
        third = await _rotate(bench, second, grace)
        standing(await bench.load(first), Standing.REUSED, "two rotations ago", "stale")
        expected = Standing.SUPERSEDED if grace is None else Standing.GRACE
        standing(await bench.load(second), expected, "one rotation ago")
        equal(await bench.lives(third), True, "the current secret")


async def check_the_later_kind_of_rotation_counts(bench: Bench) -> None:
    """A privilege rotation after a routine one: nothing of the grace may remain."""
    first = await bench.login()
    second = await _rotate(bench, first, 60 * MINUTE)
    standing(await bench.load(second), Standing.LIVE, "confirm")
    third = await _rotate(bench, second, None)
    standing(await bench.load(first), Standing.REUSED, "the graced secret before", "stale")
    standing(await bench.load(second), Standing.SUPERSEDED, "the secret before")
    fourth = await _rotate(bench, third, MINUTE)
    standing(await bench.load(third), Standing.GRACE, "a routine rotation after it")
    equal(await bench.lives(fourth), True, "the current secret")

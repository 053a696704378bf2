"""Checks of a store: what must hold when many call at the same time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, Memory, NewSession, Refused, Standing
from gatehound.stores.record import FLAGGED
from gatehound.testing.bench import MINUTE, Bench, equal, standing

Call = Callable[[], Coroutine[Any, Any, Any]]  # calls of several kinds, made together


async def _living(bench: Bench, made: Sequence[NewSession]) -> set[bytes]:
    return {new.sid for new in made if await bench.lives(new)}


async def check_race_logins_at_a_limit(bench: Bench) -> None:
    alias = bench.alias()
    made = [bench.new(alias=alias, limit=5) for _ in range(200)]
    answers = await bench.parallel([partial(bench.store.create, new) for new in made])
    created = [answer for answer in answers if isinstance(answer, Created)]
    equal(len(created), 200, "logins that were let in")
    listed = {record.sid for record in (await bench.store.sessions(alias)).records}
    equal(len(listed), 5, "sessions listed after 200 logins at limit 5")
    equal(await _living(bench, made), listed, "exactly those that are listed authenticate")
    ended = [done.record.sid for answer in created for done in answer.finished]
    equal((len(ended), len(set(ended))), (195, 195), "each of the others ended once")
    equal(len(await bench.events("session_terminated_limit")), 195, "limit events")


async def check_race_logins_denied(bench: Bench) -> None:
    alias = bench.alias()
    made = [bench.new(alias=alias, limit=5, on_limit="deny") for _ in range(200)]
    answers = await bench.parallel([partial(bench.store.create, new) for new in made])
    let_in = {new.sid for new, answer in zip(made, answers, strict=True) if _is_in(answer)}
    equal(len(let_in), 5, "logins that were let in")
    equal(await _living(bench, made), let_in, "exactly those authenticate")


def _is_in(answer: Created | Refused) -> bool:
    if isinstance(answer, Refused):
        equal(answer.reason, "limit", "why a login was refused")
    return isinstance(answer, Created)


async def check_race_same_login_twice(bench: Bench) -> None:
    new = bench.new(limit=1)
    event = Event("session_created", "anna")
    answers = await bench.parallel([partial(bench.store.create, new, event)] * 16)
    for answer in answers:
        assert isinstance(answer, Created), f"the same login again: got {answer}"
        equal(answer.finished, (), "finished")
    equal(await bench.lives(new), True, "the session")
    equal(len(await bench.events("session_created")), 1, "session_created events")


async def check_race_touch_and_revoke(bench: Bench) -> None:
    """A request in flight must not bring back what was revoked beside it."""
    for _ in range(5):
        new = await bench.login()
        bench.clock.advance(120)
        store, ids = bench.store, (new.alias, new.sid)
        revoke = partial(store.revoke, new.alias, only=new.sid, reason=EndReason.USER)
        touch = partial(bench.load, new, touch=MINUTE)
        write = partial(store.data_set, *ids, {"a": b"1"})
        flag = partial(store.remember, *ids, new.secret_hash, set_flags=FLAGGED, seen=new.seen)
        rotate = partial(store.rotate, *ids, new.secret_hash, bench.secret())
        beside: list[Call] = [touch, write, flag, rotate, touch, write]
        calls: list[Call] = [*beside, revoke, *beside]
        await bench.parallel(calls)
        standing(await bench.load(new), Standing.ENDED, "after it was revoked")
        equal((await store.sessions(new.alias)).records, (), "list")
        equal(await store.data_get(*ids), {}, "app data")
    equal(await bench.search(), set(), "search")


async def check_race_logins_and_end_all(bench: Bench) -> None:
    """No login that began before "end all" may survive it."""
    alias = bench.alias()
    await bench.login(alias=alias)
    epoch = await bench.store.epoch(alias)
    made = [bench.new(alias=alias, epoch=epoch, limit=None) for _ in range(30)]
    logins = [partial(bench.store.create, new) for new in made]
    end = partial(bench.store.revoke, alias, reason=EndReason.PASSWORD_CHANGED)
    calls: list[Call] = [*logins[:15], end, *logins[15:]]
    await bench.parallel(calls)
    equal(await _living(bench, made), set(), "logins from before that authenticate")
    equal((await bench.store.sessions(alias)).records, (), "list")


async def check_race_revoke_others(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, limit=None) for _ in range(20)]
    keep = partial(bench.store.revoke, alias, keep=made[7].sid, reason=EndReason.USER)
    answers = await bench.parallel([keep] * 4)
    equal(await _living(bench, made), {made[7].sid}, "exactly the caller's session lives")
    ended = [done.record.sid for answer in answers for done in answer.finished]
    equal((len(ended), len(set(ended))), (19, 19), "each of the others ended once")
    equal(len({answer.epoch for answer in answers}), 4, "each moved the epoch")


async def check_race_rotations(bench: Bench) -> None:
    for grace in (None, MINUTE):
        old = await bench.login()
        secrets = [bench.secret() for _ in range(8)]
        rotate = partial(bench.store.rotate, old.alias, old.sid, old.secret_hash, grace=grace)
        answers = await bench.parallel([partial(rotate, secret) for secret in secrets])
        winners = [s for s, a in zip(secrets, answers, strict=True) if a.standing is Standing.LIVE]
        equal(len(winners), 1, "rotations that won, of 8")
        lost = Standing.SUPERSEDED if grace is None else Standing.GRACE
        equal([a.standing for a in answers].count(lost), 7, f"rotations that were told {lost}")
        made = [replace(old, secret_hash=secret) for secret in secrets]
        living = [new.secret_hash for new in made if await bench.lives(new)]
        equal(living, winners, "exactly the winner's secret authenticates")
        equal(len((await bench.store.sessions(old.alias)).records), 1, "sessions")


async def check_race_rotations_with_a_graced_secret(bench: Bench) -> None:
    old = await bench.login()
    ids, issued = (old.alias, old.sid), bench.secret()
    await bench.store.rotate(*ids, old.secret_hash, issued, grace=MINUTE)
    secrets = [bench.secret() for _ in range(8)]
    rotate = partial(bench.store.rotate, *ids, old.secret_hash, authenticated=True)
    answers = await bench.parallel([partial(rotate, secret) for secret in secrets])
    winners = [s for s, a in zip(secrets, answers, strict=True) if a.standing is Standing.LIVE]
    equal(len(winners), 1, "proofs that won, of 8")
    refused = [answer.standing for answer in answers].count(Standing.SUPERSEDED)
    equal(refused, 7, "proofs that were told superseded")
    made = [replace(old, secret_hash=secret) for secret in (old.secret_hash, issued, *secrets)]
    living = [new.secret_hash for new in made if await bench.lives(new)]
    equal(living, winners, "exactly the winner's secret authenticates")


async def check_race_on_an_unknown_session_makes_nothing(bench: Bench) -> None:
    """A made-up id is only ever looked up: whoever sends it fixes no session and fills no store."""
    stranger, known = bench.new(), await bench.login()
    store = bench.store
    for alias in (stranger.alias, known.alias):
        ids = (alias, stranger.sid)
        before = await store.export(alias, stranger.user_id)
        load = partial(store.load, *ids, stranger.secret_hash, touch=0)
        rotate = partial(store.rotate, *ids, stranger.secret_hash, bench.secret())
        remember = partial(
            store.remember, *ids, stranger.secret_hash, memory=Memory(b"x"), seen=stranger.seen
        )
        revoke = partial(store.revoke, alias, only=stranger.sid, reason=EndReason.LOGOUT)
        write = partial(store.data_set, *ids, {"a": b"1"})
        add = partial(store.data_incr, *ids, "n")
        calls: list[Call] = [load, rotate, remember, revoke, write, add]
        await bench.parallel(calls * 4)
        standing(await bench.load(replace(stranger, alias=alias)), Standing.UNKNOWN, "after it")
        equal(await store.export(alias, stranger.user_id), before, "what is stored of the user")
    equal(await bench.search(), {known.sid}, "search")
    equal((await bench.events(), await store.epoch(stranger.alias)), ([], 0), "events, epoch")


async def check_race_expiry_is_noticed_once(bench: Bench) -> None:
    for _ in range(4):
        new = await bench.login(user_id="anna")
        bench.clock.advance(2 * 3600)
        answers = await bench.parallel([partial(bench.load, new)] * 16)
        equal({answer.standing for answer in answers}, {Standing.ENDED}, "all are told")
        equal(sum(answer.expired for answer in answers), 1, "answers that say expired=True")
    equal(len(await bench.events("session_expired")), 4, "session_expired events of 4 sessions")


async def check_race_of_all_who_notice_expiry(bench: Bench) -> None:
    new = await bench.login(user_id="anna")
    bench.clock.advance(2 * 3600)
    store = bench.store
    others: list[Call] = [partial(store.sessions, new.alias), store.sweep]
    create = partial(store.create, bench.new(alias=new.alias))
    calls: list[Call] = [partial(bench.load, new), *others, create, *others]
    await bench.parallel(calls)
    equal(len(await bench.events("session_expired")), 1, "session_expired events")


async def check_race_data_set_of_different_fields(bench: Bench) -> None:
    new = await bench.login()
    fields = {f"f{number}": b"%d" % number for number in range(50)}
    calls = [
        partial(bench.store.data_set, new.alias, new.sid, {name: value})
        for name, value in fields.items()
    ]
    await bench.parallel(calls)
    equal(await bench.store.data_get(new.alias, new.sid), fields, "all 50 fields")


async def check_race_data_incr(bench: Bench) -> None:
    new = await bench.login()
    incr = partial(bench.store.data_incr, new.alias, new.sid, "n", 2)
    sums = await bench.parallel([incr] * 50)
    equal(sorted(total or 0 for total in sums), list(range(2, 102, 2)), "each saw its own sum")
    equal(await bench.store.data_get(new.alias, new.sid), {"n": b"100"}, "the sum")


async def check_race_counters(bench: Bench) -> None:
    count = partial(bench.store.count, "failed", "a", window=60 * MINUTE)
    totals = await bench.parallel([count] * 50)
    equal(sorted(totals), list(range(1, 51)), "each saw its own value")


async def check_race_remember(bench: Bench) -> None:
    new = await bench.login()
    texts = [b"%d" % number for number in range(16)]
    remember = partial(bench.store.remember, new.alias, new.sid, new.secret_hash)
    answers = await bench.parallel(
        [
            partial(remember, memory=Memory(text), events=[Event("session_flagged")])
            for text in texts
        ]
    )
    winners = [text for text, answer in zip(texts, answers, strict=True) if answer.done]
    equal(len(winners), 1, "of writes over the same version")
    stored = (await bench.store.recall(new.alias, new.sid))[0]
    equal(stored, Memory(winners[0], 1), "what is stored")
    equal({answer.memory for answer in answers if not answer.done}, {stored}, "what losers saw")
    equal(len(await bench.events("session_flagged")), 1, "events")


async def check_race_answers_belong_to_their_question(bench: Bench) -> None:
    made = [await bench.login(user_id=f"user {number}") for number in range(20)]
    answers = await bench.parallel([partial(bench.load, new, touch=0) for new in made * 10])
    for new, answer in zip(made * 10, answers, strict=True):
        record = answer.record
        assert record is not None, f"a living session got {answer.standing}"
        told = (record.sid, record.alias, record.user_id, record.security.secret_hash)
        equal(told, (new.sid, new.alias, new.user_id, new.secret_hash), "whose answer it is")

"""Checks of a store: what detectors remember, the seen part, flags, and agent texts."""

from __future__ import annotations

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Memory, NewSession, Remembered
from gatehound.stores.record import FLAGGED, REMEMBERED, STEP_UP
from gatehound.stores.rule import DAY, MAX_AGENT_BYTES, MAX_MEMORY_BYTES
from gatehound.testing.bench import MINUTE, Bench, equal, refuses


async def _remember(
    bench: Bench,
    new: NewSession,
    memory: bytes | None = None,
    user_memory: bytes | None = None,
) -> Remembered:
    """Write evidence over the version that is stored."""
    stored = await bench.store.recall(new.alias, new.sid)
    return await bench.store.remember(
        new.alias,
        new.sid,
        new.secret_hash,
        memory=None if memory is None else Memory(memory, stored[0].version),
        user_memory=None if user_memory is None else Memory(user_memory, stored[1].version),
    )


async def check_nothing_is_remembered_at_first(bench: Bench) -> None:
    new = await bench.login()
    for sid, alias in ((new.sid, new.alias), (bench.sid(), new.alias), (new.sid, bench.alias())):
        remembered = await bench.store.recall(alias, sid)
        equal(remembered, (Memory(b"", 0), Memory(b"", 0)), "evidence of nobody yet")


async def check_remember_grows_the_version_by_one(bench: Bench) -> None:
    new = await bench.login()
    stored = Memory()
    for text in (b"one", b"\x00\xff\x80", b""):
        wrote = await bench.store.remember(
            new.alias, new.sid, new.secret_hash, memory=replace(stored, data=text)
        )
        equal((wrote.done, wrote.gone, wrote.now), (True, False, bench.clock()), "remember")
        expected = Memory(text, stored.version + 1)
        stored, user_memory = await bench.store.recall(new.alias, new.sid)
        equal((stored, user_memory), (expected, Memory()), "evidence")


async def check_first_evidence_has_a_version(bench: Bench) -> None:
    new = await bench.login(memory=b"first")
    stored = (await bench.store.recall(new.alias, new.sid))[0]
    assert stored.version > 0, "version 0 means that nothing is remembered yet"
    wrote = await bench.store.remember(
        new.alias, new.sid, new.secret_hash, memory=Memory(b"blind", 0)
    )
    equal((wrote.done, wrote.memory), (False, stored), "a write that did not read the first")
    equal((await _remember(bench, new, b"second")).done, True, "a write that did")


async def check_remember_of_another_version_writes_nothing(bench: Bench) -> None:
    new = await bench.login()
    await _remember(bench, new, b"mine", b"user's")
    stored = await bench.store.recall(new.alias, new.sid)
    before = await bench.record(new)
    fits, late = Memory(b"late", stored[0].version), Memory(b"late", stored[0].version + 1)
    user_fits, user_late = Memory(b"late", stored[1].version), Memory(b"late", 0)
    cases = ((late, None), (None, user_late), (late, user_fits), (fits, user_late))
    for memory, user_memory in cases:
        wrote = await bench.store.remember(
            new.alias,
            new.sid,
            new.secret_hash,
            memory=memory,
            user_memory=user_memory,
            seen=bench.seen(country="SE"),
            set_flags=FLAGGED,
            events=[Event("session_flagged")],
        )
        equal((wrote.done, wrote.gone), (False, False), "remember over another version")
        equal((wrote.memory, wrote.user_memory), stored, "what is stored, in the answer")
        equal(await bench.store.recall(new.alias, new.sid), stored, "evidence")
        equal(await bench.record(new), before, "the record")
        equal(await bench.events(), [], "events")


async def check_remember_writes_everything_in_one_step(bench: Bench) -> None:
    new = await bench.login(flags=REMEMBERED | STEP_UP)
    bench.clock.advance(60)
    seen = bench.seen(
        address=b"\x20" * 16, country="SE", place=7, agent=b"agent2", pairs=(b"newest", b"before")
    )
    events = [Event("session_ip_shift", "anna", new.sid.hex(), detail={"score": 1.5, "b": True})]
    events.append(Event("session_flagged", "anna", new.sid.hex(), reason="two words"))
    wrote = await bench.store.remember(
        new.alias,
        new.sid,
        new.secret_hash,
        memory=Memory(b"m"),
        user_memory=Memory(b"u"),
        seen=seen,
        agent="Other/2.0",
        set_flags=FLAGGED,
        clear_flags=STEP_UP,
        events=events,
    )
    equal(wrote.done, True, "remember")
    record = await bench.record(new)
    equal(record.seen, replace(seen, last_seen=bench.clock() - MINUTE), "seen, but last seen")
    equal(record.security.flags, REMEMBERED | FLAGGED, "flags")
    remembered = await bench.store.recall(new.alias, new.sid)
    equal(remembered, (Memory(b"m", 1), Memory(b"u", 1)), "evidence")
    equal(await bench.store.agents([b"agent2"]), {b"agent2": "Other/2.0"}, "agent text")
    told = [(e.name, e.reason, dict(e.detail), e.at) for e in await bench.events()]
    now = bench.clock() / 1000
    first = ("session_ip_shift", "", {"score": 1.5, "b": True}, now)
    equal(told, [first, ("session_flagged", "two words", {}, now)], "events, in their order")


async def check_remember_keeps_the_greater_last_seen(bench: Bench) -> None:
    new = await bench.login()
    bench.clock.advance(60)
    start = bench.clock()
    for given, expected in ((start, start), (start - 5, start), (0, start)):
        await bench.store.remember(
            new.alias, new.sid, new.secret_hash, seen=bench.seen(last_seen=given)
        )
        equal((await bench.record(new)).seen.last_seen, expected, f"last seen, {given} given")


async def check_remember_needs_a_valid_secret(bench: Bench) -> None:
    old = await bench.login()
    new = replace(old, secret_hash=bench.secret())
    await bench.store.rotate(old.alias, old.sid, old.secret_hash, new.secret_hash, grace=MINUTE)
    equal((await _remember(bench, old, b"graced")).done, True, "the graced secret")
    equal((await _remember(bench, new, b"current")).done, True, "the current secret")
    await bench.load(new)
    bench.clock.advance(61)
    stranger = replace(old, secret_hash=bench.secret())
    for name, caller in (("after its grace", old), ("never valid", stranger)):
        wrote = await _remember(bench, caller, b"wrong", b"wrong")
        equal((wrote.done, wrote.gone), (False, True), f"a secret {name}")
    await bench.store.rotate(new.alias, new.sid, new.secret_hash, bench.secret())
    wrote = await _remember(bench, new, b"wrong")
    equal((wrote.done, wrote.gone), (False, True), "a superseded secret")
    stored = await bench.store.recall(old.alias, old.sid)
    equal((stored[0].data, stored[1]), (b"current", Memory()), "evidence")


async def check_evidence_is_bounded(bench: Bench) -> None:
    new = await bench.login()
    full = bytes(range(256)) * (MAX_MEMORY_BYTES // 256)
    equal((await _remember(bench, new, full, full)).done, True, "4096 bytes each")
    stored = await bench.store.recall(new.alias, new.sid)
    equal((stored[0].data, stored[1].data), (full, full), "4096 bytes, unchanged")
    await refuses(_remember(bench, new, full + b"x"), "4097 bytes of a session")
    await refuses(_remember(bench, new, b"small", full + b"x"), "4097 bytes of a user")
    equal(await bench.store.recall(new.alias, new.sid), stored, "evidence after both")


async def check_evidence_belongs_to_one_session_and_one_user(bench: Bench) -> None:
    first = await bench.login()
    second, stranger = await bench.login(alias=first.alias), await bench.login()
    await _remember(bench, first, b"first", b"user")
    of_second = await bench.store.recall(second.alias, second.sid)
    equal(of_second, (Memory(), Memory(b"user", 1)), "another session of the user")
    of_stranger = await bench.store.recall(stranger.alias, stranger.sid)
    equal(of_stranger, (Memory(), Memory()), "another user")


async def check_user_evidence_outlives_sessions(bench: Bench) -> None:
    new = await bench.login()
    await _remember(bench, new, b"session", b"user")
    await bench.store.revoke(new.alias, reason=EndReason.LOGOUT)
    bench.clock.advance(ms=80 * DAY)
    await bench.store.sweep()
    later = await bench.login(alias=new.alias)
    equal((await bench.store.recall(later.alias, later.sid))[1].data, b"user", "after 80 days")


async def check_flags_change_alone(bench: Bench) -> None:
    new = await bench.login(flags=REMEMBERED)
    before = await bench.record(new)
    for added, cleared, expected in (
        (FLAGGED, 0, REMEMBERED | FLAGGED),
        (FLAGGED | STEP_UP, 0, REMEMBERED | FLAGGED | STEP_UP),
        (0, FLAGGED, REMEMBERED | STEP_UP),
        (0, FLAGGED | STEP_UP, REMEMBERED),
    ):
        await bench.store.remember(
            new.alias, new.sid, new.secret_hash, set_flags=added, clear_flags=cleared
        )
        record = await bench.record(new)
        equal(record.security, replace(before.security, flags=expected), "only the flags")
        equal(record.seen, before.seen, "the seen part")


async def check_agent_texts(bench: Bench) -> None:
    equal(await bench.store.agents([b"agent9"]), {}, "an unknown digest")
    equal(await bench.store.agents([]), {}, "no digest")
    await bench.login(seen=bench.seen(agent=b"agent1"), agent="Ünïcode/1.0 \t;")
    await bench.login(seen=bench.seen(agent=b"agent2"), agent="Two")
    texts = {b"agent1": "Ünïcode/1.0 \t;", b"agent2": "Two"}
    equal(await bench.store.agents([b"agent1", b"agent2", b"agent9"]), texts, "agent texts")
    equal(await bench.store.agents({b"agent2"}), {b"agent2": "Two"}, "one of them")


async def check_agent_texts_are_clipped_between_characters(bench: Bench) -> None:
    cases = {"a" * 2000: "a" * MAX_AGENT_BYTES, "a" + "é" * 600: "a" + "é" * 255}
    for number, (text, expected) in enumerate(cases.items()):
        digest = b"clip%02d" % number
        new = await bench.login(seen=bench.seen(agent=digest), agent=text)
        equal(await bench.store.agents([digest]), {digest: expected}, "clipped at login")
        digest = b"later%d" % number
        seen = bench.seen(agent=digest)
        await bench.store.remember(new.alias, new.sid, new.secret_hash, seen=seen, agent=text)
        equal(await bench.store.agents([digest]), {digest: expected}, "clipped by remember")

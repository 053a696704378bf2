"""Names, slots, scripts, sizes: what lies where on the server."""

from __future__ import annotations

import re
import threading
from binascii import crc_hqx
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from redis_kit import CHANCE, MINUTE, Body, everything, load, new

from gatehound._sync import run_sync
from gatehound.errors import SettingsError
from gatehound.model import END_REASONS, EndReason
from gatehound.stores.answer import Created, Memory, Query, Standing
from gatehound.stores.record import MAX_VALUE_BYTES
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.keys import BUCKETS, Keys
from gatehound.stores.redis.script import PIECE, script
from gatehound.testing import FakeClock

SCRIPTS = sorted(
    file.name.removesuffix(".lua")
    for file in files("gatehound.stores.redis").joinpath("scripts").iterdir()
    if file.name not in ("core.lua", "user.lua")
)


# --- names ---


def test_buckets_are_spread_evenly_over_the_slots() -> None:
    keys = Keys("default")
    tags = [prefix.partition(b"{")[2].partition(b"}")[0] for prefix in keys.buckets]
    assert len(tags) == BUCKETS
    assert [crc_hqx(tag, 0) % 16384 for tag in tags] == [i * 64 for i in range(256)]
    assert max(len(tag) for tag in tags) <= 3 + 1


def test_all_keys_of_a_user_share_a_slot_whatever_the_alias_holds() -> None:
    keys = Keys("n")
    for alias in (b"}{" * 6, b"{}" * 6, bytes(12), b"\xff" * 12):
        names = [*keys.of_user(alias), keys.memory(alias, b"{}{}{}{}"), keys.data(alias, b"}" * 8)]
        tags = {name[name.index(b"{") + 1 : name.index(b"}")] for name in names}
        assert len(tags) == 1


@pytest.mark.parametrize("namespace", ["", "A", "a{b}", "x" * 33, "a:b", "ä", "a\n"])
def test_bad_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(SettingsError, match=r"namespace is .* use 1 to 32"):
        RedisStore("redis://localhost", namespace=namespace, suspends=False)


# --- scripts ---


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_packaged_loaded_and_compile(name: str, admin: Any) -> None:
    assert admin.script_load(script(name).text) == script(name).digest


def test_scripts_know_the_end_reasons() -> None:
    text = script("create").text
    for code, reason in enumerate(END_REASONS):
        assert f"[{code}] = '{reason.value}'" in text


def test_a_flush_of_scripts_is_not_noticed(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        admin.script_flush()
        assert isinstance(await store.create(session), Created)
        for touch in (0, None):
            admin.script_flush()
            assert (await load(store, session, touch)).standing is Standing.LIVE
        admin.script_flush()
        assert await store.data_set(session.alias, session.sid, {"a": b"1"})

    play(body)


def test_every_script_touches_keys_of_one_slot(store: RedisStore, admin: Any) -> None:
    script_slots: set[int] = set()
    checked = 0
    with admin.monitor() as monitor:
        thread = threading.Thread(target=lambda: run_sync(everything(store)))
        thread.start()
        for seen in monitor.listen():
            text = seen["command"]
            if text.startswith("XREVRANGE"):  # the export at the end; no script reads backwards
                break
            tags = {part.split("}")[0] for part in text.split("gh:own:{")[1:]}
            slots = {crc_hqx(tag.encode(), 0) % 16384 for tag in tags}
            if text.startswith("EVAL"):
                script_slots = slots
                assert len(slots) <= 1, text
            elif seen["client_type"] == "lua":
                assert slots <= script_slots, text
                checked += len(slots)
        thread.join()
    assert checked > 100


def test_every_key_but_the_named_ones_has_an_end(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        await everything(store)
        await store._calls.draw_line(1, past=False)
        endless: set[str] = set()
        ending: set[str] = set()
        for key in admin.scan_iter(count=1000):
            tagged = re.match(rb"gh:own:\{[0-9a-z]+\}(ev|i[0-9]*$|n$|[ulxhmd])", key)
            kind = tagged[1][:2] if tagged else key.split(b":")[2]
            (endless if admin.pttl(key) == -1 else ending).add(kind.decode())
        assert endless == {"x", "meta", "i", "i1", "ev", "shelf"}
        assert ending == {"u", "l", "m", "h", "d", "n", "c", "ua"}
        await store.forget(new().alias, "nobody")

    play(body)


def test_an_unknown_session_makes_no_key(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        stranger = new()
        ids = (stranger.alias, stranger.sid)
        before = admin.dbsize()
        for touch in (None, 0):
            await load(store, stranger, touch)
        await store.rotate(*ids, stranger.secret_hash, b"n" * 16)
        await store.remember(*ids, stranger.secret_hash, memory=Memory(b"x"), agent="Made up")
        await store.data_set(*ids, {"a": b"1"})
        await store.data_incr(*ids, "n")
        await store.revoke(stranger.alias, only=stranger.sid, reason=EndReason.USER)
        assert admin.dbsize() == before

    play(body)


# --- size ---


def test_users_hash_stays_compact(store: RedisStore, admin: Any) -> None:
    alias = CHANCE.randbytes(12)
    roles = tuple(f"role-{n}" for n in range(40))
    for _ in range(7):  # two end by the limit and leave tombstones
        session = new(alias, user_id="u" * 512, roles=roles)
        run_sync(store.create(session))
        hashes = (alias, session.sid, session.secret_hash)
        run_sync(store.rotate(*hashes, b"n" * 16, grace=MINUTE))
    run_sync(store.revoke(alias, only=session.sid, reason=EndReason.USER))
    [key] = [key for key in admin.scan_iter() if b"}u" in key]
    sizes = {field: len(value) for field, value in admin.hgetall(key).items()}
    assert max(sizes.values()) <= MAX_VALUE_BYTES
    assert len(sizes) == 4 * 3 + 3 + 2
    assert admin.object("encoding", key) in (b"listpack", b"ziplist")
    listed = run_sync(store.sessions(alias))
    assert {(record.user_id, record.roles) for record in listed.records} == {("u" * 512, roles)}
    hot = run_sync(store.load(alias, listed.records[0].sid, b"n" * 16))
    assert hot.record == listed.records[0]


def test_a_session_of_an_ordinary_user_is_small(store: RedisStore, admin: Any) -> None:
    session = new()
    run_sync(store.create(session))
    [key] = [key for key in admin.scan_iter() if b"}u" in key]
    assert admin.memory_usage(key) <= 208


def test_three_sessions_of_a_user_are_small(store: RedisStore, admin: Any) -> None:
    alias = CHANCE.randbytes(12)
    for _ in range(3):
        run_sync(store.create(new(alias)))
    [key] = [key for key in admin.scan_iter() if b"}u" in key]
    assert admin.memory_usage(key) <= 3 * 140


def test_a_directory_stays_compact(url: str, admin: Any) -> None:
    """Its pieces are split before they would become tables, and go when they are empty."""
    clock, alias = FakeClock(), CHANCE.randbytes(12)
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    made = []
    for n in range(2 * PIECE + 1):
        made.append(new(alias, limit=None))
        run_sync(store.create(made[-1]))
        clock.advance(ms=n % 2)  # two in each millisecond
    index = store._keys.bucket(alias) + b"i"
    pieces = [index + start for start in admin.zrange(index, 0, -1)]
    assert [admin.zcard(piece) for piece in pieces] == [PIECE, PIECE, 1]
    assert {bytes(admin.object("encoding", piece)) for piece in pieces} <= {b"listpack", b"ziplist"}
    found = [r.sid for r in run_sync(store.search(Query(limit=1000))).records]
    assert sorted(found) == sorted(session.sid for session in made)
    for session in made[: PIECE + 1]:
        run_sync(store.revoke(alias, only=session.sid, reason=EndReason.USER))
    assert admin.exists(*pieces) == 2
    assert [index + start for start in admin.zrange(index, 0, -1)] == pieces[1:]
    run_sync(store.close())


@pytest.mark.slow
def test_a_directory_stays_whole_where_the_clock_steps_back(url: str, admin: Any) -> None:
    clock, alias = FakeClock(), CHANCE.randbytes(12)
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    made = []
    for _ in range(5 * PIECE):
        clock.advance(ms=CHANCE.choice((-50, -7, -1, 0, 0, 1, 3, 20, 40)))
        made.append(new(alias, limit=None))
        run_sync(store.create(made[-1]))
    index = store._keys.bucket(alias) + b"i"
    starts = [int(start) for start in admin.zrange(index, 0, -1)]
    for start, end in zip(starts, [*starts[1:], 9e15], strict=True):
        scores = [score for _, score in admin.zrange(index + b"%d" % start, 0, -1, withscores=True)]
        assert scores
        assert start <= min(scores)
        assert max(scores) < end
        assert len(scores) <= PIECE
    run_sync(store.revoke(alias, reason=EndReason.USER))
    assert admin.exists(index, *(index + b"%d" % start for start in starts)) == 0
    run_sync(store.close())


def test_more_sessions_of_one_moment_than_a_piece_holds(url: str, admin: Any) -> None:
    store = RedisStore(url, namespace="own", suspends=False, clock=FakeClock())
    alias = CHANCE.randbytes(12)
    made = [new(alias, limit=None) for _ in range(PIECE + 20)]
    for session in made:
        run_sync(store.create(session))
    found = [r.sid for r in run_sync(store.search(Query(limit=1000))).records]
    assert sorted(found) == sorted(session.sid for session in made)
    run_sync(store.revoke(alias, reason=EndReason.USER))
    assert [key for key in admin.scan_iter() if b"}i" in key] == []
    run_sync(store.close())

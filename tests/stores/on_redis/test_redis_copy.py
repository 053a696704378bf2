"""A copy into Redis and out of it: what the conformance suite cannot see from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis_kit import HOUR, Body, everything, load, new

from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason
from gatehound.stores.answer import Dump, Memory, Standing
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.script import LINGER


async def whole(store: RedisStore) -> list[Dump]:
    pages = [await store.dump()]
    while pages[-1].cursor:
        pages.append(await store.dump(pages[-1].cursor))
    return pages


def test_a_copy_over_itself_leaves_the_same_keys(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        long = new(user_id="u" * 500, roles=("r" * 80,), memory=b"first")
        ended, disabled = new(), new()
        for session in (long, ended, disabled):
            await store.create(session)
        await store.data_set(long.alias, long.sid, {"a": b"1"})
        await store.remember(long.alias, long.sid, long.secret_hash, user_memory=Memory(b"all"))
        await store.revoke(ended.alias, reason=EndReason.USER)
        await store.disable(disabled.alias)
        before = {key: admin.dump(key) for key in admin.scan_iter() if b"}ev" not in key}
        ends = {key: admin.pttl(key) for key in before}
        for page in await whole(store):
            await store.restore(page)
        after = {key: admin.dump(key) for key in admin.scan_iter() if b"}ev" not in key}
        assert after.keys() == before.keys()
        for key, end in ends.items():
            assert admin.pttl(key) == -1 if end == -1 else abs(admin.pttl(key) - end) < 60_000
        # The versions of evidence begin anew, and the order of fields may differ.
        changed = {key for key in before if before[key] != after[key]}
        assert not {
            key for key in changed if key.partition(b"}")[2][:1] in (b"l", b"m", b"d", b"i")
        }

    play(body)


def test_what_is_over_for_long_is_copied_with_an_end(
    play: Callable[[Body], None], admin: Any
) -> None:
    async def body(store: RedisStore) -> None:
        session = new(idle=HOUR, absolute=HOUR, memory=b"first")
        await store.create(session)
        await store.data_set(session.alias, session.sid, {"a": b"1"})
        [page] = [page for page in await whole(store) if page.users]
        store._calls.clock._given = lambda: (
            page.users[0].sessions[0].record.seen.last_seen + (HOUR + LINGER + 1)
        )
        await store.restore(page)
        kinds = {key.partition(b"}")[2][:1] for key in admin.keys(b"gh:own:{*")}
        assert kinds == {b"u", b"i"}
        assert all(admin.pttl(key) > 0 for key in admin.keys(b"gh:own:{*}u*"))
        assert (await load(store, session)).standing is Standing.ENDED

    play(body)


def test_another_master_is_not_gone_on_with(play: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        await everything(store)
        page = await store.dump(limit=1)
        while not page.cursor:
            await store.create(new())
            page = await store.dump(limit=1)
        number, place, mark = page.cursor.split("-")
        assert await store.dump(f"{number}-{place}-{mark}", limit=1)
        other = f"{int(mark, 16) ^ 1:08x}"
        with pytest.raises(StoreUnavailable, match="begin the copy anew"):
            await store.dump(f"{number}-{place}-{other}", limit=1)

    play(body)

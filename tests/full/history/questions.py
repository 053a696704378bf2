"""Questions to a store whose answers say whose they are, for what mixes connections up."""

from __future__ import annotations

import random
from collections.abc import Sequence

from gatehound.stores.answer import NewSession, Standing
from gatehound.stores.base import Store
from history.checker import mark_of
from history.door_store import new_session, owners


async def sign_in(store: Store, count: int) -> list[NewSession]:
    """Sign users in, and write into the data of each whose it is."""
    people = [new_session(f"user{number}") for number in range(count)]
    for one in people:
        await store.create(one)
        await store.data_set(one.alias, one.sid, {"whose": _mark(one)})
    return people


async def ask(store: Store, one: NewSession, kind: int) -> bool:
    """Ask one of four questions; return whether the answer is right in all that it says."""
    own = (one.user_id, one.sid.hex())
    if kind == 0:
        listed = await store.sessions(one.alias)
        return owners(listed.records) == (own,)
    if kind == 1:
        return await store.data_get(one.alias, one.sid) == {"whose": _mark(one)}
    touch = None if kind == 2 else 0
    answer = await store.load(one.alias, one.sid, one.secret_hash, touch=touch)
    record = answer.record
    return answer.standing is Standing.LIVE and record is not None and owners([record]) == (own,)


async def ask_some(store: Store, people: Sequence[NewSession], count: int, seed: int) -> int:
    """Ask about anybody, again and again; return how many answers were wrong."""
    chance = random.Random(seed)
    return sum(
        [not await ask(store, chance.choice(people), chance.randrange(4)) for _ in range(count)]
    )


def _mark(one: NewSession) -> bytes:
    return mark_of(one.user_id, one.sid.hex()).encode()

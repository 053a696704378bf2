"""Shelves: the few notes of background work, each in a key that belongs to no user."""

from __future__ import annotations

from typing import Final

from gatehound.errors import StoreCorrupt
from gatehound.stores.answer import Memory
from gatehound.stores.redis.call import Calls

_VERSION_BYTES: Final = 8  # in front of the data


async def read(calls: Calls, name: str) -> Memory:
    """Return what lies under a name; see Store.shelf. A script, for the tag in its reply."""
    _, value = await calls.run("shelf", [calls.keys.shelf(name)], patient=True)
    if not value:
        return Memory()
    if len(value) < _VERSION_BYTES:
        raise StoreCorrupt(f"the shelf {name} is too short")
    return Memory(value[_VERSION_BYTES:], int.from_bytes(value[:_VERSION_BYTES]))


async def put(calls: Calls, name: str, memory: Memory) -> bool:
    """Write over the version that is given, and over no other; see Store.put."""
    before = memory.version.to_bytes(_VERSION_BYTES)
    value = (memory.version + 1).to_bytes(_VERSION_BYTES) + memory.data
    _, done = await calls.run("shelf", [calls.keys.shelf(name)], before, value, patient=True)
    return bool(done)

"""Shelves: the few notes of background work, beside what the settings were used with."""

from __future__ import annotations

from typing import Final

from gatehound.stores.answer import Memory
from gatehound.stores.sqlite.row import Tx, checked, damaged

_VERSION_BYTES: Final = 8  # in front of the data


def shelf(tx: Tx, name: str) -> Memory:
    """Return what lies under a name; version 0 for nothing."""
    row = tx.db.execute("SELECT value FROM meta WHERE name = ?", (_key(name),)).fetchone()
    if row is None:
        return Memory()
    (value,) = checked("meta", row, bytes)
    if len(value) < _VERSION_BYTES:
        raise damaged("meta", f"the shelf {name} is too short")
    return Memory(value[_VERSION_BYTES:], int.from_bytes(value[:_VERSION_BYTES]))


def put(tx: Tx, name: str, memory: Memory) -> bool:
    """Write over the version that is given, and over no other."""
    if shelf(tx, name).version != memory.version:
        return False
    value = (memory.version + 1).to_bytes(_VERSION_BYTES) + memory.data
    tx.db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (_key(name), value))
    return True


def _key(name: str) -> str:
    return f"shelf:{name}"

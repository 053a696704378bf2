"""What the settings and a store that was used before must agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatehound.errors import StoreError, StoreMismatch
from gatehound.stores.answer import Meta
from gatehound.stores.redis.keys import BUCKETS
from gatehound.stores.redis.wire import Command, Wire


async def agree(wire: Wire, key: bytes, meta: Meta) -> None:
    """Write meta into an empty store; see Store.prepare."""
    wanted = {
        "fingerprint": meta.fingerprint,
        "namespace": meta.namespace.encode(),
        "layout": b"%d" % meta.layout,
        "buckets": b"%d" % BUCKETS,
    }
    stored = await _read(wire, key, wanted)
    if None in stored.values():
        # Only into an empty store: a full server refuses writes, and apps must start there.
        commands: list[Command] = [("HSETNX", key, *item) for item in wanted.items()]
        for reply in await wire.batch(commands, patient=True):
            if isinstance(reply, StoreError):
                raise reply
        stored = await _read(wire, key, wanted)
    problems = _compare(wanted, stored)
    if problems:
        raise StoreMismatch(problems)


async def _read(wire: Wire, key: bytes, wanted: Mapping[str, Any]) -> dict[str, bytes | None]:
    stored = await wire.call("HMGET", key, *wanted, patient=True)
    return dict(zip(wanted, stored, strict=True))


def _compare(wanted: Mapping[str, bytes], stored: Mapping[str, bytes | None]) -> list[str]:
    """Say what differs, for people. The fingerprint stands for a key and is not shown."""
    problems = []
    for name, value in wanted.items():
        was = stored[name]
        if was == value:
            continue
        if name == "fingerprint":
            problems.append(
                "identity_key is not the one that this store was first used with: set the old "
                "one, or use an empty database"
            )
        else:
            old = (was or b"nothing").decode("utf-8", "replace")
            problems.append(
                f"{name} is {value.decode()!r}, but this store was first used with {old!r}: "
                "use the old one, or an empty database"
            )
    return problems

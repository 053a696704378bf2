"""App data of a session: fields of one hash, read and written one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gatehound.stores import rule
from gatehound.stores.redis import form
from gatehound.stores.redis.call import Calls


class Fields:
    """The app data of one namespace."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        """Return fields; see Store.data_get."""
        if names is None:
            found = await self._data(alias, sid, "all")
        else:
            found = await self._data(alias, sid, "get", *map(form.to_bytes, names))
        return {form.to_text(name): value for name, value in form.pairs(found or ()).items()}

    async def set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        """Set fields; see Store.data_set."""
        rule.check_data(values)
        flat = [part for name, value in values.items() for part in (form.to_bytes(name), value)]
        done = await self._data(alias, sid, "set", *flat)
        if done == -1:
            raise form.too_many_fields()
        return done is not None

    async def delete(self, alias: bytes, sid: bytes, names: Collection[str]) -> int:
        """Delete fields; see Store.data_delete."""
        return await self._data(alias, sid, "delete", *map(form.to_bytes, names)) or 0

    async def incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        """Add to a field; see Store.data_incr."""
        rule.check_data_name(name)
        if not -(1 << 63) <= by < 1 << 63:
            raise ValueError(f"data field {name!r} cannot grow by {by}: 64 bits are kept")
        total = await self._data(alias, sid, "incr", form.to_bytes(name), by)
        if total == -1:
            raise form.too_many_fields()
        if total == -2:
            raise ValueError(
                f"data field {name!r} holds no decimal integer, or the sum leaves 64 bits"
            )
        return None if total is None else int(total)

    async def _data(self, alias: bytes, sid: bytes, *args: bytes | str | int) -> Any:
        """Return what data.lua says, None for a dead session."""
        keys = (self._calls.keys.user(alias), self._calls.keys.data(alias, sid))
        patient = args[0] not in ("all", "get")
        _, *rest = await self._calls.run("data", keys, sid, *args, patient=patient)
        return rest[0] if rest else None

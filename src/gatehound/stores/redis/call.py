"""Scripts and reads over the wire: the arguments that all share, and whose reply it is."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from gatehound.errors import StoreError
from gatehound.stores.record import Record
from gatehound.stores.redis.clock import StoreClock
from gatehound.stores.redis.form import read_record
from gatehound.stores.redis.keys import Keys
from gatehound.stores.redis.script import POINTER, script
from gatehound.stores.redis.wire import Command, ScriptMissing, Wire

Argument = bytes | str | int

_NOT_BEFORE: Final = "not_before"


class Calls:
    """Ask one server about one namespace."""

    __slots__ = ("clock", "keys", "retention", "wire")

    def __init__(self, wire: Wire, keys: Keys, clock: StoreClock, retention: int) -> None:
        self.wire = wire
        self.keys = keys
        self.clock = clock
        self.retention = retention

    async def run(
        self,
        name: str,
        keys: Sequence[bytes],
        *args: Argument,
        patient: bool = False,
        again: bool = False,
        beside: Sequence[Command] = (),
    ) -> list[Any]:
        """Run a script in one trip, and return its reply from `now` on.

        `beside` are commands that go with it and whose failure is no matter. Where
        `not_before` is not fresh it is asked for beside too; if it has moved, a script that may
        be repeated (`again`) runs once more, so that it has judged by what was true when it
        began. The others change nothing that a load would let through afterwards.
        """
        if self.clock.fresh:
            return (await self._run(name, keys, args, patient, beside))[0]
        with_news = [*beside, self._ask_not_before()]
        reply, extra = await self._run(name, keys, args, patient, with_news)
        if self.clock.learn_not_before(_raised(extra[-1])) and again:
            reply, _ = await self._run(name, keys, args, patient, ())
        return reply

    async def read(self, *command: Argument, anew: bool = False) -> Any:
        """Send one reading command; `clock` knows the time and `not_before` afterwards.

        With `anew` they are asked for even where they are fresh.
        """
        if not anew and self.clock.fresh and self.clock.now is not None:
            return await self.wire.call(*command)
        reply, *news = await self.wire.batch([command, self._ask_not_before(), ("TIME",)])
        self._learn(news)
        return _raised(reply)

    async def refresh(self, *, patient: bool = False) -> int:
        """Ask for the time and `not_before`; return the store's now."""
        news = [self._ask_not_before(), ("TIME",)]
        self._learn(await self.wire.batch(news, patient=patient))
        return self.clock.now or 0  # learned a line above

    async def record(self, alias: bytes, sid: bytes, parts: Sequence[bytes | None]) -> Record:
        """Build a record from security, seen, user id and roles as they are stored."""
        security, seen, user_id, roles = parts
        if POINTER in (user_id, roles):
            user_id, roles = await self._texts(alias, user_id, roles)
        return read_record(alias, sid, security or b"", seen or b"", user_id or b"", roles or b"")

    async def _texts(self, alias: bytes, *short: bytes | None) -> list[bytes | None]:
        texts = await self.wire.call("HMGET", self.keys.texts(alias), "u", "r")
        for text in texts:
            if text is not None and text[:4] != alias[:4]:
                raise await self.wire.mixed_up()
        return [
            (text or b"")[4:] if value == POINTER else value
            for value, text in zip(short, texts, strict=True)
        ]

    def _ask_not_before(self) -> Command:
        return ("HGET", self.keys.meta, _NOT_BEFORE)

    def _learn(self, news: Sequence[Any]) -> None:
        not_before, (seconds, microseconds) = (_raised(reply) for reply in news)
        self.clock.learn_not_before(not_before)
        self.clock.learn(seconds * 1000 + microseconds // 1000)

    async def _run(
        self,
        name: str,
        keys: Sequence[bytes],
        args: Sequence[Argument],
        patient: bool,
        beside: Sequence[Command],
    ) -> tuple[list[Any], list[Any]]:
        tag = secrets.token_bytes(4)
        shared = (self.clock.override, tag, self.clock.not_before, self.retention)
        code = script(name)
        command = ("EVALSHA", code.digest, len(keys), *keys, *shared, *args)
        reply, *extra = await self._send(command, patient, beside)
        if isinstance(reply, ScriptMissing):
            load = ("SCRIPT LOAD", code.text)
            _, reply = await self.wire.batch([load, command], patient=patient)
        reply = _raised(reply)
        if not isinstance(reply, list) or len(reply) < 2 or reply[0] != tag:
            raise await self.wire.mixed_up()
        self.clock.learn(reply[1])
        return reply[1:], extra

    async def _send(
        self, command: Command, patient: bool, beside: Sequence[Command]
    ) -> Sequence[Any]:
        if beside:
            return await self.wire.batch([command, *beside], patient=patient)
        try:
            return (await self.wire.call(*command, patient=patient),)
        except ScriptMissing as missing:
            return (missing,)


def _raised(reply: Any) -> Any:
    if isinstance(reply, StoreError):
        raise reply
    return reply

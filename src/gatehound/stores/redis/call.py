"""Scripts and reads over the wire: the arguments that all share, and whose reply it is."""

from __future__ import annotations

import logging
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

log: Final = logging.getLogger("gatehound")

_NOT_BEFORE: Final = "not_before"


class Reply(list[Any]):
    """What a script replied, from `now` on.

    `acknowledged` is how many replicas had its writes when the reply was read; None where that
    was not asked for.
    """

    acknowledged: int | None = None


class Calls:
    """Ask one store about one namespace.

    `wait` is how many replicas the scripts that ask for it wait for, 0 for none.
    """

    __slots__ = ("clock", "keys", "retention", "wait", "wire")

    def __init__(
        self, wire: Wire, keys: Keys, clock: StoreClock, retention: int, wait: int = 0
    ) -> None:
        self.wire = wire
        self.keys = keys
        self.clock = clock
        self.retention = retention
        self.wait = wait

    async def run(
        self,
        name: str,
        keys: Sequence[bytes],
        *args: Argument,
        patient: bool = False,
        again: bool = False,
        beside: Sequence[Command] = (),
        wait: bool = False,
    ) -> Reply:
        """Run a script in one trip, and return its reply from `now` on.

        `beside` are commands that go with it and whose failure is no matter. Where what the
        bucket says of everybody is not fresh it is asked for beside too; if it has moved, a
        script that may be repeated (`again`) runs once more, so that it has judged by what was
        true when it began. The others change nothing that a load would let through afterwards:
        they have done their work also where it could not be read.

        With `wait` the reply tells how many replicas have what the script wrote, once there are
        as many as this object's `wait` or half the deadline is over (see Wire.batch).
        """
        replicas = self.wait if wait else 0
        line = self.keys.line_beside(keys[0])
        if line is None or self.clock.is_fresh(line):
            reply, _ = await self._run(name, keys, args, patient, beside, replicas)
            return self._counted(name, reply)
        with_news, asked = [*beside, ("GET", line)], self.clock.local
        reply, extra = await self._run(name, keys, args, patient, with_news, replicas)
        news = extra[-1]
        if isinstance(news, StoreError) and not again:
            return self._counted(name, reply)
        if (
            self.clock.learn_not_before(await self.wire.number(_raised(news)), line, asked)
            and again
        ):
            reply, _ = await self._run(name, keys, args, patient, (), replicas)
        return self._counted(name, reply)

    async def draw_line(self, moment: int, *, past: bool = True) -> int:
        """Say that all sessions created before `moment` are over, and (`past`) all until now.

        It never moves back. Each bucket is told, so that nobody has to ask a server that has
        nothing else to do with their session. StoreUnavailable where one could not be told: then
        nothing is promised, and it has to be called again.
        """
        flag = b"1" if past else b""
        keys = [self.keys.meta]
        _, drawn = await self.run("everyone", keys, moment, flag, patient=True, wait=True)
        self.clock.learn_not_before(int(drawn))
        lines = [[self.keys.line(bucket)] for bucket in self.keys.buckets]
        for reply in await self.run_each("line", lines, drawn):
            _raised(reply)
        return int(drawn)

    async def run_each(
        self, name: str, keys: Sequence[Sequence[bytes]], *args: Argument
    ) -> list[Any]:
        """Run a script over many keys in one trip; a failure is the StoreError in its place."""
        code, tag = script(name), secrets.token_bytes(4)
        shared = (self.clock.override, tag, self.clock.not_before, self.retention, *args)
        commands = [("EVALSHA", code.digest, len(some), *some, *shared) for some in keys]
        replies = await self.wire.batch(commands, patient=True)
        missing = [n for n, reply in enumerate(replies) if isinstance(reply, ScriptMissing)]
        if missing:
            texts = [("EVAL", code.text, *commands[n][2:]) for n in missing]
            again = await self.wire.batch(texts, patient=True)
            for n, reply in zip(missing, again, strict=True):
                replies[n] = reply
        for reply in replies:
            if not isinstance(reply, StoreError) and not _answers(reply, tag):
                raise await self.wire.mixed_up()
        return replies

    def _counted(self, name: str, reply: Reply) -> Reply:
        """Say where fewer replicas than asked for have a write; it is done all the same."""
        if reply.acknowledged is not None and reply.acknowledged < self.wait:
            log.warning(
                "%s: %d of %d replicas had it in time; a failover may lose it",
                *(name, reply.acknowledged, self.wait),
            )
        return reply

    async def run_alone(self, name: str, key: bytes, *args: Argument) -> Reply:
        """Run `create` or `revoke` over the user's hash alone, after SlotMoving.

        What they leave out is named in user.lua.
        """
        reply, _ = await self._run(name, (key,), args, True, (), self.wait)
        log.warning(
            "Redis is moving keys between servers: %s was done without its event in the stored log",
            name,
        )
        return reply

    async def read(self, name: str, key: bytes, *rest: Argument, anew: bool = False) -> Any:
        """Send one command that reads from a bucket; `clock` knows time and line afterwards.

        With `anew` they are asked for even where they are fresh.
        """
        command, line = (name, key, *rest), self.keys.line_beside(key) or b""
        if not anew and self.clock.is_fresh(line) and self.clock.now is not None:
            return await self.wire.call(*command)
        asked = self.clock.local
        reply, *news = await self.wire.batch([command, ("GET", line), ("TIME",)])
        await self._learn(news, line, asked)
        return _raised(reply)

    async def refresh(self, *, beside: bytes | None = None, patient: bool = False) -> int:
        """Ask for the time and the line; return the store's now.

        `beside` is a key of the bucket to ask; None asks meta, for what concerns all.
        """
        line = None if beside is None else self.keys.line_beside(beside)
        ask: Command = ("HGET", self.keys.meta, _NOT_BEFORE) if line is None else ("GET", line)
        asked = self.clock.local
        await self._learn(await self.wire.batch([ask, ("TIME",)], patient=patient), line, asked)
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

    async def _learn(self, news: Sequence[Any], line: bytes | None, asked: int) -> None:
        not_before, (seconds, microseconds) = (_raised(reply) for reply in news)
        self.clock.learn_not_before(await self.wire.number(not_before), line, asked)
        self.clock.learn(seconds * 1000 + microseconds // 1000)

    async def _run(
        self,
        name: str,
        keys: Sequence[bytes],
        args: Sequence[Argument],
        patient: bool,
        beside: Sequence[Command],
        wait: int = 0,
    ) -> tuple[Reply, list[Any]]:
        tag = secrets.token_bytes(4)
        shared = (self.clock.override, tag, self.clock.not_before, self.retention)
        code = script(name)
        command = ("EVALSHA", code.digest, len(keys), *keys, *shared, *args)
        reply, *extra = await self._send(command, patient, beside, wait)
        if isinstance(reply, ScriptMissing):
            # Each server of a cluster has scripts of its own, and SCRIPT LOAD names no key that
            # would lead there. EVAL does, and the server keeps the script.
            by_text = ("EVAL", code.text, *command[2:])
            reply, *extra[len(beside) :] = await self._send(by_text, patient, (), wait)
        reply = _raised(reply)
        if not _answers(reply, tag):
            raise await self.wire.mixed_up()
        self.clock.learn(reply[1])
        result = Reply(reply[1:])
        if wait:
            result.acknowledged = extra[-1] if isinstance(extra[-1], int) else 0
        return result, extra[: len(beside)]

    async def _send(
        self, command: Command, patient: bool, beside: Sequence[Command], wait: int
    ) -> Sequence[Any]:
        if beside or wait:
            return await self.wire.batch([command, *beside], patient=patient, wait=wait)
        try:
            return (await self.wire.call(*command, patient=patient),)
        except ScriptMissing as missing:
            return (missing,)


def _answers(reply: Any, tag: bytes) -> bool:
    """True for the reply of a script that was given this tag."""
    return isinstance(reply, list) and len(reply) > 1 and bool(reply[0] == tag)


def _raised(reply: Any) -> Any:
    if isinstance(reply, StoreError):
        raise reply
    return reply

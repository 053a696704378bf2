"""What belongs to no user: shared counters and the texts of User-Agents."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.form import to_bytes, to_text
from gatehound.stores.redis.wire import Command
from gatehound.stores.rule import DAY, clip_text

# Longer than any session lives by default, and refreshed at every login that shows the agent.
AGENT_LIFE: Final = 90 * DAY


class Counters:
    """The counters and agent texts of one namespace."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def keep_agent(self, digest: bytes, agent: str) -> Sequence[Command]:
        """Return the commands that keep a text; none for "". It lies in another slot, so it is
        written beside the script, and a label that is lost harms nobody."""
        if not agent:
            return ()
        key = self._calls.keys.agent(digest)
        return (("SET", key, to_bytes(clip_text(agent)), "PX", AGENT_LIFE),)

    async def agents(self, digests: Collection[bytes]) -> dict[bytes, str]:
        """Return the texts that are known; see Store.agents."""
        wanted = list(digests)
        if not wanted:
            return {}
        commands = [("GET", self._calls.keys.agent(digest)) for digest in wanted]
        texts: dict[bytes, str] = {}
        for digest, text in zip(wanted, await self._calls.wire.batch(commands), strict=True):
            if isinstance(text, Exception):
                raise text
            if text is not None:
                texts[digest] = to_text(text)
        return texts

    async def count(self, kind: str, name: str, by: int, window: int) -> int:
        """Add to a counter; see Store.count."""
        now = await self._now()
        while True:
            number = now // window
            key = self._calls.keys.counters(kind, window, number)
            now, *total = await self._calls.run("count", [key], number, window, to_bytes(name), by)
            if total:
                return int(total[0])

    async def counts(self, kind: str, window: int) -> dict[str, int]:
        """Return the counters of the present window; see Store.counts."""
        number = await self._now() // window
        wire = self._calls.wire
        found = await wire.call("HGETALL", self._calls.keys.counters(kind, window, number))
        return {to_text(name): await wire.number(value) for name, value in found.items()}

    async def _now(self) -> int:
        now = self._calls.clock.now
        return await self._calls.refresh() if now is None else now

"""What clients do: sign in, look, count, list, renew and end, on users that they share.

Written once. Under asyncio a client is a task; over a blocking store it is a thread, whose
coroutine never suspends (`pause` is then time.sleep).
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from gatehound.errors import StoreCorrupt, StoreUnavailable
from history.record import ALIVE, AUDIT, Kind, Op, Outcome, name_of

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]

# How often a client does what, of 100 steps.
SHARES: Final[dict[Kind, int]] = {
    "look": 55, "login": 12, "count": 12, "read": 6, "list": 6, "end": 5, "renew": 4,
}  # fmt: skip
# While answers stay out, clients mostly look: each write of unknown outcome could explain a loss.
CAUTION: Final = 0.95
KNOWN: Final = 40  # tokens that a client remembers of a user: living, ended, replaced


class Refusal(Exception):
    """The door said no, for a reason that is an answer."""


@dataclass(frozen=True, slots=True)
class Token:
    """What opens a session: `secret` is what a browser would hold."""

    user: str
    sid: str
    secret: str


@dataclass(slots=True)
class Asked:
    """What an operation learns on its way; the door fills it in."""

    longest: float = 0.0
    calls: int = 1
    facts: dict[str, Any] = field(default_factory=dict)

    async def timed(self, call: Awaitable[T]) -> T:
        """Wait for one call to the store, and note how long it took."""
        begun = time.monotonic()
        try:
            return await call
        finally:
            self.longest = max(self.longest, time.monotonic() - begun)

    async def twice(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask, and once more where no answer came: for what is idempotent on its secret."""
        try:
            return await self.timed(call())
        except StoreUnavailable:
            self.calls = 2
            return await self.timed(call())


class Door(Protocol):
    """The way into what is tested. Each method fills `asked.facts` with fields of Op.

    StoreUnavailable, StoreCorrupt and Refusal mean what Op.outcome says.
    """

    async def login(
        self, asked: Asked, user: str, wait: Callable[[], Awaitable[None]] | None
    ) -> Token: ...
    async def look(self, asked: Asked, token: Token) -> None: ...
    async def end(self, asked: Asked, token: Token, mode: str) -> None: ...
    async def renew(self, asked: Asked, token: Token) -> Token: ...
    async def list(self, asked: Asked, token: Token) -> None: ...
    async def count(self, asked: Asked, token: Token) -> None: ...
    async def read(self, asked: Asked, token: Token) -> None: ...
    async def mark(self, asked: Asked, token: Token) -> None: ...
    async def search(self, asked: Asked) -> None: ...


class Board:
    """Where all processes read which tokens were given out: a file a user, appended to."""

    def __init__(self, folder: Path, user: str) -> None:
        self._path = folder / f"{user}.tokens"
        self._path.touch()
        self._user = user
        self._read = 0

    def add(self, token: Token) -> None:
        """Tell everybody; a line this short is appended whole."""
        with self._path.open("ab") as file:
            file.write(f"{token.sid} {token.secret}\n".encode())

    def news(self) -> list[Token]:
        """Return what was added since the last time."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return []
        self._read += len(whole) + 1
        return [Token(self._user, *line.decode().split(" ", 1)) for line in whole.split(b"\n")]


class Client:
    """One client; `ops` is what it did. `stopped` is asked before each step."""

    def __init__(
        self,
        name: str,
        door: Door,
        boards: dict[str, Board],
        *,
        pause: Pause,
        pace: float,
        stopped: Callable[[], bool],
        searches: bool = False,
        nap: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.name = name
        self.ops: list[Op] = []
        self._door = door
        self._boards = boards
        self._pause = pause
        self._pace = pace
        self._stopped = stopped
        self._searches = searches
        self._nap = nap
        self._chance = random.Random(name)
        self._unsure: dict[str, bool] = {}
        self._known: dict[str, list[Token]] = {user: [] for user in boards}

    async def run(self) -> None:
        """Work until stopped; then look once more at everything that was ever given out."""
        step = 0
        begun = time.monotonic()
        while not self._stopped():
            if self._nap[1] and time.monotonic() - begun >= self._nap[0]:
                await self._pause(self._nap[1])
                self._nap = (0.0, 0.0)
            user = list(self._boards)[step % len(self._boards)]
            self._learn(user)
            await self._step(user, step)
            await self._pause(self._pace * self._chance.uniform(0.5, 1.5))
            step += 1
        for user in self._boards:
            self._learn(user)
            for token in self._known[user]:
                await self._do("look", user, token)

    async def audit(self) -> None:
        """Look at everything that was given out, and read what lives, when nobody else works."""
        for user, board in self._boards.items():
            tokens = board.news()
            read: set[str] = set()
            for token in tokens:
                await self._do("look", user, token)
                if self.ops[-1].standing in ALIVE and token.sid not in read:
                    read.add(token.sid)
                    await self._do("list", user, token)
                    await self._do("read", user, token)

    def _learn(self, user: str) -> None:
        known = self._known[user]
        known += self._boards[user].news()
        while len(known) > KNOWN:
            known.pop(self._chance.randrange(KNOWN // 2))

    async def _step(self, user: str, step: int) -> None:
        if self._searches and step % 50 == 49:
            await self._note("search", user, self._door.search, {})
            return
        kind = self._chance.choices(list(SHARES), list(SHARES.values()))[0]
        known = self._known[user]
        if self._unsure.get(user) and self._chance.random() < CAUTION:
            kind = "look"
        if kind == "login" or (not known and kind != "look"):
            await self._login(user)
            return
        if not known:
            return
        # The newest are likely to live; the others must stay dead.
        newest = self._chance.random() < 0.7
        await self._do(kind, user, self._chance.choice(known[-4:] if newest else known))

    async def _login(self, user: str) -> None:
        slow = self._chance.random() < 0.15

        async def wait() -> None:
            await self._pause(0.05)  # the credentials are checked meanwhile

        asks_epoch = self._chance.random() < 0.5
        held: list[Token] = []

        between = (wait if slow else _none) if asks_epoch else None

        async def login(asked: Asked) -> None:
            held.append(await self._door.login(asked, user, between))

        await self._note("login", user, login, {"mode": mode_of(user)})
        for token in held:
            self._boards[user].add(token)
            asked = Asked()
            try:
                await self._door.mark(asked, token)
            except (StoreUnavailable, StoreCorrupt, Refusal):
                continue  # then there is no mark: it says whose data it is, where it is there

    async def _do(self, kind: Kind, user: str, token: Token) -> None:
        facts: dict[str, Any] = {"sid": token.sid, "secret": name_of(token.secret)}
        held: list[Token] = []
        door = self._door

        async def do(asked: Asked) -> None:
            if kind == "end":
                await door.end(asked, token, facts["mode"])
            elif kind == "renew":
                held.append(await door.renew(asked, token))
            else:
                await getattr(door, kind)(asked, token)

        if kind == "end":
            facts["mode"] = self._chance.choice(["only", "only", "only", "keep", "all"])
        elif kind == "renew":
            facts = {"sid": token.sid, "old": facts["secret"]}
        elif kind == "list":
            facts = {}
        elif kind == "read" and self.name == AUDIT:
            facts["standing"] = "live"
        await self._note(kind, user, do, facts)
        for new in held:
            self._boards[user].add(new)

    async def _note(
        self,
        kind: Kind,
        user: str,
        do: Callable[[Asked], Awaitable[None]],
        facts: dict[str, Any],
    ) -> None:
        asked = Asked()
        outcome: Outcome = "ok"
        error = ""
        start = time.monotonic()
        try:
            await do(asked)
        except Refusal as said:
            outcome, error = "refused", str(said)
        except StoreUnavailable as said:
            outcome, error = "unknown", str(said)
        except StoreCorrupt as said:
            outcome, error = "corrupt", str(said)
        except Exception as said:  # all of it is evidence
            outcome, error = "crash", f"{type(said).__name__}: {said}"
        end = time.monotonic()
        self._unsure[user] = outcome == "unknown"
        begun = asked.facts.pop("start", start)
        told = {**facts, **asked.facts, "calls": asked.calls, "longest": asked.longest}
        self.ops.append(
            Op(
                client=self.name, kind=kind, user=user, start=begun, end=end,
                outcome=outcome, error=error, **told,
            )
        )  # fmt: skip


def mode_of(user: str) -> str:
    """What happens to this user at the limit: half of them are denied."""
    return "deny" if int(user[-1]) % 2 else "oldest"


def users_of(client: int) -> tuple[str, str]:
    """Name the users that client number `client` of every process works on."""
    return f"user{2 * client}", f"user{2 * client + 1}"


def all_users(clients: int) -> Sequence[str]:
    """Name the users of all clients."""
    return [user for client in range(clients) for user in users_of(client)]


async def _none() -> None:
    return None

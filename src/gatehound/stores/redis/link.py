"""The shared connection: the hot commands of all requests in flight go over one, under asyncio.

Rules
  1. Replies come in the order of the questions. Each question has a place in the queue, and keeps
     it when its caller is cancelled or gives up: the place swallows the reply.
  2. What was written may have been carried out. Nothing is ever sent again.
  3. What all tasks of a turn of the loop ask leaves in one write at its end. Where one caller is
     alone, it leaves at once.
  4. A question that waits for longer than the deadline fails, and nobody asks over this connection
     any more; those behind it wait until their own deadline. One timer does that for all.
  5. What cannot be read, or was not asked for, fails all that wait: no reply can be trusted.
  6. All whose replies came in one read are called at once: a callback of the loop for each costs
     more than the reply. Under uvloop that is within the read, before new requests; other loops
     call them in their next turn, because what was read MUST NOT stand in the frames above a
     handler, where whatever reports its errors would show it.

redis-py opens the connection (hot.py). A link belongs to one loop and takes no locks.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, Final, TypeAlias

import msgspec

from gatehound.model import Silent
from gatehound.stores.redis.hot import (
    MORE,
    Closed,
    Server,
    Stray,
    connection_of,
    in_form,
    packer,
    reader,
)
from gatehound.stores.redis.topology import Command
from gatehound.stores.redis.trouble import is_silence

# A loop that was busy for longer than the deadline finds the timer and the replies due in one
# turn, and some loops look at timers first: so what is late is looked at twice.
_SECOND_LOOK: Final = 0.005

_Replies: TypeAlias = "asyncio.Future[list[Any]]"
_FUTURE: Final = asyncio.Future
_KNOWS_WHO_WAITS: Final = hasattr(_FUTURE, "_callbacks")  # as CPython's do


class Link(asyncio.Protocol):
    """One connection. `on_end` is called once, when it takes no more."""

    def __init__(self, connection: Any, server: Server, on_end: Callable[[Link], None]) -> None:
        is_over = connection._reader.at_eof() or connection._writer.transport.is_closing()
        if is_over:  # it was said already, and nobody would say it again
            raise server.errors.ConnectionError("Connection closed by server.")
        self._loop = asyncio.get_running_loop()
        self._is_uvloop = type(self._loop).__module__.partition(".")[0] == "uvloop"
        self._server = server
        self._clock = server.clock
        self._deadline = server.deadline
        self._errors = server.errors
        self._on_end = on_end
        self._pack = packer()
        self._reader = reader(connection, server.errors.InvalidResponse)
        # The writer is kept for its life alone: collecting it would close the transport.
        self._writer = connection._writer
        self._transport = self._writer.transport
        connection._reader = connection._writer = None  # it is ours now
        self._waiting: deque[tuple[_Replies, int, float]] = deque()
        self._replies: list[Any] = []  # of the first in the queue, where it waits for several
        self._out: list[bytes] = []
        self._is_alone = True
        self._timer: asyncio.TimerHandle | None = None
        self._looked = float("-inf")  # what was asked until then was late at the last look
        self.address = server.address
        self.used_at = self._clock()
        self.is_open = True
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    def ask(self, commands: Sequence[Command]) -> _Replies:
        """Send commands; the future has their replies, a refusal as redis-py's exception.

        It fails by the errors of redis-py where no reply comes, and by Closed. Call it only
        while `is_open`.
        """
        pack = self._pack
        return self.ask_packed(
            b"".join([pack(tuple(command)) for command in commands]), len(commands)
        )

    def ask_packed(self, data: bytes, count: int = 1) -> _Replies:
        """As `ask`, for what is packed: `count` commands."""
        # As the loop's create_future does, uvloop's too, and without a call of Python's for it.
        future: _Replies = asyncio.Future(loop=self._loop)
        now = self.used_at = self._clock()
        try:
            if self._is_alone and not self._waiting:
                self._transport.write(data)
            else:
                if not self._out:
                    self._loop.call_soon(self._flush)
                self._out.append(data)
            self._waiting.append((future, count, now))
        except BaseException:  # a question without a place: its reply would be the next one's
            self._end(Closed, "")
            raise
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline, self._sweep)
        return future

    def retire(self) -> None:
        """Take no more questions; end once those that wait have their replies."""
        if self.is_open:
            self.is_open = False
            self._on_end(self)
        if not self._waiting:
            self._end(Closed, "")

    def close(self) -> None:
        """End at once; who waits gets Closed."""
        self._end(Closed, "closed")

    # --- what the transport says ---

    def data_received(self, data: bytes) -> None:
        """Give each reply to the question whose turn it is, and let those go on who wait."""
        # nest_asyncio puts another class there: a handler may then wait within for another one.
        knows = _KNOWS_WHO_WAITS and asyncio.Future is _FUTURE
        if not knows or (len(self._waiting) < 2 and not self._is_uvloop):
            self._take(data, None)
            return
        ready = _Ready(self._loop, deque())
        try:
            self._take(data, ready.waiting)
        finally:
            del data
            if self._is_uvloop and asyncio.current_task(self._loop) is None:
                ready.go_on_here()
            elif ready.waiting:
                self._loop.call_soon(ready.go_on)

    def _take(self, data: bytes, ready: deque[_Waiting] | None) -> None:
        waiting, replies, gets = self._waiting, self._replies, self._reader.gets
        answered, began = 0, 0.0
        try:
            self._reader.feed(data)
            while (reply := gets()) is not MORE:
                if not waiting:
                    raise Stray  # noqa: TRY301 - ends the connection like what cannot be read
                future, count, began = waiting[0]
                replies.append(reply)
                if count == 1 or len(replies) == count:
                    waiting.popleft()
                    if not future.done():
                        if ready is not None and (waits := future._callbacks) and len(waits) == 1:
                            [(wakeup, context)] = waits
                            ready.append(_Waiting(wakeup, context, future))
                            future.remove_done_callback(wakeup)  # which else is called alone
                        future.set_result(replies)
                    replies = []
                    answered += 1
        except Exception as error:
            self._end(*self._told(error))
            return
        except BaseException:  # a reply may be lost, and the next would be taken for it
            self._end(Closed, "")
            raise
        self._replies = replies
        if answered:
            self._is_alone = answered == 1
            self._server.breaker.answered(began)
        if not (waiting or self.is_open):
            self._end(Closed, "")

    def _told(self, error: Exception) -> tuple[type[Exception], str]:
        """Say what it means that the replies could not be taken."""
        if isinstance(error, Stray):
            return self._errors.InvalidResponse, "a reply that nobody had asked for"
        if isinstance(error, self._errors.InvalidResponse):
            return self._errors.InvalidResponse, str(error)
        return ValueError, repr(error)  # it broke what redis-py makes of replies

    def eof_received(self) -> bool:
        """Fail all that wait, and take no more until `connection_lost` follows."""
        self.connection_lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all that wait: their outcome is unknown."""
        self._end(self._errors.ConnectionError, str(exc or "Connection closed by server."))

    # --- writing, waiting, ending ---

    def _flush(self) -> None:
        if self._out:
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()

    def _sweep(self) -> None:
        """Fail what waits for too long; come again when the next one may."""
        self._timer = None
        limit = self._clock() - self._deadline
        if self._waiting and self._waiting[0][2] <= limit:
            looked, self._looked = self._looked, limit
            if self._waiting[0][2] > looked:
                self._timer = self._loop.call_later(_SECOND_LOOK, self._sweep)
                return
            self._give_up(looked)
        due = next((at for future, _, at in self._waiting if not future.done()), None)
        if due is not None:
            rest = due + self._deadline - self._clock()
            self._timer = self._loop.call_later(max(rest, 0.0), self._sweep)
        elif not self.is_open:
            self._end(Closed, "")
        elif self._waiting:  # only places of callers who have left
            self._timer = self._loop.call_later(self._deadline, self._sweep)

    def _give_up(self, limit: float) -> None:
        for future, _, at in self._waiting:
            if at > limit:
                break
            self._server.breaker.silent(at)
            _fail(future, self._errors.TimeoutError("Timeout reading from the server"))
        if self.is_open:
            self.is_open = False
            self._on_end(self)

    def _end(self, kind: type[Exception], text: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._out.clear()
        if self.is_open:
            self.is_open = False
            self._on_end(self)
        self._transport.abort()
        for future, _, began in waiting:
            if kind is self._errors.ConnectionError:
                self._server.breaker.silent(began)
            _fail(future, kind(text))


class Shared:
    """One server over a link, which is opened at the first use and after each end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._opening: asyncio.Task[Link] | None = None
        # Also those that take no more and still owe replies; a transport keeps its link alive.
        self._all: weakref.WeakSet[Link] = weakref.WeakSet()
        self._link: Link | None = None
        self._may_rest = server.idle_limit < float("inf")
        self.breaker = server.breaker
        self.is_open = True

    def trip(self) -> Link | None:
        """Return the link to ask over at once; None where `ask` has to open one first."""
        link = self._link
        if link is None or not self._may_rest:
            return link
        server = self._server
        if server.clock() - link.used_at < server.idle_limit:
            return link
        link.retire()
        return None

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one trip; refusals stand in their places, silence is raised."""
        began = self._server.clock()
        link = self.trip() or await self._opened()
        if not link.is_open:  # it may end while its opening is waited for
            link = await self._opened()
            if not link.is_open:  # a server that hangs up on all who come is not stormed
                self.breaker.silent(began)
                raise self._server.errors.ConnectionError("Connection closed by server.")
        return in_form(commands, await link.ask(commands))

    async def close(self, *, inuse: bool) -> None:
        """Close the link; without `inuse` once all that wait have their replies."""
        self.is_open = False
        for link in list(self._all):
            link.close() if inuse else link.retire()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))  # the loop may end right after this

    async def _opened(self) -> Link:
        """Open a link, or wait for the one that is being opened; who leaves does not end it."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(self._note_opened)
        opening = self._opening
        await asyncio.wait((opening,))
        if opening.cancelled():
            raise Closed
        return opening.result()

    async def _open(self) -> Link:
        connection, began = connection_of(self._server.pool), self._server.clock()
        try:
            await connection.connect()
            link = Link(connection, self._server, self._forget)
        except BaseException as error:
            if is_silence(error):
                self.breaker.silent(began)
            await connection.disconnect(nowait=True)
            raise
        self._all.add(link)
        self._link = link
        return link

    def _note_opened(self, opening: asyncio.Task[Link]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # those who waited were told; there may be none left

    def _forget(self, link: Link) -> None:
        if self._link is link:
            self._link = None


def _fail(future: _Replies, error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _raise(error: BaseException) -> None:
    raise error


class _Waiting(Silent, msgspec.Struct, eq=False):
    """Who waits for replies that have come, as its future knew it."""

    wakeup: Callable[[_Replies], object]
    context: Context
    future: _Replies


class _Ready(Silent, msgspec.Struct, eq=False):
    """All whose replies came in one read."""

    loop: asyncio.AbstractEventLoop
    waiting: deque[_Waiting]

    def go_on(self) -> None:
        """Call them, as the loop would one by one."""
        try:
            while self.waiting:
                one = self.waiting.popleft()
                one.context.run(one.wakeup, one.future)
        except BaseException:  # a task ends the program: the others may still clean up
            if self.waiting:
                self.loop.call_soon(self.go_on)
            raise

    def go_on_here(self) -> None:
        """Call them at once; what ends the program is left to the loop, which ends by it."""
        try:
            self.go_on()
        except BaseException as error:
            self.loop.call_soon(_raise, error)

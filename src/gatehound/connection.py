"""What stays open after a request: a websocket, or a response that streams.

Once its app has read the session, a connection belongs to that session and ends with it. From
that moment the app gets no message of the client, and the client none of the app. How the end
looks follows the ASGI specification: `receive` says that the client left, `send` raises an
OSError, as both do after a real disconnect, so that frameworks know what to do.

Between `receive` and `send` of the server and of the app, and under the headers that the
middleware adds. Nothing here costs a plain response a task or an entry anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gatehound.guard import Guard
from gatehound.passage import Passage
from gatehound.stores.record import Record

if TYPE_CHECKING:  # few requests are watched
    from gatehound.watch import Watch

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# 4000 to 4999 are for private use (RFC 6455, 7.4.2).
CODE: Final = 4001
REASON: Final = "session ended"
REFUSED: Final = 1008  # policy violation; before the handshake no client sees it
_LAST: Final = ("websocket.close", "websocket.http.response.start")
# Seconds. STREAM: a response is one that streams when it is not done by then; many frameworks
# send every body in two messages. OWN: for the last words of a websocket that ended its own
# session. TOLD: how long the close frame may take before the app hears of the end.
STREAM: Final = 0.5
OWN: Final = 0.5
TOLD: Final = 0.25
# Seconds from the handshake or request. Who reads the session later than this may read of one
# that ended unheard in between, and nothing passes before the store was asked.
LATE: Final = 1.0
# What Starlette and FastAPI make of the OSError of a lost client. By name: no framework is
# imported here. What servers raise are OSErrors themselves.
_LOSSES: Final = frozenset({"ClientDisconnect", "WebSocketDisconnect", "WebSocketDisconnected"})

log: Final = logging.getLogger("gatehound")


class _Over(ConnectionAbortedError):
    """What an app gets that sends after the end of its session."""

    def __init__(self) -> None:
        super().__init__("the session that this connection belongs to has ended")


class Connection:
    """The part that a websocket and a stream have in common."""

    left: ClassVar[Message]  # what `receive` says once it is over

    def __init__(
        self,
        guard: Guard,
        passage: Passage,
        receive: Receive,
        send: Send,
        *,
        began: float | None = None,
    ) -> None:
        self._guard = guard
        self._passage = passage
        self._receive = receive
        self._send = send
        self._began = time.monotonic() if began is None else began
        self._waiting: list[asyncio.Timeout] = []
        self._joined: list[tuple[Watch, Record, Callable[[], None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_done = False  # nothing more may be sent
        self._is_unsure = False  # joined late: the session may have been over before
        self.is_over = False

    # Made on first need: few connections wait for anything.

    @functools.cached_property
    def _lock(self) -> asyncio.Lock:
        return asyncio.Lock()

    @functools.cached_property
    def _told(self) -> asyncio.Event:
        return asyncio.Event()

    async def receive(self) -> Message:
        """Return what the server says; from the end on, that the client left.

        Waiting is given up by an asyncio.Timeout, a cancellation that nobody outside sees:
        there is no task per message.
        """
        if not self.is_over:
            waiting = asyncio.timeout(None)
            self._waiting.append(waiting)
            try:
                async with waiting:
                    message = await self._receive()
                if not self.is_over:  # else the client's last words came too late
                    return message
            except TimeoutError:
                if not waiting.expired():
                    raise
            finally:
                self._waiting.remove(waiting)
        await self._told.wait()
        return {**self.left}

    async def send(self, message: Message) -> None:
        """Pass a message on; from the end on raise the OSError of a lost client."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Let go: the app has ended."""
        self._passage.on_read = None
        if self._timer is not None:
            self._timer.cancel()
        try:
            if self._closing is not None:
                await asyncio.wait([self._closing], timeout=TOLD)
                self._closing.cancel()
        finally:
            self._is_done = True  # a task that the app left behind joins nothing any more
            for watch, record, close in self._joined:
                await watch.leave(record, close)

    def excuses(self, error: BaseException) -> bool:
        """True for an exception of the app that comes of the end of its session alone.

        Any other goes its way: a cancellation, and an error of the app's own in a `finally`.
        """
        if not self.is_over or not _comes_of_it(error):
            return False
        log.debug("an app was ended with its session", exc_info=error)
        return True

    # --- which session ---

    def _session(self) -> Record | None:
        """The session that this belongs to; None until the app has read it."""
        raise NotImplementedError

    def _look(self) -> None:
        """Join the watch once the app has read the session; a login makes it another one."""
        record = self._session()
        if record is None or self._is_done or self.is_over:
            return
        if not self._joined or self._joined[-1][1].sid != record.sid:
            from gatehound.watch import Watch

            watch, close = Watch.of(self._guard), functools.partial(self._ended, record)
            self._joined.append((watch, record, close))
            self._is_unsure = time.monotonic() - self._began > LATE
            watch.join(record, close)

    def _look_at_reads(self) -> None:
        """Look when the app reads the session: it may then say and hear nothing for hours."""
        self._passage.on_read = functools.partial(self._note_read, asyncio.get_running_loop())

    def _note_read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:  # a handler's thread
            is_here = False
        if is_here:
            self._look()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is open on it
            loop.call_soon_threadsafe(self._look)

    async def _settle(self) -> None:
        """Look, and after a late read wait until the store was asked."""
        self._look()
        if self._is_unsure:
            watch, record, _ = self._joined[-1]
            await watch.confirm(record)
            self._is_unsure = False

    # --- the end ---

    def _ended(self, record: Record) -> None:
        """The watch says that a session is over; perhaps one that a login has replaced."""
        self._look()
        if self._joined[-1][1].sid == record.sid and not self._is_done:
            self._end(is_own=self._passage.record is None)

    def _end(self, *, is_own: bool) -> None:
        """End it; `is_own` where the app ended the session in this very connection."""
        raise NotImplementedError

    def _end_now(self) -> None:
        loop = asyncio.get_running_loop()
        self.is_over = True
        for waiting in self._waiting:
            waiting.reschedule(loop.time())
        self._timer = loop.call_later(TOLD, self._told.set)
        self._closing = loop.create_task(self._close_quietly())

    async def _close_quietly(self) -> None:
        try:
            async with self._lock:  # what the app is sending goes out whole
                await self._close()
        except Exception as error:
            log.debug("a connection was gone before it could be closed: %r", error)
        finally:
            self._told.set()

    async def _close(self) -> None:
        """Tell the client, as far as the connection has come."""
        raise NotImplementedError


class WebsocketConnection(Connection):
    """A websocket: closed with 4001, or refused with 403 where it is not accepted yet."""

    left: ClassVar[Message] = {"type": "websocket.disconnect", "code": CODE, "reason": REASON}

    def __init__(
        self, guard: Guard, passage: Passage, receive: Receive, send: Send, *, can_deny: bool
    ) -> None:
        super().__init__(guard, passage, receive, send)
        self._first = passage.record
        self._can_deny = can_deny
        self._is_accepted = False
        self._look_at_reads()

    async def receive(self) -> Message:
        """As for every connection; the app may have signed in before it."""
        await self._settle()
        return await super().receive()

    async def send(self, message: Message) -> None:
        """Pass a message on, one at a time; from the end on raise the OSError of a lost client.

        A close is dropped then: the websocket is closed, as the app wants it.
        """
        await self._settle()
        kind = message["type"]
        async with self._lock:
            if self.is_over:
                if kind == "websocket.close":
                    return
                raise _Over
            self._is_accepted = self._is_accepted or kind == "websocket.accept"
            self._is_done = self._is_done or kind in _LAST
            await self._send(message)

    async def deny(self, status: int, headers: Headers, body: bytes) -> bool:
        """Refuse a handshake that the app has not answered; False where it has."""
        async with self._lock:
            if self._is_accepted or self._is_done:
                return False
            self._is_done = True
            await deny(self._send, status, headers, body, can_deny=self._can_deny)
        return True

    def _session(self) -> Record | None:
        """Also the one that the app has ended here: nobody is left whose websocket it were."""
        passage = self._passage
        is_known = passage.was_read or passage.is_new_login
        return (passage.record or self._first) if is_known else None

    def _end(self, *, is_own: bool) -> None:
        if is_own:  # it may have something to say
            self._timer = asyncio.get_running_loop().call_later(OWN, self._end_now)
        else:
            self._end_now()

    async def _close(self) -> None:
        if not self._is_done:
            self._is_done = True
            await self._send({"type": "websocket.close", "code": CODE, "reason": REASON})


class StreamConnection(Connection):
    """A response whose body takes longer than `STREAM`; any other passes through unnoticed.

    A stream of events is one from its start: its first event may be hours away.
    """

    left: ClassVar[Message] = {"type": "http.disconnect"}

    def __init__(
        self, guard: Guard, passage: Passage, receive: Receive, send: Send, *, began: float
    ) -> None:
        super().__init__(guard, passage, receive, send, began=began)
        self._start: Message = {}
        self._is_stream = False

    async def send(self, message: Message) -> None:
        """Pass a message on; from the end on raise the OSError of a lost client."""
        kind = message["type"]
        is_last = kind == "http.response.body" and not message.get("more_body")
        if kind == "http.response.start":
            self._start = message
        if self._timer is None and not is_last and _is_streaming(message):
            self._timer = asyncio.get_running_loop().call_later(STREAM, self._begin)
        if self._timer is None:
            await self._send(message)
            return
        await self._settle()
        async with self._lock:
            if self.is_over:
                raise _Over
            self._is_done = is_last
            await self._send(message)

    def _begin(self) -> None:
        self._is_stream = True
        self._look_at_reads()
        self._look()

    def _look(self) -> None:
        """Not before it is a stream; the app may read the session in the middle of it."""
        if self._is_stream:
            super()._look()

    def _session(self) -> Record | None:
        """None for one that the app has ended here: its answer to that goes out whole."""
        passage = self._passage
        return passage.record if passage.was_read or passage.is_new_login else None

    def _end(self, *, is_own: bool) -> None:
        if not is_own:
            self._end_now()

    async def _close(self) -> None:
        """End a stream of events as its format allows; anything else breaks off.

        A download that is cut MUST NOT look whole: its last message is never sent.
        """
        if self._is_done or not is_event_stream(self._start):
            return
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def deny(send: Send, status: int, headers: Headers, body: bytes, *, can_deny: bool) -> None:
    """Refuse a handshake with a response; a server that cannot do that sends a bare 403."""
    if not can_deny:
        await send({"type": "websocket.close", "code": REFUSED})
        return
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def can_deny(scope: MutableMapping[str, Any]) -> bool:
    """True where the server takes a denial (ASGI extension "websocket.http.response")."""
    return "websocket.http.response" in (scope.get("extensions") or ())


def _is_streaming(message: Message) -> bool:
    """True for what more may follow after a while; a start alone tells that of events."""
    if message["type"] == "http.response.start":
        return is_event_stream(message)
    return bool(message["type"] == "http.response.body")


def is_event_stream(start: Message) -> bool:
    for name, value in start.get("headers") or ():
        if len(name) == 12 and name.lower() == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            return bool(kind == b"text/event-stream")
    return False


def _comes_of_it(error: BaseException | None, depth: int = 10) -> bool:
    """True for our own error, and for what was made of it; a chain may be a circle.

    What was raised while ours was handled (`__context__`) came of it only where it says the
    same: the client is lost. A KeyError in a `finally` is a mistake of the app.
    """
    if isinstance(error, _Over):
        return True
    if not isinstance(error, Exception) or not depth:
        return False
    if isinstance(error, ExceptionGroup):
        return all(_comes_of_it(one, depth - 1) for one in error.exceptions)
    made_of = error.__cause__
    if made_of is None and _tells_of_loss(error):
        made_of = error.__context__
    return _comes_of_it(made_of, depth - 1)


def _tells_of_loss(error: Exception) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, OSError) or not names.isdisjoint(_LOSSES)

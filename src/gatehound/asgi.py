"""Guard an ASGI app: `GatehoundMiddleware(app, guard)`.

Belongs outermost, so that it sees every response and every exception. It wraps `send` alone:
all messages pass as they are, but for headers on `http.response.start` and on
`websocket.accept`. Unknown scopes and messages are not touched, and `receive` alone where a
session may end while it waits (gatehound.connection).
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gatehound import signin
from gatehound._sync import run_sync
from gatehound.clientip.again import raw_names
from gatehound.clientip.current import KEY
from gatehound.connection import (
    Message,
    Receive,
    Send,
    StreamConnection,
    WebsocketConnection,
    can_deny,
    deny,
    is_event_stream,
)
from gatehound.data import Runner
from gatehound.errors import GatehoundError, UsageError
from gatehound.guard import Guard
from gatehound.model import Request
from gatehound.passage import Passage
from gatehound.scope import Scope, ScopeRequest
from gatehound.settings import Settings
from gatehound.shortcut import Shortcut
from gatehound.stepup import STEP_UP, StepUp
from gatehound.stores.answer import Lost
from gatehound.visit import Visit
from gatehound.web import gate, mounted
from gatehound.web.headers import can_carry, changes, dress, is_due, leaves_caches_to_us

if TYPE_CHECKING:
    from gatehound.web.reply import Reply

__all__ = ["App", "GatehoundMiddleware", "Message", "Receive", "Scope", "ScopeRequest", "Send"]

_GUARDED: Final = ("http", "websocket")
_STARTS: Final = ("websocket.accept", "websocket.http.response.start")
# Names of headers that most responses have, and that say nothing of caches.
_HARMLESS: Final = frozenset(
    {b"content-length", b"content-encoding", b"date", b"server", b"set-cookie", b"location"}
)
_MAY_BE_EVENTS: Final = re.compile(b"event", re.IGNORECASE).search
# What a response gets that depends on the session and says nothing of caches itself.
_READ: Final = [(b"cache-control", b"private"), (b"vary", b"Cookie")]

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class GatehoundMiddleware:
    """Put a Visit into `scope["gatehound"]` of every HTTP request and websocket.

    Give a Guard, or `settings` (a Settings or a dict), or neither for the environment.
    """

    def __init__(
        self,
        app: App,
        guard: Guard | None = None,
        *,
        settings: Settings | Mapping[str, Any] | None = None,
    ) -> None:
        if guard is not None and settings is not None:
            raise UsageError("give GatehoundMiddleware a guard or settings, not both")
        self.app = app
        self.guard = guard if guard is not None else Guard(settings)
        self._gate = gate(self.guard)
        self._step_up = StepUp(self.guard)
        self._has_fresh_paths = self._step_up.has_fresh_paths
        self._divided = mounted(self.guard.settings, app, "asgi")
        self._shortcut = Shortcut(self.guard, raw_names(self.guard.resolver), waits=True)
        self._latest: tuple[object, Runner] = (None, run_sync)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        kind = scope["type"]
        if kind not in _GUARDED or "gatehound" in scope:
            await self.app(scope, receive, send)
            return
        guard, shortcut = self.guard, self._shortcut
        request = ScopeRequest(scope)
        if self._gate is not None and (refusal := self._gate(request)) is not None:
            await _refuse(request, scope, send, refusal)
            return
        begun = shortcut.begin(request)
        if begun is None:
            passage = await shortcut.examine(request)
        else:
            replies = begun[5][1]
            try:
                replies = replies if isinstance(replies, list) else await replies
            except Exception as error:
                replies = Lost(error)
            passage = shortcut.finish(begun, replies) or await shortcut.go_on(begun, replies)
        begun = replies = None  # a traceback of the app's shows the locals of this frame
        self._show(scope, passage)
        if kind == "http":
            response = _Response(guard, passage, receive, send, monotonic())
            receive = receive if passage.record is None else response.receive
        else:
            response, receive = _socket(guard, passage, scope, receive, send)
        try:
            if self._has_fresh_paths or passage.verdict.action is STEP_UP:
                self._step_up.demand(passage)  # answered as if the app had let it through
            await (self._divided or self.app)(scope, receive, response.send)
        except BaseException as error:  # a cancelled request did not get its cookie either
            if not (await response.settle(error) or response.excuses(error)):
                raise
        else:
            if not passage.started:
                await response.settle(None)
        finally:
            response.has_left = True  # a task that the app left behind joins nothing any more
            if response.connection is not None:
                await response.connection.leave()

    def _show(self, scope: Scope, passage: Passage) -> None:
        """Put into the scope what the app finds there."""
        if KEY not in scope:
            scope[KEY] = passage.client_ip
        latest, loop = self._latest, get_running_loop()
        if latest[0] is not loop:  # nearly always it is that of the last time
            latest = self._latest = (loop, partial(_run_on, loop))
        scope["gatehound"] = Visit(self.guard, passage, latest[1])


class _Response(msgspec.Struct, eq=False):
    """The way back of one request: adds headers, and mends what the app let through.

    `connection` is that of a websocket, or of a response that streams, once it does: almost
    every other is done before one is needed.
    """

    _guard: Guard
    _passage: Passage
    _receive: Receive
    _send: Send
    _began: float
    connection: WebsocketConnection | StreamConnection | None = None
    has_left: bool = False
    _replaced: bool = False

    async def receive(self) -> Message:
        """Return what the server says; while a response is sent, also that its session ended."""
        if self._passage.started:  # the body of the request comes before
            self._stream()
        connection = self.connection
        return await (self._receive() if connection is None else connection.receive())

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; headers are added to the one that starts the response.

        What the server's `send` gives is given on, so that a message costs no coroutine of ours.
        """
        kind = message["type"]
        if kind == "http.response.body":
            if self._replaced:
                return _nothing()  # the rest of a 500 that became our own answer
            if message.get("more_body"):
                self._stream()
        elif kind == "http.response.start":
            passage, status = self._passage, message["status"]
            if status >= 500 or self._replaced or passage.rotation_due or passage.carried:
                return self._start(message, status)
            message = self._dressed(message, status)  # it may change who sends
        elif kind in _STARTS:
            return self._start(message, message.get("status", 101))
        elif self._replaced:
            return _nothing()  # trailers and a file are no part of our own answer either
        return self._send(message)

    def excuses(self, error: BaseException) -> bool:
        """True for an exception that comes of the end of the session alone."""
        return self.connection is not None and self.connection.excuses(error)

    async def settle(self, error: BaseException | None) -> bool:
        """Clean up after the app ended, by an exception or not; True where that is answered for.

        A login whose response never began is undone: its cookie reached nobody.
        """
        passage = self._passage
        if passage.started:
            return self._replaced and error is passage.raised
        await signin.undo_login(self._guard, passage)
        if passage.raised is None or error is not passage.raised:
            return False
        return await self._replace(passage.raised)

    async def _start(self, message: Message, status: int) -> None:
        """Start a response, or send ours in its place."""
        if self._replaced:
            return
        passage = self._passage
        if status >= 500:
            await signin.undo_login(self._guard, passage)
            swallowed = status == 500 and message["type"] == "http.response.start"
            if passage.raised is not None and swallowed:
                await self._replace(passage.raised)
                return
        if passage.is_pending and can_carry(status):
            await signin.complete(self._guard, passage)
        dressed = self._dressed(message, status)
        await self._send(dressed)

    def _dressed(self, message: Message, status: int) -> Message:
        """Return the start of a response as it goes out."""
        passage = self._passage
        passage.started = True
        lines = message.get("headers") or []
        if type(lines) is not list:  # ASGI allows any iterable, and this looks more than once
            lines = list(lines)
            message = {**message, "headers": lines}
        is_silent = True  # of caches
        for name, value in lines:
            if name in _HARMLESS:
                continue
            if name == b"content-type" or (len(name) == 12 and name.lower() == b"content-type"):
                # As long as "text/event-stream"; most pages are told by their type at a glance.
                if len(value) >= 17 and _MAY_BE_EVENTS(value) and is_event_stream(message):
                    self._stream()
            elif is_silent:
                is_silent = leaves_caches_to_us(name)
        if not (passage.was_read and status == 200) and not is_due(passage, status):
            return message
        if is_silent and not passage.cookies:
            dressed = message.copy() if type(message) is dict else dict(message)
            dressed["headers"] = lines + _READ
            return dressed
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in lines]
        gone, added = changes(passage, headers)
        kept = [line for line in lines if line[0].decode("latin-1").lower() not in gone]
        return {**message, "headers": kept + _encoded(added)}

    async def _replace(self, error: GatehoundError) -> bool:
        """Say ourselves what the app, or its framework, could only call an error.

        False for a websocket whose handshake is answered already.
        """
        from gatehound.web.reply import reply_for  # what seldom happens is loaded when it does

        passage = self._passage
        reply = reply_for(error, passage, self._guard.settings)
        headers = reply.sized()
        if passage.cookies:
            headers = dress(passage, headers)
        if isinstance(self.connection, WebsocketConnection):
            return await self.connection.deny(reply.status, _encoded(headers), reply.body)
        self._replaced = passage.started = True
        await _answer(self._send, reply, headers, passage.request)
        return True

    def _stream(self) -> None:
        """Make this response one that its session may end, if it streams for long enough."""
        if self.connection is None and not self.has_left:
            self.connection = StreamConnection(
                self._guard, self._passage, self._receive, self._send, began=self._began
            )
            self._send = self.connection.send


# asgiref's bridge from WSGI, which Flask's documentation names, warns of a `send` that is no
# coroutine function; this one returns what the server's own returns.
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(_Response.send)
else:  # as asgiref marks its own
    _mark = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined] # public in 3.12
    _Response.send._is_coroutine = _mark  # type: ignore[attr-defined] # a function takes any


def _run_on(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any]) -> Any:
    """Run what `visit.sync` asks for on the request's own loop, from a handler's thread."""
    try:
        here = get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        coro.close()
        raise UsageError(
            "visit.sync was used on the event loop's own thread, where it would wait for "
            "itself: await the method of the visit, or make the handler a plain `def`"
        )
    return asyncio.run_coroutine_threadsafe(coro, loop).result()


def _socket(
    guard: Guard, passage: Passage, scope: Scope, receive: Receive, send: Send
) -> tuple[_Response, Receive]:
    """Return the way back of a websocket, and its `receive`."""
    socket = WebsocketConnection(guard, passage, receive, send, can_deny=can_deny(scope))
    response = _Response(guard, passage, receive, socket.send, monotonic(), socket)
    return response, socket.receive


async def _refuse(request: Request, scope: Scope, send: Send, reply: Reply) -> None:
    if request.websocket:
        lines = _encoded(reply.sized())
        await deny(send, reply.status, lines, reply.body, can_deny=can_deny(scope))
    else:
        await _answer(send, reply, reply.sized(), request)


async def _answer(
    send: Send, reply: Reply, headers: list[tuple[str, str]], request: Request
) -> None:
    lines = _encoded(headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": lines})
    await send({"type": "http.response.body", "body": reply.body_for(request)})


async def _nothing() -> None:
    """What becomes of a message that is not sent."""


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]

"""Guard an ASGI app: `GatehoundMiddleware(app, guard)`.

Belongs outermost, so that it sees every response and every exception. It wraps `send` alone:
all messages pass as they are, but for headers on `http.response.start` and on
`websocket.accept`. Unknown scopes and messages are not touched, and `receive` alone where a
session may end while it waits (gatehound.connection).
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from functools import lru_cache, partial
from typing import Any, Final

from gatehound import signin
from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.again import from_fields
from gatehound.clientip.current import KEY, known_answer
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
from gatehound.errors import GatehoundError, UsageError
from gatehound.guard import Guard
from gatehound.model import Request
from gatehound.passage import Passage
from gatehound.settings import Settings
from gatehound.stepup import STEP_UP, StepUp
from gatehound.visit import Visit
from gatehound.web import gate, mounted, path_in
from gatehound.web.headers import can_carry, changes, dress, is_due, leaves_caches_to_us
from gatehound.web.reply import Reply, reply_for

__all__ = ["App", "GatehoundMiddleware", "Message", "Receive", "Scope", "Send"]

_GUARDED: Final = ("http", "websocket")
_STARTS: Final = ("websocket.accept", "websocket.http.response.start")
_SEPARATORS: Final = {b"cookie": b"; ", b"user-agent": b","}
# Names of headers that most responses have, and that say nothing of caches.
_HARMLESS: Final = frozenset(
    {b"content-length", b"content-encoding", b"date", b"server", b"set-cookie", b"location"}
)
# What a response gets that depends on the session and says nothing of caches itself.
_READ: Final = [(b"cache-control", b"private"), (b"vary", b"Cookie")]

Scope = MutableMapping[str, Any]
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        kind = scope["type"]
        if kind not in _GUARDED or "gatehound" in scope:
            await self.app(scope, receive, send)
            return
        guard = self.guard
        request = ScopeRequest(scope)
        if self._gate is not None:
            refusal = self._gate(request)
            if refusal is not None:
                await _refuse(request, scope, send, refusal)
                return
        passage = await guard.examine(request)
        scope.setdefault(KEY, passage.client_ip)
        scope["gatehound"] = Visit(guard, passage, partial(_run_on, asyncio.get_running_loop()))
        if kind == "http":
            response = _Response(guard, passage, receive, send)
            if passage.record is not None:
                receive = response.receive
        else:
            socket = WebsocketConnection(guard, passage, receive, send, can_deny=can_deny(scope))
            response = _Response(guard, passage, receive, socket.send, socket)
            receive = socket.receive
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


class _Response:
    """The way back of one request: adds headers, and mends what the app let through.

    `connection` is that of a websocket, or of a response that streams, once it does: almost
    every other is done before one is needed.
    """

    __slots__ = (
        *("_began", "_guard", "_passage", "_receive", "_replaced", "_send"),
        *("connection", "has_left"),
    )

    def __init__(
        self,
        guard: Guard,
        passage: Passage,
        receive: Receive,
        send: Send,
        connection: WebsocketConnection | StreamConnection | None = None,
    ) -> None:
        self._guard = guard
        self._passage = passage
        self._receive = receive
        self._send = send
        self.connection = connection
        self._replaced = self.has_left = False
        self._began = time.monotonic()

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
            if len(name) == 12 and name.lower() == b"content-type":
                if len(value) >= 17 and is_event_stream(message):  # that of "text/event-stream"
                    self._stream()
            elif is_silent and name not in _HARMLESS:
                is_silent = leaves_caches_to_us(name)
        if not is_due(passage, status):
            return message
        if is_silent and not passage.cookies:
            return {**message, "headers": [*lines, *_READ]}
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in lines]
        gone, added = changes(passage, headers)
        kept = [line for line in lines if line[0].decode("latin-1").lower() not in gone]
        return {**message, "headers": kept + _encoded(added)}

    async def _replace(self, error: GatehoundError) -> bool:
        """Say ourselves what the app, or its framework, could only call an error.

        False for a websocket whose handshake is answered already.
        """
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


class ScopeRequest(Request):
    """What an ASGI scope tells."""

    __slots__ = ("_fields", "_is_plain", "_scope")

    def __init__(self, scope: Scope) -> None:
        headers = scope["headers"]
        if type(headers) is not list:  # ASGI allows any iterable, and the app reads it after us
            headers = scope["headers"] = list(headers)
        # A copy: the scope will hold the Visit, which holds this, and what is a circle waits for
        # the garbage collector, with all its headers.
        self._scope = dict(scope)
        fields = dict(headers)
        self._is_plain = len(fields) == len(headers)  # no name came twice
        if not self._is_plain:
            fields = _joined(headers)
        self._fields: dict[bytes, bytes] = fields
        self.websocket = websocket = scope["type"] == "websocket"
        self.method = "GET" if websocket else scope["method"].upper()
        self.path = scope["path"]
        self.agent = str(fields.get(b"user-agent", b""), "latin-1")
        self.cookie = str(fields.get(b"cookie", b""), "latin-1")

    @property
    def query(self) -> str:  # type: ignore[override] # asked for by few: read when it is
        """The raw query text."""
        return str(self._scope.get("query_string", b""), "latin-1")

    @property
    def root(self) -> str:
        """The root path, without a slash at its end."""
        return str(self._scope.get("root_path", "")).rstrip("/")

    @property
    def route(self) -> str:
        """The path below the root path, which servers put in front of it or not."""
        return path_in(self._scope)

    @property
    def scheme(self) -> str:  # type: ignore[override] # as the query
        """What the server says of the connection."""
        return str(self._scope.get("scheme", ""))

    @property
    def host(self) -> str:  # type: ignore[override] # as the query
        """The Host header as sent."""
        return self.header("host")

    def header(self, name: str) -> str:
        """Return the value of a header, lines joined by ", "; "" when absent."""
        value = self._fields.get(raw_name(name))
        return "" if value is None else str(value, "latin-1")

    def lacks(self, names: tuple[str, ...]) -> bool:
        """True where none of these headers was sent, names in lower case."""
        return self._fields.keys().isdisjoint(raw_names(names))

    def locate(self, resolver: ClientIPResolver) -> ClientIP:
        """Ask the resolver for the client's address, unless ClientIPMiddleware applied it."""
        scope = self._scope
        answer = known_answer(scope, resolver) if KEY in scope else None
        if answer is None:
            if self._is_plain:
                answer = from_fields(resolver, scope, self._fields)
            else:
                answer = resolver.from_scope(scope)
        return answer


@lru_cache(64)
def raw_names(names: tuple[str, ...]) -> frozenset[bytes]:
    """Return names of headers as a scope holds them."""
    return frozenset(map(raw_name, names))


@lru_cache(256)
def raw_name(name: str) -> bytes:
    """Return the name of a header as a scope holds it."""
    return name.lower().encode("latin-1")


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Read headers of which some came twice: Host is the last, User-Agent as WSGI joins it."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in fields and name != b"host":
            fields[name] += _SEPARATORS.get(name, b", ") + value
        else:
            fields[name] = value
    return fields


def _run_on(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any]) -> Any:
    """Run what `visit.sync` asks for on the request's own loop, from a handler's thread."""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        coro.close()
        raise UsageError(
            "visit.sync was used on the event loop's own thread, where it would wait for "
            "itself: await the method of the visit, or make the handler a plain `def`"
        )
    return asyncio.run_coroutine_threadsafe(coro, loop).result()


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

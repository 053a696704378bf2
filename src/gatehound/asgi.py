"""Guard an ASGI app: `GatehoundMiddleware(app, guard)`.

Belongs outermost, so that it sees every response and every exception. It wraps `send` alone:
all messages pass as they are, but for headers on `http.response.start` and on
`websocket.accept`. Unknown scopes and messages are not touched, and `receive` alone where a
session may end while it waits (gatehound.connection).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any

from gatehound import signin
from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.current import KEY, known_answer
from gatehound.connection import (
    Connection,
    Message,
    Receive,
    Send,
    StreamConnection,
    WebsocketConnection,
    can_deny,
    deny,
)
from gatehound.data import Runner
from gatehound.errors import GatehoundError, UsageError
from gatehound.guard import Guard
from gatehound.model import Request
from gatehound.passage import Passage
from gatehound.settings import Settings
from gatehound.visit import Visit
from gatehound.web.headers import can_carry, changes, dress, is_due
from gatehound.web.reply import Reply, development_refusal, reply_for

__all__ = ["App", "GatehoundMiddleware", "Message", "Receive", "Scope", "Send"]

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] not in ("http", "websocket") or "gatehound" in scope:
            await self.app(scope, receive, send)
            return
        request = ScopeRequest(scope)
        refusal = development_refusal(request, self.guard.settings, self.guard.resolver)
        if refusal is not None:
            await _refuse(request, scope, send, refusal)
            return
        passage = await self.guard.examine(request)
        scope["gatehound"] = Visit(self.guard, passage, _thread_runner())
        connection = _connect(self.guard, passage, scope, receive, send)
        response = _Response(self.guard, passage, connection)
        if passage.record is not None or request.websocket:
            receive = connection.receive
        try:
            await self.app(scope, receive, response.send)
        except BaseException as error:  # a cancelled request did not get its cookie either
            if not (await response.settle(error) or connection.excuses(error)):
                raise
        else:
            await response.settle(None)
        finally:
            await connection.leave()


class _Response:
    """The way back of one request: adds headers, and mends what the app let through."""

    def __init__(self, guard: Guard, passage: Passage, connection: Connection) -> None:
        self._guard = guard
        self._passage = passage
        self._connection = connection
        self._send = connection.send
        self._replaced = False

    async def send(self, message: Message) -> None:
        """Pass a message on; headers are added to the one that starts the response."""
        if self._replaced:
            return  # the rest of a 500 that became our own answer
        kind = message["type"]
        if kind == "http.response.start":
            message = await self._start(message, message["status"])
        elif kind in ("websocket.accept", "websocket.http.response.start"):
            message = await self._start(message, message.get("status", 101))
        if not self._replaced:
            await self._send(message)

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

    async def _start(self, message: Message, status: int) -> Message:
        passage = self._passage
        if status >= 500:
            await signin.undo_login(self._guard, passage)
            swallowed = status == 500 and message["type"] == "http.response.start"
            if passage.raised is not None and swallowed:
                await self._replace(passage.raised)
                return message
        if passage.is_pending and can_carry(status):
            await signin.complete(self._guard, passage)
        passage.started = True
        if not is_due(passage, status):
            return message
        lines: list[tuple[bytes, bytes]] = list(message.get("headers") or [])
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
        if isinstance(self._connection, WebsocketConnection):
            return await self._connection.deny(reply.status, _encoded(headers), reply.body)
        self._replaced = passage.started = True
        await _answer(self._send, reply, headers, passage.request)
        return True


class ScopeRequest(Request):
    """What an ASGI scope tells."""

    __slots__ = ("_headers", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._headers = scope["headers"]
        self.websocket = scope["type"] == "websocket"
        self.method = "GET" if self.websocket else scope["method"].upper()
        self.path = scope["path"]
        self.query = scope.get("query_string", b"").decode("latin-1")
        self.scheme = scope.get("scheme", "")
        cookies, self.host, self.agent = [], "", ""
        for name, value in self._headers:
            if name == b"cookie":
                cookies.append(value.decode("latin-1"))
            elif name == b"user-agent":
                text = value.decode("latin-1")
                self.agent = f"{self.agent},{text}" if self.agent else text  # as WSGI joins
            elif name == b"host":
                self.host = value.decode("latin-1")
        self.cookie = "; ".join(cookies)

    def header(self, name: str) -> str:
        """Return the value of a header, lines joined by ", "; "" when absent."""
        wanted = name.lower().encode("latin-1")
        return ", ".join(v.decode("latin-1") for k, v in self._headers if k == wanted)

    def locate(self, resolver: ClientIPResolver) -> ClientIP:
        """Ask the resolver for the client's address, unless ClientIPMiddleware applied it."""
        answer = known_answer(self._scope, resolver) or resolver.from_scope(self._scope)
        self._scope.setdefault(KEY, answer)
        return answer


def _thread_runner() -> Runner:
    """Make what `visit.sync` runs coroutines with: this loop, from a handler's thread."""
    loop = asyncio.get_running_loop()

    def run(coro: Coroutine[Any, Any, Any]) -> Any:
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

    return run


def _connect(
    guard: Guard, passage: Passage, scope: Scope, receive: Receive, send: Send
) -> WebsocketConnection | StreamConnection:
    if scope["type"] == "websocket":
        return WebsocketConnection(guard, passage, receive, send, can_deny=can_deny(scope))
    return StreamConnection(guard, passage, receive, send)


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


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]

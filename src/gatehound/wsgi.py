"""Guard a WSGI app: `GatehoundMiddleware(app, guard)`.

Belongs outermost, so that it sees every response and every exception. The app's iterable is
returned untouched, so that `wsgi.file_wrapper`, `close()` and streaming work as without it.
No event loop exists or is touched: the same coroutines as under ASGI run to their end in one
step (gatehound._sync), over a store that does not suspend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from gatehound import anonymous, signin
from gatehound._sync import run_sync
from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.again import from_environ, keys
from gatehound.clientip.current import KEY, known_answer
from gatehound.errors import GatehoundError, UsageError
from gatehound.guard import Guard
from gatehound.model import PURPOSES, Request
from gatehound.passage import Passage
from gatehound.settings import Settings
from gatehound.shortcut import Shortcut
from gatehound.stepup import STEP_UP, StepUp
from gatehound.visit import SyncVisit, Visit
from gatehound.web import gate, mounted
from gatehound.web.headers import can_carry, dress, is_due, says_nothing_of_caches
from gatehound.web.reply import reply_for

Environ: TypeAlias = MutableMapping[str, Any]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], Any]]
App: TypeAlias = Callable[[Any, Any], Iterable[bytes]]


# What a response gets that depends on the session and says nothing of caches itself.
_READ: Final = [("Cache-Control", "private"), ("Vary", "Cookie")]


class GatehoundMiddleware:
    """Put a SyncVisit into `environ["gatehound"]` of every request.

    Give a Guard, or `settings` (a Settings or a dict), or neither for the environment. A
    store that waits for an event loop is refused here, not at the first request.
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
        self.guard = (guard if guard is not None else Guard(settings)).blocking()
        self._gate = gate(self.guard)
        self._step_up = StepUp(self.guard)
        self._has_fresh_paths = self._step_up.has_fresh_paths
        self._divided = mounted(self.guard.settings, app, "wsgi")
        self._shortcut = Shortcut(self.guard, keys(self.guard.resolver), waits=False)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if "gatehound" in environ:
            return self.app(environ, start_response)
        request = EnvironRequest(environ)
        refusal = None if self._gate is None else self._gate(request)
        if refusal is not None:
            start_response(refusal.status_line, refusal.sized())
            return [refusal.body_for(request)]
        passage = self._let_through(request)
        if KEY not in environ:
            environ[KEY] = passage.client_ip
        visit = Visit(self.guard, passage)
        environ["gatehound"] = SyncVisit(visit, run_sync, self.guard, passage)
        response = _Response(self.guard, passage, start_response)
        try:
            if self._has_fresh_paths or passage.verdict.action is STEP_UP:
                self._step_up.demand(passage)  # answered as if the app had let it through
            body = (self._divided or self.app)(environ, response.start)
        except Exception as error:
            answer = response.settle(error)
            if answer is None:
                raise
            return answer
        return response.finish(body)

    def _let_through(self, request: EnvironRequest) -> Passage:
        shortcut = self._shortcut
        begun = shortcut.begin(request)
        if begun is None:
            return run_sync(shortcut.examine(request))
        replies = begun[5][1]
        return shortcut.finish(begun, replies) or run_sync(shortcut.go_on(begun, replies))


class _Response(msgspec.Struct, eq=False):
    """The way back of one request: adds headers, and mends what the app let through.

    A WSGI server sends headers with the first body byte: until then a second start_response
    with exc_info replaces the first (PEP 3333), and a login can still be undone.
    """

    _guard: Guard
    _passage: Passage
    _start: StartResponse
    _replaces: GatehoundError | None = None
    _has_returned: bool = False
    _has_written: bool = False
    _can_carry: bool = False

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], Any]:
        """Stand in for start_response, on every call: an app may call it again with exc_info."""
        passage, code = self._passage, int(status[:3])
        if code >= 500 and not self._has_written:
            run_sync(signin.undo_login(self._guard, passage))
        # The status line of a lazy app comes when we no longer choose the body: it stays.
        if code == 500 and passage.raised is not None and not self._has_returned:
            self._replaces = passage.raised
            return _discard
        self._can_carry = can_carry(code)
        if passage.rotation_due and self._can_carry:
            run_sync(signin.rotate_if_due(self._guard, passage))
        if self._has_returned:  # a lazy app: no later moment of its response passes here
            self._end_carried()
        if (passage.was_read and code == 200) or is_due(passage, code):
            if not passage.cookies and says_nothing_of_caches(headers):
                headers = [*headers, *_READ]
            else:
                headers = dress(passage, headers)
        start = self._start
        write = start(status, headers, exc_info) if exc_info else start(status, headers)
        passage.started = True

        def noting(data: bytes) -> Any:
            if not self._has_written:
                self._has_written = True
                self._end_carried()
            return write(data)

        return noting

    def _end_carried(self) -> None:
        """End the visitor's session that a login carried over, where this response stands."""
        if self._passage.carried is not None and self._can_carry:
            run_sync(anonymous.end_carried(self._guard, self._passage))

    def settle(self, error: Exception) -> Iterable[bytes] | None:
        """Clean up after an exception of the app; our answer where we have one."""
        passage = self._passage
        if self._has_written:
            return None
        run_sync(signin.undo_login(self._guard, passage))
        if passage.raised is None or error is not passage.raised:
            return None
        return self._replacement(passage.raised)

    def finish(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the app's own iterable, or our answer in its place."""
        self._has_returned = True
        if self._replaces is None:
            self._end_carried()
            return body
        close = getattr(body, "close", None)
        if close is not None:
            close()
        return self._replacement(self._replaces)

    def _replacement(self, error: GatehoundError) -> Iterable[bytes]:
        """Say ourselves what the app, or its framework, could only call an error."""
        passage = self._passage
        reply = reply_for(error, passage, self._guard.settings)
        headers = reply.sized()
        if passage.cookies:
            headers = dress(passage, headers)
        if passage.started:
            self._start(reply.status_line, headers, (type(error), error, error.__traceback__))
        else:
            self._start(reply.status_line, headers)
        passage.started = True
        return [reply.body_for(passage.request)]


class EnvironRequest(Request):
    """What a WSGI environ tells."""

    __slots__ = ("_environ", "line")

    commas = True
    gap, end = "; ", ";"

    def __init__(self, environ: Environ) -> None:
        # A copy: the environ will hold the Visit, which holds this, and what is a circle waits
        # for the garbage collector.
        self._environ = dict(environ)
        self.websocket = False
        self.method = environ["REQUEST_METHOD"].upper()
        # PEP 3333: text that holds bytes as Latin-1; the path itself is UTF-8.
        raw = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not raw.isascii():
            raw = raw.encode("latin-1", "replace").decode("utf-8", "replace")
        self.path = raw
        self.agent = environ.get("HTTP_USER_AGENT", "")
        self.cookie = self.line = environ.get("HTTP_COOKIE", "")

    @property
    def query(self) -> str:  # type: ignore[override] # asked for by few: read when it is
        """The raw query text."""
        text: str = self._environ.get("QUERY_STRING", "")
        return text

    @property
    def scheme(self) -> str:  # type: ignore[override] # as the query
        """What the server says of the connection."""
        text: str = self._environ.get("wsgi.url_scheme", "")
        return text

    @property
    def host(self) -> str:  # type: ignore[override] # as the query
        """The Host header as sent."""
        text: str = self._environ.get("HTTP_HOST", "")
        return text

    @property
    def root(self) -> str:
        """The script name, without a slash at its end."""
        raw: str = self._environ.get("SCRIPT_NAME", "").rstrip("/")
        return raw.encode("latin-1", "replace").decode("utf-8", "replace")

    @property
    def route(self) -> str:
        """The path info."""
        raw: str = self._environ.get("PATH_INFO", "")
        return raw.encode("latin-1", "replace").decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """Return the value of a header; "" when absent."""
        value: str = self._environ.get(environ_key(name), "")
        return value

    def lacks(self, names: tuple[str, ...]) -> bool:
        """True where none of these headers was sent, names in lower case."""
        return self._environ.keys().isdisjoint(environ_keys(names))

    def navigates(self) -> bool:
        """True where a browser follows a link, and says nothing of doing it ahead of time."""
        environ = self._environ
        if environ.get("HTTP_SEC_FETCH_MODE") != "navigate":
            return False
        return environ.keys().isdisjoint(_PURPOSES)

    def place(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """Return the agent, the peer and the lines of these headers.

        The agent alone where something before this knows the address.
        """
        environ = self._environ
        if KEY in environ:
            return (self.agent,)
        return (self.agent, environ.get("REMOTE_ADDR"), *map(environ.get, names))

    def locate(self, resolver: ClientIPResolver) -> ClientIP:
        """Ask the resolver for the client's address, unless ClientIPMiddleware applied it."""
        environ = self._environ
        answer = known_answer(environ, resolver) if KEY in environ else None
        return from_environ(resolver, environ) if answer is None else answer


@lru_cache(64)
def environ_keys(names: tuple[str, ...]) -> frozenset[str]:
    """Return names of headers as an environ holds them."""
    return frozenset(map(environ_key, names))


@lru_cache(256)
def environ_key(name: str) -> str:
    """Return the name of a header as an environ holds it (PEP 3333)."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


_PURPOSES: Final = environ_keys(PURPOSES)


def _discard(data: bytes) -> None:
    """The write() of a response that is not sent."""

"""Put the client's address into WSGI environs: `ClientIPMiddleware(app, resolver)`.

Belongs outermost, and alone: where the server or another middleware has rewritten REMOTE_ADDR
before (werkzeug's ProxyFix, gunicorn's PROXY protocol), this one takes a client for its peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, ParamSpec, TypeAlias, TypeVar

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.applied import (
    PEER_HOST,
    PEER_SCHEME,
    check_options,
    forwarding_names,
    sent_on,
)
from gatehound.clientip.current import CURRENT, KEY, REMOTE_ADDR, known_answer
from gatehound.clientip.resolver import ClientIPResolver

Environ: TypeAlias = MutableMapping[str, Any]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], Any]]
App: TypeAlias = Callable[[Any, Any], Iterable[bytes]]
P = ParamSpec("P")
R = TypeVar("R")


class ClientIPMiddleware:
    """Put a ClientIP into `environ["gatehound.client_ip"]` of every request.

    Wrapped twice, an answer that an outer one applied stays, and the inner one only applies
    and strips what it was told to.

    `apply`: the app finds the answer where it looks anyway. REMOTE_ADDR becomes the address;
    the original is at `environ["gatehound.remote_addr"]` (text or None). Unresolved it becomes
    "", never the proxy's address, which is often on an allow-list. REMOTE_PORT and REMOTE_HOST,
    which speak of the peer, are removed. Where the answer has them, `wsgi.url_scheme` and
    HTTP_HOST follow, with the originals at `gatehound.peer_scheme` and `gatehound.peer_host`.

    `strip`: the app finds no forwarding header (applied.FORWARDING, and any other that the
    resolver reads) but the part that trusted proxies wrote: of the headers that decided, the
    text from the client's own address on, joined by ", ". Behind an untrusted peer and where
    the answer is unresolved none is left. What did not decide goes too, X-Forwarded-Proto for
    one: an app that needs the scheme gets it from `apply`, and the resolver from
    `scheme_header`.

    The environ itself is changed, as PEP 3333 allows: a server that logs from it afterwards
    shows what the app saw. UsageError for a resolver that is none.

    Lists, tuples and files are returned as they are. Other bodies come back in an iterable of
    ours, so that a generator logs and limits in the name of its own request while the server
    reads from it.
    """

    def __init__(
        self, app: App, resolver: ClientIPResolver, *, apply: bool = False, strip: bool = False
    ) -> None:
        check_options(resolver, apply=apply, strip=strip)
        self.app = app
        self.resolver = resolver
        self._apply = apply
        self._strip = strip
        self._keys = frozenset(map(_key, forwarding_names(resolver)))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        answer = known_answer(environ, self.resolver) or self.resolver.from_environ(environ)
        if self._strip:
            _strip(environ, self._keys, answer)
        if self._apply:
            _apply(environ, answer)
        environ[KEY] = answer
        body = _told(answer, self.app, environ, start_response)
        return body if _is_passive(body, environ) else _Body(body, answer)


class _Body:
    """The app's body. Between two chunks, the thread that reads it may serve others."""

    __slots__ = ("_answer", "_body")

    def __init__(self, body: Iterable[bytes], answer: ClientIP) -> None:
        self._body = body
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        chunks = _told(self._answer, iter, self._body)
        while True:
            try:
                chunk = _told(self._answer, next, chunks)
            except StopIteration:
                return
            yield chunk

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            _told(self._answer, close)


def _told(answer: ClientIP, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call something of the app's while this request is the current one."""
    token = CURRENT.set(answer)
    try:
        return call(*args, **kwargs)
    finally:
        CURRENT.reset(token)


def _is_passive(body: object, environ: Environ) -> bool:
    """Tell whether no code of the app's runs while the server reads this.

    Servers know what their file wrapper made by its type, and send the file by sendfile().
    uwsgi's is a function that returns the file itself, which need not even be iterable.
    """
    if isinstance(body, (list, tuple)) or hasattr(body, "read") or hasattr(body, "filelike"):
        return True
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _strip(environ: Environ, keys: frozenset[str], answer: ClientIP) -> None:
    for key in keys.intersection(environ):
        del environ[key]
    for name, text in sent_on(answer):
        key = _key(name)
        environ[key] = f"{environ[key]}, {text}" if key in environ else text


def _apply(environ: Environ, answer: ClientIP) -> None:
    """Write the answer; an original that is there was kept by an outer middleware."""
    environ.setdefault(REMOTE_ADDR, environ.get("REMOTE_ADDR"))
    environ["REMOTE_ADDR"] = answer.text
    environ.pop("REMOTE_PORT", None)
    environ.pop("REMOTE_HOST", None)
    if answer.scheme is not None:
        environ.setdefault(PEER_SCHEME, environ.get("wsgi.url_scheme"))
        environ["wsgi.url_scheme"] = answer.scheme
    if answer.host is not None:
        environ.setdefault(PEER_HOST, environ.get("HTTP_HOST"))
        environ["HTTP_HOST"] = answer.host


def _key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"

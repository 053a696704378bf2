"""One request to our own pages, read alike out of a scope and out of an environ.

Rules
  1. A page acts on POST and DELETE alone, and only where the request came from this very site: by
     Sec-Fetch-Site where the browser sends it, else by Origin, else by the token of the form.
  2. A body is read up to MAX_BODY, and never for a request that has none.
  3. Links are relative to the request. So pages work below any prefix, and behind a proxy that
     strips one without a word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cached_property
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from gatehound.model import Request
from gatehound.visit import SyncVisit, Visit
from gatehound.web import path_in
from gatehound.web.origin import names_host

MAX_BODY: Final = 16 * 1024  # bytes; the longest form here has under 3,000
MAX_FIELDS: Final = 20
SAFE: Final = ("GET", "HEAD", "OPTIONS")

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Ask:
    """What a page is asked; `path` is below where the pages are, "" or with a slash first.

    `body` is b"" for a request that has none, and None where it is too long. `is_sync`: it came
    through WSGI.
    """

    def __init__(
        self,
        visit: Visit,
        path: str,
        query: str,
        body: bytes | None,
        raw: str,
        *,
        is_sync: bool = False,
    ) -> None:
        self.visit = visit
        self.is_sync = is_sync
        # A slash that was sent encoded is none for the browser, and links would lead elsewhere.
        self.is_ambiguous = "%2f" in raw.lower()
        self.request: Request = visit._passage.request
        self.path = path
        self.query = query
        self.body = body

    @property
    def root(self) -> str:
        """Leads from this URL to where the pages are, for links and redirects."""
        return "../" * (self.path.count("/") - 1) or "./"

    @property
    def above(self) -> str:
        """The path of the list of sessions, as the server sees it."""
        return f"{self.request.path.removesuffix(self.path)}/"

    @cached_property
    def form(self) -> Mapping[str, str]:
        """The fields of a form; empty where there is none, or it cannot be read."""
        return fields_in(self.body or b"")

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The fields of the query."""
        return fields_in(self.query.encode("latin-1", "replace"))

    @property
    def is_from_here(self) -> bool:
        """False for what another site made the browser send."""
        request = self.request
        if site := request.header("sec-fetch-site"):
            return site in ("same-origin", "none")  # none: by the person alone, as a reload is
        if not request.header("origin"):
            return True  # no browser of the last years: the token of the form decides
        return names_host(request, self.visit._guard.resolver)


def fields_in(data: bytes) -> dict[str, str]:
    """Read a form or a query; empty where it cannot be read."""
    try:
        return dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:  # too many, or no UTF-8
        return {}


async def from_scope(scope: Mapping[str, Any], receive: Receive, visit: Visit) -> Ask:
    """Read a request; one that is over before its body came is one without."""
    body: bytes | None = b""
    if scope["method"].upper() not in SAFE:
        body = await _received(receive)
    query = scope.get("query_string", b"").decode("latin-1")
    raw = scope.get("raw_path") or b""
    return Ask(visit, path_in(scope), query, body, raw.decode("latin-1"))


def from_environ(environ: Mapping[str, Any], visit: SyncVisit) -> Ask:
    """Read a request."""
    body: bytes | None = b""
    if environ["REQUEST_METHOD"].upper() not in SAFE:
        body = _read(environ)
    path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
    # Not in PEP 3333: gunicorn and werkzeug have one of them, uWSGI and mod_wsgi the other.
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    query = environ.get("QUERY_STRING", "")
    return Ask(visit._target, path, query, body, raw.partition("?")[0], is_sync=True)


async def _received(receive: Receive) -> bytes | None:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _read(environ: Mapping[str, Any]) -> bytes | None:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal()):
        return b""
    if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
        return None
    data: bytes = environ["wsgi.input"].read(int(length))
    return data

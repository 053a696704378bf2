"""What kind of request this is, and so whether a person was there.

Rules
  1. The class decides what extends the session, never what is seen: a new network or agent is
     judged whatever the class, or a header that the client writes could switch detection off.
  2. All of this is a claim. A thief who holds the cookie can send any header here; the absolute
     timeout, rotation and device binding bound what he gains by it.
  3. An unsafe method is never speculative or an asset: it changes something, whatever the
     headers say (RFC 9110 9.2.1 lists the safe methods).
  4. The order is: the app's callable, the app's header, prefetch, `action_paths`,
     `background_paths`, then what browsers send.

Limits, each ended by `header`, or by a callable where the client cannot be changed:
  - A GraphQL query and a mutation are both a POST to one path, and no header that is standard
    tells them apart: both count as ACTION. A persisted query that is sent by GET is a read.
  - An app whose pages change by fetch alone sends no navigation, and a native app none at all:
    its reads count as BACKGROUND, and who only reads idles out. No header tells such a read from
    a refresh that the system runs in a pocket. A reader who was signed out notices, and the app's
    own client can be told to say it; a session that never idles is noticed by a thief alone.
  - A writer whose editor autosaves and who saves nothing for a whole idle timeout is signed out.
    Where autosaves mean that somebody types, name them in `action_paths`.
  - A page that was prerendered and is then opened sends nothing more.
  - A page that reloads itself navigates: name it in `background_paths`.

Sources: Fetch Metadata (W3C, Sec-Fetch-*), the Fetch standard (Sec-Purpose), the documentation of
htmx and pjax for theirs, and what WordPress 6.1 and Chromium sent: tests/data/editor_session.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec

from gatehound.detection.pattern import matcher, pattern_problems
from gatehound.errors import SettingsError
from gatehound.model import PURPOSES, Activity, Request

Override: TypeAlias = Callable[[Request], Activity | None]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

# Sec-Fetch-Dest values of what a page loads by itself. `serviceworker` and `report` are the
# browser's own errands (BACKGROUND); documents and frames come with the mode `navigate`.
_ASSETS: Final = frozenset(
    {"audio", "audioworklet", "font", "image", "json", "manifest", "paintworklet", "script"}
    | {"sharedworker", "style", "text", "track", "video", "worker", "xslt"}
)
# A link or form that a script library follows for the person: the browser would have navigated.
_FOLLOWED: Final = ("hx-boosted", "hx-history-restore-request", "x-pjax")
_BY_SCRIPT: Final = ("hx-request", "service-worker")
_SENDER: Final = "x-requested-with"
# Nearly no request has any of these, and one look finds that out.
_TELLING: Final = (*PURPOSES, *_FOLLOWED, *_BY_SCRIPT, _SENDER)
# The browser's reports, where it sends no Sec-Fetch-Dest with them (CSP 3, Reporting API).
_REPORTS: Final = ("application/csp-report", "application/reports+json")
# WordPress without permalinks has the REST API at `/index.php?rest_route=/wp/v2/...`.
_REST_ROUTE: Final = re.compile(r"(?:^|&)rest_route=([^&]*)")
# Patterns take longer to match than everything else here; a method and path of a client's own
# making are bounded, and push out others.
_CACHED_PATHS: Final = 4096
_MAX_CACHED: Final = 256
# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_NAVIGATE: Final = Activity.NAVIGATE
_ACTION: Final = Activity.ACTION
_BACKGROUND: Final = Activity.BACKGROUND
_SPECULATIVE: Final = Activity.SPECULATIVE
_ASSET: Final = Activity.ASSET
_CLASSES: Final = {activity.value: activity for activity in Activity}
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")  # RFC 9110 5.6.2


class ActivitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests mean that a person is there. Patterns: see gatehound.detection.pattern.

    `background_paths` do not extend the idle timeout, whatever the method. `action_paths` do,
    even as a background GET. `header` names a request header in which the app's own client
    declares the class (navigate, action, background, speculative or asset); "" reads none.
    """

    background_paths: tuple[str, ...] = (
        # WordPress: heartbeat, autosave and plugins' polls share this one endpoint.
        "*/wp-admin/admin-ajax.php",
        "*/wp-cron.php",
        # The block editor autosaves every 60 s to .../posts/<id>/autosaves.
        "*/wp-json/*/autosaves*",
        # Editing together, from WordPress 7.0: a POST every second, in a hidden tab every 25 s.
        "*/wp-json/wp-sync/*",
        # Whole last segments that name nothing but a poll.
        "*/heartbeat",
        "*/heartbeat/",
        "*/keepalive",
        "*/keep-alive",
        # Long-polling transport of Socket.IO: its POSTs are sent by a timer too.
        "*/socket.io/",
    )
    action_paths: tuple[str, ...] = ()
    header: str = ""

    def problems(self) -> list[str]:
        """Say what is wrong, a line each; empty means usable."""
        lines = [
            *pattern_problems("activity.background_paths", self.background_paths),
            *pattern_problems("activity.action_paths", self.action_paths),
        ]
        if self.header and not _TOKEN.fullmatch(self.header):
            lines.append(
                f"activity.header: {self.header!r} was given; it is the name of one request "
                "header, such as 'X-Activity', or empty"
            )
        return lines


class Activities:
    """Classify requests by settings that were compiled at construction.

    `override` is the app's own rule: what it returns stands; None leaves the request to the
    other rules. What it raises comes through to the caller. SettingsError names every problem.
    """

    def __init__(
        self, settings: ActivitySettings | None = None, *, override: Override | None = None
    ) -> None:
        settings = ActivitySettings() if settings is None else settings
        if problems := settings.problems():
            raise SettingsError(problems)
        self._header = settings.header.lower()
        self._override = override
        self._may_declare = bool(self._header or override)
        self._is_action = matcher(settings.action_paths)
        self._is_background = matcher(settings.background_paths)
        self._named = lru_cache(_CACHED_PATHS)(self._by_path)
        self._led_to = lru_cache(_CACHED_PATHS)(self._by_link)

    def classify(self, request: Request) -> Activity:
        """Return the class of the request."""
        method, path = request.method, request.path
        if method == "GET" and not self._may_declare and request.navigates():
            return self._led_to(path) if len(path) <= _MAX_CACHED else self._by_link(path)
        safe = method in SAFE_METHODS
        if self._may_declare:
            declared = self._declared(request, safe)
            if declared is not None:
                return declared
        tells = safe and not request.lacks(_TELLING)
        if tells and _is_speculative(request):
            return _SPECULATIVE
        is_short = len(method) + len(path) <= _MAX_CACHED
        named = self._named(method, path) if is_short else self._by_path(method, path)
        if named is not None:
            return named
        if safe:
            return _read(request, tells=tells)
        return self._by_rest_route(request) or _write(request)

    def _by_path(self, method: str, path: str) -> Activity | None:
        if self._is_action(method, path):
            return _ACTION
        return _BACKGROUND if self._is_background(method, path) else None

    def _by_link(self, path: str) -> Activity:
        return self._by_path("GET", path) or _NAVIGATE

    def _by_rest_route(self, request: Request) -> Activity | None:
        """A write to WordPress goes by the path that it would have with permalinks."""
        query = request.query
        if "rest_route=" not in query or (found := _REST_ROUTE.search(query)) is None:
            return None
        return self._by_path(request.method, f"/wp-json{unquote(found[1])}")

    def _declared(self, request: Request, safe: bool) -> Activity | None:
        if self._override is not None and (activity := self._override(request)) is not None:
            return activity
        if not self._header:
            return None
        claimed = _CLASSES.get(request.header(self._header).strip().lower())
        if not safe and claimed in (_SPECULATIVE, _ASSET):
            return None
        return claimed


def _is_speculative(request: Request) -> bool:
    """Sec-Purpose is a list such as `prefetch;prerender`; the older headers say the same."""
    for name in PURPOSES:
        purpose = request.header(name)
        if purpose and ("prefetch" in purpose or "prerender" in purpose or purpose == "preview"):
            return True
    return False


def _write(request: Request) -> Activity:
    dest = request.header("sec-fetch-dest")
    if dest == "empty":
        # sendBeacon and <a ping>: told in passing, by a timer or a page that closes, and nobody
        # reads the answer. Forms navigate, and what a script saves for a person is not `no-cors`.
        return _BACKGROUND if request.header("sec-fetch-mode") == "no-cors" else _ACTION
    # Reports on CSP or crashes are POSTs of the browser: nobody pressed anything.
    if dest == "report" or (not dest and request.header("content-type").startswith(_REPORTS)):
        return _BACKGROUND
    return _ACTION


def _read(request: Request, *, tells: bool) -> Activity:
    if request.websocket or request.method in ("OPTIONS", "TRACE"):
        return _BACKGROUND
    mode = request.header("sec-fetch-mode")
    if mode == "navigate":
        return _NAVIGATE
    if tells and any(request.header(name) == "true" for name in _FOLLOWED):
        # htmx's preload extension sends what the link would send, and this.
        return _SPECULATIVE if request.header("hx-preloaded") == "true" else _NAVIGATE
    if mode:
        asset = request.header("sec-fetch-dest") in _ASSETS
        return _ASSET if asset else _BACKGROUND
    if tells and _is_by_script(request):
        return _BACKGROUND
    return _read_without_metadata(request)


def _read_without_metadata(request: Request) -> Activity:
    """Plain HTTP, older browsers, mobile apps and scripts send no Sec-Fetch headers."""
    accept = request.header("accept")
    if "text/html" in accept:
        return _NAVIGATE
    if accept.startswith(("image/", "text/css", "font/", "video/", "audio/")):
        return _ASSET
    return _BACKGROUND


def _is_by_script(request: Request) -> bool:
    """Android's WebView sends the app's name, such as `com.example.app`, with its pages too."""
    sender = request.header(_SENDER)
    return bool(sender and "." not in sender) or any(map(request.header, _BY_SCRIPT))

"""What browsers send: header names, their order and values, for each kind of request.

Chromium's were recorded (version 156, with and without device emulation); Firefox's and Safari's
follow their documented Fetch Metadata and Accept values. Names are lower case, as a server hands
them on. A Client is immutable and shared by all users who have the same browser.

Kept from the recordings: a service worker's own request carries no client hints and not the
agent text of an emulated device; emulation of a phone that has no hints sends none; media are
fetched by other programs on phones; a prefetch says so in Sec-Purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

Headers = list[tuple[bytes, bytes]]

CHROME, FIREFOX, SAFARI = 155, 151, 26  # major versions at the start of a run
_HOST: Final = "app.example"
_ORIGIN: Final = f"https://{_HOST}"

# kind: (method, path, Sec-Fetch-Mode, Sec-Fetch-Dest, Content-Type)
KINDS: Final[Mapping[str, tuple[str, str, str, str, str]]] = {
    "login": ("POST", "/login", "navigate", "document", "application/x-www-form-urlencoded"),
    "page": ("GET", "/orders", "navigate", "document", ""),
    "form": ("POST", "/orders/new", "navigate", "document", "application/x-www-form-urlencoded"),
    "fetch": ("GET", "/api/orders", "cors", "empty", ""),
    "save": ("POST", "/api/orders", "cors", "empty", "application/json"),
    "poll": ("GET", "/api/notifications", "cors", "empty", ""),
    "heartbeat": (
        *("POST", "/wp-admin/admin-ajax.php", "cors", "empty"),
        "application/x-www-form-urlencoded; charset=UTF-8",
    ),
    "editor": ("GET", "/wp-admin/post.php", "navigate", "document", ""),
    "autosave": (
        *("POST", "/wp-json/wp/v2/posts/7/autosaves", "cors", "empty", "application/json"),
    ),
    "upload": (
        *("POST", "/wp-json/wp/v2/media", "cors", "empty"),
        "multipart/form-data; boundary=----WebKitFormBoundaryOQPeu3UTkDhIZzeh",
    ),
    "image": ("GET", "/img/a.png", "no-cors", "image", ""),
    "script": ("GET", "/app.js", "no-cors", "script", ""),
    "style": ("GET", "/app.css", "no-cors", "style", ""),
    "media": ("GET", "/clip.mp4", "no-cors", "video", ""),
    "worker": ("GET", "/sw.js", "same-origin", "serviceworker", ""),
    "beacon": ("POST", "/beacon", "no-cors", "empty", "text/plain;charset=UTF-8"),
    "stream": ("GET", "/events", "cors", "empty", ""),
    "prefetch": ("GET", "/orders/2", "no-cors", "empty", ""),
    "prerender": ("GET", "/orders/3", "navigate", "document", ""),
}

_ACCEPT_PAGE: Final = {
    "chrome": (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/avif,image/webp,"
        "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
    ),
    "other": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
}
_ACCEPT: Final = {
    "image": "image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "style": "text/css,*/*;q=0.1",
    "stream": "text/event-stream",
    "heartbeat": "application/json, text/javascript, */*; q=0.01",
    "autosave": "application/json, */*;q=0.1",
}
_MEDIA_AGENTS: Final = {
    "Android": "stagefright/1.2 (Linux;Android 14)",
    "iOS": "AppleCoreMedia/1.0.0.23C55 (iPhone; U; CPU OS 26_2 like Mac OS X; en_us)",
}


@dataclass(frozen=True)
class Client:
    """One browser, or a program: `engine` is chrome, firefox, safari or script.

    `base` is the agent text of the browser beneath an emulated device, "" where there is none.
    """

    engine: str
    family: str
    system: str
    version: int
    agent: str
    language: str = "en-US"
    base: str = ""
    hints: bool = True
    requests: Mapping[str, tuple[str, str, Headers]] = field(
        init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        """Make the headers of every kind once."""
        made = {kind: (row[0], row[1], self._headers(kind)) for kind, row in KINDS.items()}
        object.__setattr__(self, "requests", made)

    @property
    def own_family(self) -> str:
        """The browser itself, whatever its developer tools pretend to be."""
        return "Edge" if "Edg/" in (self.base or self.agent) else self.family

    def is_like(self, other: Client) -> bool:
        """True for the same browser family on the same system."""
        return self.family == other.family and self.system == other.system

    def _headers(self, kind: str) -> Headers:
        if self.engine == "script":
            lines = [("host", _HOST), ("user-agent", self.agent), ("accept", "*/*")]
            if self.family != "curl":
                lines += [("accept-encoding", "gzip, deflate"), ("connection", "keep-alive")]
        elif self.engine == "chrome":
            lines = self._chrome(kind)
        else:
            lines = self._plain(kind)
        return [(name.encode(), value.encode()) for name, value in lines]

    def _chrome(self, kind: str) -> list[tuple[str, str]]:
        method, _, mode, dest, content = KINDS[kind]
        lines = [("host", _HOST)]
        if kind != "worker" and self.hints:
            phone = "?1" if self.system == "Android" else "?0"
            lines += [
                ("sec-ch-ua", brands(self.own_family, self.version)),
                ("sec-ch-ua-mobile", phone),
                ("sec-ch-ua-platform", f'"{self.system}"'),
            ]
        if mode == "navigate":
            lines.append(("upgrade-insecure-requests", "1"))
        lines += _purpose(kind) + _body(method, content)
        agent = self.base if kind == "worker" and self.base else self._agent(kind)
        lines += [("user-agent", agent), ("accept", self._accept(kind, mode))]
        if kind == "worker":
            lines.append(("service-worker", "script"))
        lines += _metadata(kind, mode, dest)
        lines.append(("accept-encoding", "gzip, deflate, br, zstd"))
        lines.append(("accept-language", f"{self.language},{self.language[:2]};q=0.9"))
        return lines

    def _plain(self, kind: str) -> list[tuple[str, str]]:
        method, _, mode, dest, content = KINDS[kind]
        is_firefox = self.engine == "firefox"
        quality = "0.5" if is_firefox else "0.9"
        lines = [
            ("host", _HOST),
            ("user-agent", self._agent(kind)),
            ("accept", self._accept(kind, mode)),
            ("accept-language", f"{self.language},{self.language[:2]};q={quality}"),
            ("accept-encoding", "gzip, deflate, br, zstd" if is_firefox else "gzip, deflate, br"),
        ]
        if kind == "worker":
            lines.append(("service-worker", "script"))
        if mode == "navigate" and is_firefox:
            lines.append(("upgrade-insecure-requests", "1"))
        lines += _purpose(kind) + _body(method, content) + _metadata(kind, mode, dest)
        lines.append(("priority", "u=0, i" if mode == "navigate" else "u=3, i"))
        return lines

    def _accept(self, kind: str, mode: str) -> str:
        if mode == "navigate" or kind == "prefetch":
            return _ACCEPT_PAGE["chrome" if self.engine == "chrome" else "other"]
        return _ACCEPT.get(kind, "*/*")

    def _agent(self, kind: str) -> str:
        if kind == "media" and self.system in _MEDIA_AGENTS and not self.base:
            return _MEDIA_AGENTS[self.system]
        return self.agent


def brands(family: str, version: int) -> str:
    """Return what Chromium says of itself in Sec-CH-UA."""
    name = {"Edge": "Microsoft Edge", "Chrome": "Google Chrome"}.get(family, "Google Chrome")
    return f'"Not:A-Brand";v="8", "Chromium";v="{version}", "{name}";v="{version}"'


def _purpose(kind: str) -> list[tuple[str, str]]:
    purposes = {"prefetch": "prefetch", "prerender": "prefetch;prerender"}
    return [("sec-purpose", purposes[kind])] if kind in purposes else []


def _body(method: str, content: str) -> list[tuple[str, str]]:
    if method != "POST":
        return []
    return [("content-length", "64"), ("content-type", content), ("origin", _ORIGIN)]


def _metadata(kind: str, mode: str, dest: str) -> list[tuple[str, str]]:
    lines = [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", mode),
        ("sec-fetch-dest", dest),
        ("referer", f"{_ORIGIN}/orders"),
    ]
    if mode == "navigate" and kind != "prerender":
        lines.append(("sec-fetch-user", "?1"))
    if kind == "heartbeat":
        lines.append(("x-requested-with", "XMLHttpRequest"))
    return lines


_CHROMIUM: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WEBKIT: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_CHROME_SYSTEMS: Final = {
    "Windows": "Windows NT 10.0; Win64; x64",
    "macOS": "Macintosh; Intel Mac OS X 10_15_7",
    "Linux": "X11; Linux x86_64",
    "Android": "Linux; Android 10; K",
}
_FIREFOX_SYSTEMS: Final = {
    "Windows": "Windows NT 10.0; Win64; x64",
    "macOS": "Macintosh; Intel Mac OS X 10.15",
    "Linux": "X11; Linux x86_64",
    "Android": "Android 15; Mobile",
}


@lru_cache(maxsize=4096)
def browser(family: str, system: str, version: int = 0, language: str = "en-US") -> Client:
    """Return the Client of a browser; version 0 is today's."""
    if family in ("Chrome", "Edge"):
        version = version or CHROME
        phone = "Mobile " if system == "Android" else ""
        agent = f"Mozilla/5.0 ({_CHROME_SYSTEMS[system]}) {_CHROMIUM} Chrome/{version}.0.0.0 "
        agent += f"{phone}Safari/537.36"
        if family == "Edge":
            agent += f" Edg/{version}.0.0.0"
        return Client("chrome", family, system, version, agent, language)
    if family == "Firefox":
        version = version or FIREFOX
        where = _FIREFOX_SYSTEMS[system]
        agent = f"Mozilla/5.0 ({where}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        return Client("firefox", family, system, version, agent, language)
    version = version or SAFARI
    if system == "iOS":
        where, tail = "iPhone; CPU iPhone OS 18_7 like Mac OS X", "Mobile/15E148 Safari/604.1"
    else:
        where, tail = _CHROME_SYSTEMS["macOS"], "Safari/605.1.15"
    agent = f"Mozilla/5.0 ({where}) {_WEBKIT} Version/{version}.2 {tail}"
    return Client("safari", "Safari", system, version, agent, language)


@lru_cache(maxsize=64)
def program(name: str) -> Client:
    """Return curl, python-requests, a headless browser or the Tor Browser."""
    if name == "headless":
        agent = f"Mozilla/5.0 (X11; Linux x86_64) {_CHROMIUM} HeadlessChrome/{CHROME}.0.0.0 "
        return Client("chrome", "HeadlessChrome", "Linux", CHROME, agent + "Safari/537.36")
    if name == "tor":  # the same text for everybody: that is its point
        return browser("Firefox", "Windows", 140)
    agent = {"curl": "curl/8.15.0", "requests": "python-requests/2.32.5"}[name]
    return Client("script", name, "", 0, agent)


@lru_cache(maxsize=8)
def app(system: str) -> tuple[Client, Client]:
    """Return the two clients of one mobile app: its web view, and the library of its own code."""
    if system == "Android":
        agent = f"Mozilla/5.0 (Linux; Android 15; Pixel 8 Build/BP1A; wv) {_CHROMIUM} "
        agent += f"Version/4.0 Chrome/{CHROME}.0.0.0 Mobile Safari/537.36"
        view = Client("chrome", "Chrome", system, CHROME, agent)
        return view, Client("script", "okhttp", system, 0, "okhttp/5.3.0")
    where = "iPhone; CPU iPhone OS 18_7 like Mac OS X"
    view = Client(
        "safari", "Safari", system, SAFARI, f"Mozilla/5.0 ({where}) {_WEBKIT} Mobile/15E148"
    )
    return view, Client(
        "script", "CFNetwork", system, 0, "Orders/51 CFNetwork/3860.200.71 Darwin/25.1.0"
    )


def updated(client: Client) -> Client:
    """Return the same browser a version later."""
    return browser(client.family, client.system, client.version + 1, client.language)


@lru_cache(maxsize=1024)
def emulated(client: Client, device: str) -> Client:
    """Return a Chromium browser whose developer tools pretend to be a phone.

    `device` is "Pixel" or "iPhone": for the latter no client hints are sent, as recorded.
    """
    if device == "iPhone":
        agent = (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_WEBKIT} "
            "Version/18.5 Mobile/15E148 Safari/604.1"
        )
        family, system, hints = "Safari", "iOS", False
    else:
        agent = f"Mozilla/5.0 (Linux; Android 13; Pixel 7) {_CHROMIUM} "
        agent += "Chrome/114.0.0.0 Mobile Safari/537.36"
        family, system, hints = "Chrome", "Android", True
    return Client(
        *("chrome", family, system, client.version, agent, client.language),
        base=client.agent,
        hints=hints,
    )


@lru_cache(maxsize=1024)
def stripped(client: Client, *, versions: int) -> Client:
    """Return an older release of the same browser that sends no client hints."""
    old = browser(client.family, client.system, client.version - versions, client.language)
    return Client(old.engine, old.family, old.system, old.version, old.agent, "en-US", hints=False)


@lru_cache(maxsize=1024)
def desktop_site(client: Client) -> Client:
    """Return a phone's browser that asks for the site as desktops get it."""
    if client.family == "Safari":
        return browser("Safari", "macOS", client.version, client.language)
    return browser(client.family, "Linux", client.version, client.language)

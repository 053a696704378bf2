"""What the people and thieves of `unseen` browse with, and the libraries of their scripts.

Texts and headers follow what each program is known to send; numbers of releases are guesses at the
time of a run. `clients` cannot make a later release of those that are made here, so that a device
keeps the one that it has: see `give`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from clients import CHROME, KINDS, SAFARI, Client, Headers, browser
from people import DESKTOPS, PHONES, Device, Person, Stay, add_device, use_app
from personas import is_phone
from places import COUNTRIES
from unseen_nets import LANDS

_CHROMIUM: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WEBKIT: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPHONE: Final = "iPhone; CPU iPhone OS 18_7 like Mac OS X"
_MOBILE: Final = "Mobile Safari/537.36"
_PHONE: Final = "Linux; Android 10; K"
_WINDOWS: Final = "Windows NT 10.0; Win64; x64"
_MODELS: Final = ("SM-A156M", "SM-A065F", "moto g24", "23106RN0DA", "CPH2631", "TECNO KL4")
_OWN_NAME: Final = re.compile(rb'"Google Chrome";v="\d+"')

Rows = Sequence[tuple[tuple[str, str], float]]
_APPS: Final = 0.12  # of the phones have the site's own app; a guess
_ORDINARY: Final = {name for name, _ in (*DESKTOPS, *PHONES)}  # those that `clients` makes

# --- who has which ---

_AFRICA: Final = ("KE", "NG", "ZA")  # where Opera is common on phones
_RICH: Final = ("CA", "SG", "US")
_OFFICES: Final[Rows] = (
    (("Chrome", "Windows"), 64),
    (("Edge", "Windows"), 13),
    (("Firefox", "Windows"), 6),
    (("Opera", "Windows"), 3),
    (("Brave", "Windows"), 1),
    (("Chrome", "Windows 7"), 1),
    (("Chrome", "macOS"), 5),
    (("Safari", "macOS"), 4),
    (("Chrome", "Linux"), 2),
    (("Firefox", "Linux"), 1),
)
_RICH_OFFICES: Final[Rows] = (
    (("Chrome", "Windows"), 37),
    (("Edge", "Windows"), 16),
    (("Firefox", "Windows"), 4),
    (("Brave", "Windows"), 1),
    (("Chrome", "macOS"), 16),
    (("Safari", "macOS"), 16),
    (("Firefox", "macOS"), 2),
    (("Chrome", "Chrome OS"), 6),
    (("Chrome", "Linux"), 2),
)


def desktops(country: str) -> Rows:
    """Return the shares of the browsers of computers."""
    return _RICH_OFFICES if country in _RICH else _OFFICES


def phones(country: str) -> Rows:
    """Return the shares of the browsers of phones."""
    apple = LANDS[country][2]
    other, opera = 100 - apple, 0.12 if country in _AFRICA else 0.03
    return (
        (("Safari", "iOS"), apple * 0.88),
        (("Chrome", "iOS"), apple * 0.12),
        (("Chrome", "Android"), other * (0.9 - opera)),
        (("Samsung", "Android"), other * 0.08),
        (("Opera", "Android"), other * opera),
        (("Firefox", "Android"), other * 0.02),
    )


def pick(rng: random.Random, rows: Rows) -> tuple[str, str]:
    """Choose the names of a browser and a system by their shares."""
    return rng.choices([name for name, _ in rows], [share for _, share in rows])[0]


def speaks(rng: random.Random, country: str) -> str:
    """Choose a language: that of the country, or the one that a device had when it was new."""
    return "en-US" if rng.random() < 0.2 else COUNTRIES[country].language


def give(person: Person, rows: Rows, share: float) -> Device:
    """Give the person one more device, with one of the browsers."""
    name = pick(person.rng, rows)
    device = add_device(person, made(*name, speaks(person.rng, person.country)), share)
    if name not in _ORDINARY:
        keep(device)
    return device


def keep(device: Device) -> None:
    """Let the device have its very client all week."""
    mine = device.client
    device.updates_at = float("inf")
    device.switches = lambda rng: mine


def a_phone(person: Person, share: float) -> None:
    """Give the person a phone, with a browser or with the site's own app."""
    device = give(person, phones(person.country), share)
    if person.rng.random() < _APPS:
        use_app(device)


def a_computer(person: Person, share: float) -> None:
    """Give the person a computer."""
    give(person, desktops(person.country), share)


def outfit(person: Person, *, first: str = "phone", second: float = 0.5) -> None:
    """Give the person a phone or a computer, and perhaps the other one as well."""
    has_both = person.rng.random() < second
    makes = (a_phone, a_computer) if first == "phone" else (a_computer, a_phone)
    makes[0](person, 0.65 if has_both else 1.0)
    if has_both:
        makes[1](person, 0.35)


def dealt(person: Person, phone: list[Stay], computer: list[Stay]) -> list[list[Stay]]:
    """Return where each device is, if all phones are in one place and all computers as well."""
    return [phone if is_phone(one) else computer for one in person.devices]


# --- browsers ---


@dataclass(frozen=True)
class Branded(Client):
    """Chromium under another name: `brand` stands in the hints where Chrome's name would."""

    brand: str = ""

    def _headers(self, kind: str) -> Headers:
        own = self.brand.encode()
        return [(name, _OWN_NAME.sub(own, text)) for name, text in super()._headers(kind)]


@lru_cache(maxsize=512)
def made(family: str, system: str, language: str) -> Client:
    """Return a browser of today, of those of `clients` or of this file."""
    special = _SPECIAL.get((family, system))
    return browser(family, system, 0, language) if special is None else _special(*special, language)


# (name, system): (engine, family, system, release, what the text has, the brand of its hints)
_Special = tuple[str, str, str, int, str, str]
_SPECIAL: Final[Mapping[tuple[str, str], _Special]] = {
    ("Samsung", "Android"): (
        *("chrome", "Samsung Internet", "Android", CHROME - 11),
        f"({_PHONE}) {_CHROMIUM} SamsungBrowser/31.0 Chrome/{CHROME - 11}.0.0.0 {_MOBILE}",
        '"Samsung Internet";v="31.0"',
    ),
    ("Opera", "Android"): (
        *("chrome", "Opera", "Android", CHROME - 2),
        f"({_PHONE}) {_CHROMIUM} Chrome/{CHROME - 2}.0.0.0 {_MOBILE} OPR/98.0.0.0",
        '"Opera";v="98"',
    ),
    ("Opera", "Windows"): (
        *("chrome", "Opera", "Windows", CHROME - 2),
        f"({_WINDOWS}) {_CHROMIUM} Chrome/{CHROME - 2}.0.0.0 Safari/537.36 OPR/139.0.0.0",
        '"Opera";v="139"',
    ),
    # Brave has the text of Chrome, and says who it is in the hints alone.
    ("Brave", "Windows"): (
        *("chrome", "Chrome", "Windows", CHROME),
        f"({_WINDOWS}) {_CHROMIUM} Chrome/{CHROME}.0.0.0 Safari/537.36",
        f'"Brave";v="{CHROME}"',
    ),
    ("Chrome", "Chrome OS"): (
        *("chrome", "Chrome", "Chrome OS", CHROME),
        f"(X11; CrOS x86_64 14541.0.0) {_CHROMIUM} Chrome/{CHROME}.0.0.0 Safari/537.36",
        "",
    ),
    # The last one for Windows 7, of January 2023.
    ("Chrome", "Windows 7"): (
        *("chrome", "Chrome", "Windows", 109),
        f"(Windows NT 6.1; Win64; x64) {_CHROMIUM} Chrome/109.0.0.0 Safari/537.36",
        "",
    ),
    # On iPhones it has Safari's engine.
    ("Chrome", "iOS"): (
        *("safari", "Chrome", "iOS", CHROME),
        f"({_IPHONE}) {_WEBKIT} CriOS/{CHROME}.0.0.0 Mobile/15E148 Safari/604.1",
        "",
    ),
}


def _special(
    engine: str, family: str, system: str, version: int, text: str, brand: str, language: str
) -> Client:
    agent = f"Mozilla/5.0 {text}"
    if not brand:
        return Client(engine, family, system, version, agent, language)
    return Branded(engine, family, system, version, agent, language, brand=brand)


@lru_cache(maxsize=512)
def _view(program: str, system: str, model: str, language: str) -> Client:
    if system == "iOS":
        tail = {"Facebook": "[FBAN/FBIOS;FBAV/530.0.0.41.72;FBDV/iPhone15,4]"}.get(
            program, f"{program} 405.0.0.27.80 (iPhone15,4; iOS 18_7)"
        )
        agent = f"Mozilla/5.0 ({_IPHONE}) {_WEBKIT} Mobile/15E148 {tail}"
        return Client("safari", "Safari", "iOS", SAFARI, agent, language)
    tail = {"Facebook": "[FB_IAB/FB4A;FBAV/530.0.0.48.74;]"}.get(
        program, f"{program} 405.0.0.30.90 Android"
    )
    where = f"Linux; Android 14; {model} Build/UP1A.231005.007; wv"
    agent = f"Mozilla/5.0 ({where}) {_CHROMIUM} Version/4.0 Chrome/{CHROME}.0.0.0 "
    agent += f"{_MOBILE} {tail}"
    brand = f'"Android WebView";v="{CHROME}"'
    return Branded("chrome", "Chrome", "Android", CHROME, agent, language, brand=brand)


def view_on(rng: random.Random, phone: Client) -> Client:
    """Return the view of an app on the phone, which shows the pages that somebody linked to."""
    program = rng.choices(("Instagram", "Facebook"), (60, 40))[0]
    return _view(program, phone.system, rng.choice(_MODELS), phone.language)


# --- scripts ---

# name: (its own agent text, its header lines in their order; the agent's has none here)
_Lines = tuple[tuple[str, str], ...]
_HOST: Final = ("host", "app.example")
_AGENT: Final = ("user-agent", "")
_ANY: Final = ("accept", "*/*")
_ALIVE: Final = ("connection", "keep-alive")
_PACKED: Final = ("accept-encoding", "gzip, deflate")
_TEXTS: Final[Mapping[str, str]] = {
    "curl": "curl/8.17.0",
    "requests": "python-requests/2.32.5",
    "aiohttp": "Python/3.13 aiohttp/3.13.2",
    "go": "Go-http-client/2.0",
    "axios": "axios/1.13.2",
    "fetch": "node",
    "dart": "Dart/3.10 (dart:io)",
    "guzzle": "GuzzleHttp/7",
    "powershell": "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.26100",
}
_LINES: Final[Mapping[str, _Lines]] = {
    "curl": (_HOST, _AGENT, _ANY),
    "requests": (_HOST, _AGENT, _PACKED, _ANY, _ALIVE),
    "aiohttp": (_HOST, _ANY, _PACKED, _AGENT),
    "go": (_HOST, _AGENT, ("accept-encoding", "gzip")),
    "axios": (
        *(_HOST, ("accept", "application/json, text/plain, */*"), _AGENT),
        *(("accept-encoding", "gzip, compress, deflate, br"), _ALIVE),
    ),
    "fetch": (
        *(_HOST, _ALIVE, _ANY, ("accept-language", "*"), ("sec-fetch-mode", "cors")),
        *(_AGENT, _PACKED),
    ),
    "dart": (_AGENT, ("accept-encoding", "gzip"), _HOST),
    "guzzle": (_HOST, _AGENT),
    "powershell": (_AGENT, _HOST, _ALIVE),
}


@dataclass(frozen=True)
class Library(Client):
    """A library or a tool: it sends the `lines` of its own, and the agent text among them."""

    lines: _Lines = ()

    def _headers(self, kind: str) -> Headers:
        method, content = KINDS[kind][0], KINDS[kind][4]
        sent = [(name, self.agent if name == "user-agent" else text) for name, text in self.lines]
        if method == "POST":
            sent += [("content-length", "64"), ("content-type", content)]
        return [(name.encode(), text.encode()) for name, text in sent]


@lru_cache(maxsize=512)
def library(name: str, agent: str = "") -> Client:
    """Return a library, with its own agent text or with another one that it was given."""
    return Library("script", name, "", 0, agent or _TEXTS[name], lines=_LINES[name])


@dataclass(frozen=True)
class Impersonator(Client):
    """A library that sends all that a browser sends for a page, whatever it asks for.

    curl-impersonate does so, and says each time that somebody has typed the address.
    """

    def _headers(self, kind: str) -> Headers:
        lines = [one for one in super()._headers("page") if one[0] != b"referer"]
        lines = [(name, b"none" if name == b"sec-fetch-site" else text) for name, text in lines]
        if KINDS[kind][0] == "POST":
            lines += [(b"content-length", b"64"), (b"content-type", KINDS[kind][4].encode())]
        return lines


@lru_cache(maxsize=64)
def impersonating(family: str, system: str, version: int) -> Client:
    """Return a library that impersonates the browser."""
    one = browser(family, system, version)
    return Impersonator(one.engine, family, system, version, one.agent)

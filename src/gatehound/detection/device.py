"""What a User-Agent claims about browser and device, and its digest.

The header is the client's word: good enough for a label and for telling an honest browser's
change, worthless against somebody who copies it. Parsing is left to user-agents, which tries the
patterns of ua-parser with Python's `re`; texts are clipped, and what was parsed is remembered.
Without that extra only digests count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, Final

from msgspec.structs import replace

from gatehound.model import Device

MAX_AGENT: Final = 512  # characters; stores keep 512 bytes
DIGEST_BYTES: Final = 6  # what the stored record has room for; a change goes unseen in 2**-48
OTHER: Final = "Other"  # ua-parser's word for a text that it does not know

CHROMIUM: Final = "Chromium"
# Whatever they are called, they send Sec-CH-UA and ask for signed exchanges.
CHROMIUMS: Final = frozenset(
    {
        "Chromium",
        "Chrome",
        "Edge",
        "Opera",
        "Brave",
        "Samsung Internet",
        "Vivaldi",
        "Yandex Browser",
    }
)
_BRANDS: Final = {"Chrome": "Google Chrome", "Edge": "Microsoft Edge"}  # as in Sec-CH-UA
_EXCHANGE: Final = "application/signed-exchange"
_DESKTOP_SITES: Final = frozenset({frozenset({"Android", "Linux"}), frozenset({"iOS", "macOS"})})
PHONES: Final = frozenset({"Android", "iOS"})
_CACHED_AGENTS: Final = 2048  # a parse tries hundreds of patterns
_MAX_NAME: Final = 40

# One browser has several names in ua-parser; a phone that asks for the desktop site, or a page
# that is opened in a web view, is still the same browser.
_FAMILIES: Final = {
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Edge Mobile": "Edge",
    "Opera Mobile": "Opera",
}
_SYSTEMS: Final = {
    "Mac OS X": "macOS",
    "Ubuntu": "Linux",
    "Debian": "Linux",
    "Fedora": "Linux",
    "Red Hat": "Linux",
    "SUSE": "Linux",
    "Mint": "Linux",
    "Other": "",
}
_HANDHELDS: Final = frozenset({"iPhone", "iPad", "iPod"})

# What every browser in use has in its text, and players and download managers have not. The family
# alone does not tell them apart: ua-parser takes AppleCoreMedia on a phone for Safari, and
# stagefright for the browser of Android.
_BROWSERS: Final = re.compile(r"(?:mozilla|opera|ucweb)/", re.IGNORECASE)

# Programs that a person does not browse with. HTTP libraries of mobile apps (okhttp, CFNetwork,
# Dart) are left out: an app and its web view may share one session.
_SCRIPTS: Final = re.compile(
    r"(?:aria2|axios|bun|curl|deno|faraday|fasthttp|go-http-client|go-resty|got|guzzlehttp|"
    r"http\.rb|httpie|hyper|insomnia|java|jakarta|apache-httpclient|libcurl|libwww-perl|lwp|lua|"
    r"mechanize|node|node-fetch|php|postmanruntime|python|python-[a-z]+|python requests|reqwest|"
    r"rest-client|restsharp|ruby|scrapy|symfony|typhoeus|undici|urllib|wget|winhttp|xh)"
    r"(?=[/ ;(]|$)"
    r"|.*(?:headlesschrome|phantomjs|windowspowershell|aiohttp/|python-requests)",
    re.IGNORECASE | re.DOTALL,
)


# An app's own code and its web view send different texts in one session: okhttp and Dart, CFNetwork
# and Alamofire beside `; wv)` on Android (Google's documentation of WebView), and on iOS a WebKit
# that does not say Safari.
_APPS: Final = re.compile(
    r"(?:okhttp|dalvik|dart|ktor|cronet)(?=[/ ;(]|$)|.*(?: cfnetwork/| alamofire/|; wv\))"
    r"|mozilla/5\.0 \(ip(?:hone|ad|od)(?!.*\bsafari/)",
    re.IGNORECASE | re.DOTALL,
)


def digest(agent: str) -> bytes:
    """Return 6 bytes that stand for the first 512 characters of the text."""
    return _digest(agent[:MAX_AGENT])


def describe(agent: str) -> Device:
    """Return what the text claims; never raises.

    Without the extra `useragent` the family is "" and the label "Unknown device". With it an
    unknown text has the family "Other". An empty text, which no browser sends, is a script.
    """
    return _describe(agent[:MAX_AGENT])


def unmasked(device: Device, hints: str, accept: str) -> Device:
    """Return the device with its family put right where Chromium plays another browser.

    `hints` is Sec-CH-UA and `accept` the Accept header. The developer tools of Chromium change the
    User-Agent, and neither the names in Sec-CH-UA nor what a page load accepts; an emulated iPhone
    sends no Sec-CH-UA. Which of Chromium's browsers it is, such a request does not always say.
    """
    if not device.family or device.is_script:
        return device
    if device.family in CHROMIUMS:
        brand = _BRANDS.get(device.family, device.family)
        return replace(device, family=CHROMIUM) if hints and brand not in hints else device
    if _EXCHANGE not in accept and '"Chromium"' not in hints:
        return device
    return replace(device, family=CHROMIUM, version=())


def is_same_family(one: str, other: str) -> bool:
    """True for one browser family, and for any of Chromium's where it was not told which."""
    if one == other:
        return True
    return CHROMIUM in (one, other) and {one, other} <= CHROMIUMS


def is_desktop_site(one: str, other: str) -> bool:
    """True for the two systems that a phone has before and after "request desktop site"."""
    return frozenset((one, other)) in _DESKTOP_SITES


def is_tablet(agent: str) -> bool:
    """True for the text of a tablet that says so: a phone's has "Mobile" in it, or "iPhone"."""
    return "iPad" in agent or ("Android" in agent and "Mobile" not in agent)


def may_browse(agent: str, device: Device) -> bool:
    """True unless the text is of no browser we know, such as a media player's.

    Without a parser the text has to do without the family.
    """
    return device.family != OTHER and _BROWSERS.search(agent) is not None


# Clipped before they are keys: a cache of 8 KiB headers would hold 16 MiB.
@lru_cache(maxsize=_CACHED_AGENTS)
def _digest(agent: str) -> bytes:
    return blake2b(agent.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


@lru_cache(maxsize=_CACHED_AGENTS)
def claimed(agent: str, hints: str, accept: str) -> Device:
    """Return what a request says of its browser, worked out once; bound the texts before."""
    return unmasked(describe(agent), hints, accept)


@lru_cache(maxsize=_CACHED_AGENTS)
def _describe(agent: str) -> Device:
    is_script = not agent.strip() or _SCRIPTS.match(agent) is not None
    is_app = not is_script and _APPS.match(agent) is not None
    parse = _parser()
    if parse is None:
        return Device(is_script=is_script, is_app=is_app)
    try:
        return replace(_device(parse(agent), is_script), is_app=is_app)
    except Exception:  # a text that the parser trips over is an unknown one
        return Device(family=OTHER, is_script=is_script, is_app=is_app)


@cache
def _parser() -> Callable[[str], Any] | None:
    """Import the parser once: it is slow to load, and the core does without it."""
    try:
        from user_agents import parse
    except ImportError:
        return None
    parser: Callable[[str], Any] = parse
    return parser


def _device(found: Any, is_script: bool) -> Device:
    family = _name(found.browser.family)
    family = _FAMILIES.get(family, family) or OTHER
    system = _name(found.os.family)
    system = _SYSTEMS.get(system, system)
    is_script = is_script or bool(found.is_bot)
    return Device(
        label=_label(family, system, _name(found.device.family), is_script),
        family=family,
        version=_version(found.browser.version),
        os=system,
        is_mobile=bool(found.is_mobile or found.is_tablet),
        is_script=is_script,
    )


def _label(family: str, system: str, device: str, is_script: bool) -> str:
    if is_script:
        return "Script" if family == OTHER else family
    where = device if device in _HANDHELDS else system
    if family == OTHER:
        return f"Unknown browser on {where}" if where else Device().label
    return f"{family} on {where}" if where else family


def _name(value: object) -> str:
    """Printable ASCII, clipped: parts of it are the client's own text."""
    kept = "".join(char for char in str(value or "") if " " <= char <= "~")
    return kept[:_MAX_NAME].strip()


def _version(value: object) -> tuple[int, ...]:
    """Major and minor: from there on browsers send zeros or differ from request to request."""
    numbers = value if isinstance(value, tuple) else ()
    kept = [part for part in numbers[:2] if isinstance(part, int) and 0 <= part < 1 << 31]
    return tuple(kept)

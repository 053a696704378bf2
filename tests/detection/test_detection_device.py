"""What is read from a User-Agent, and what happens without the parser."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import detection_kit as kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.detection import describe, device, digest
from gatehound.model import Device

LABELS = [
    (kit.CHROME_WINDOWS, "Chrome on Windows", "Chrome", "Windows", (130, 0), False),
    (kit.EDGE_WINDOWS, "Edge on Windows", "Edge", "Windows", (130, 0), False),
    (kit.CHROME_ANDROID, "Chrome on Android", "Chrome", "Android", (130, 0), True),
    (kit.WEBVIEW_ANDROID, "Chrome on Android", "Chrome", "Android", (130, 0), True),
    (kit.CHROME_IPHONE, "Chrome on iPhone", "Chrome", "iOS", (130, 0), True),
    (kit.SAFARI_IPHONE, "Safari on iPhone", "Safari", "iOS", (17, 5), True),
    (kit.SAFARI_IPAD, "Safari on iPad", "Safari", "iOS", (17, 5), True),
    (kit.SAFARI_MAC, "Safari on macOS", "Safari", "macOS", (17, 5), False),
    (kit.FIREFOX_LINUX, "Firefox on Linux", "Firefox", "Linux", (131, 0), False),
    (kit.FIREFOX_UBUNTU, "Firefox on Linux", "Firefox", "Linux", (131, 0), False),
]


@pytest.mark.parametrize(
    ("agent", "label", "family", "system", "version", "mobile"),
    LABELS,
    ids=lambda one: str(one)[:30],
)
def test_browsers(
    agent: str, label: str, family: str, system: str, version: tuple[int, ...], mobile: bool
) -> None:
    is_app = agent == kit.WEBVIEW_ANDROID
    assert describe(agent) == Device(label, family, version, system, mobile, False, is_app)


@pytest.mark.parametrize(
    ("agent", "is_app"),
    [
        ("okhttp/5.3.0", True),
        ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A)", True),
        ("Orders/51 CFNetwork/3860.200.71 Darwin/25.1.0", True),
        ("Orders/1.0 (com.example.orders; build:1; iOS 17.5.0) Alamofire/5.9.1", True),
        ("Dart/3.4 (dart:io)", True),
        (kit.WEBVIEW_ANDROID, True),
        (kit.SAFARI_IPHONE.partition(" Version")[0] + " Mobile/15E148", True),  # a web view
        (kit.SAFARI_IPHONE, False),
        (kit.CHROME_IPHONE, False),
        (kit.CHROME_ANDROID, False),
        (kit.CURL, False),
        ("", False),
    ],
)
def test_an_app_is_told_by_its_library_and_by_its_web_view(agent: str, is_app: bool) -> None:
    assert describe(agent).is_app is is_app


SCRIPTS = """
curl/8.5.0
Wget/1.21.4
python-requests/2.31.0
python-httpx/0.27.0
Python-urllib/3.11
Python/3.11 aiohttp/3.9.1
Go-http-client/2.0
node
node-fetch/1.0 (+https://github.com/bitinn/node-fetch)
axios/1.6.2
undici
Java/17.0.1
Apache-HttpClient/4.5.13 (Java/17.0.1)
libwww-perl/6.67
Ruby
PostmanRuntime/7.36.0
HTTPie/3.2.2
Scrapy/2.11.0 (+https://scrapy.org)
GuzzleHttp/7
reqwest/0.11
Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.963
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36
Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
""".strip().splitlines()


@pytest.mark.parametrize("agent", [*SCRIPTS, "", "  "])
def test_scripts(agent: str) -> None:
    assert describe(agent).is_script


@pytest.mark.parametrize(
    "agent",
    [
        *(row[0] for row in LABELS),
        kit.EXOPLAYER,
        "okhttp/4.12.0",
        "MyBank/5.1 CFNetwork/1408 Darwin/22.5.0",
        "Gotham/1.0",
        "Nodex",
        "Javanese/1",
    ],
)
def test_not_scripts(agent: str) -> None:
    assert not describe(agent).is_script


@pytest.mark.parametrize("agent", [row[0] for row in LABELS])
def test_browsers_are_told_from_players(agent: str) -> None:
    assert device.may_browse(agent, describe(agent))
    assert device.may_browse(agent, Device())


@pytest.mark.parametrize("agent", [*kit.PLAYERS, "gibberish"])
def test_players_are_told_from_browsers(agent: str) -> None:
    assert not device.may_browse(agent, describe(agent))
    assert not describe(agent).is_script


def test_labels_of_scripts_and_unknown_texts() -> None:
    assert describe("curl/8.5.0").label == "curl"
    assert describe("python-httpx/0.27.0").label == "Script"
    assert describe("gibberish") == Device(family="Other")
    assert describe("Frobnicator (X11; Linux)").label == "Unknown browser on Linux"
    assert describe("Mozilla/5.0 Firefox/131.0").label == "Firefox"


@pytest.mark.slow
@kit.FIXED
@given(st.text(max_size=700) | st.binary(max_size=700).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_described(agent: str) -> None:
    """Oracle: no exception, bounded printable output. Says nothing of what is recognised."""
    found = describe(agent)
    assert found.label.isascii()
    assert found.label.isprintable()
    assert len(found.label) < 100
    assert len(found.version) <= 2
    assert len(digest(agent)) == device.DIGEST_BYTES


def test_only_the_first_512_characters_count() -> None:
    assert digest("a" * 512 + "b") == digest("a" * 600)
    assert digest("a" * 511 + "b") != digest("a" * 512)
    assert describe(" " * 512 + "curl/8") == describe(" " * 512)


def test_digest_takes_lone_surrogates() -> None:
    assert digest("\ud800") != digest("\ud801")


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    def clear() -> None:
        device._parser.cache_clear()
        device._describe.cache_clear()

    clear()
    yield
    clear()


@pytest.mark.usefixtures("fresh_caches")
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "user_agents", None)
    assert describe(kit.CHROME_WINDOWS) == Device()
    assert describe(kit.CURL) == Device(is_script=True)


@pytest.mark.usefixtures("fresh_caches")
def test_a_parser_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_agent: str) -> None:
        raise RecursionError

    monkeypatch.setattr(device, "_parser", lambda: broken)
    assert describe(kit.CHROME_WINDOWS) == Device(family="Other")


@pytest.mark.usefixtures("fresh_caches")
def test_a_parser_that_returns_odd_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    class Part:
        family = "Chrome"
        version = ("130", -1)

    class Found:
        browser = os = device = Part
        is_bot = is_mobile = is_tablet = False

    monkeypatch.setattr(device, "_parser", lambda: lambda _agent: Found)
    assert describe("x").version == ()

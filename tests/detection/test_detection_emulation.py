"""Browsers that play others, phones that ask for the desktop site, and apps of several texts.

N32, N33, N34. What a thief gains by looking like one of them is the other side of each table.
"""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, CELL, ISP, NOW, Story, codes, detection, observe
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.detection import AgentChange, Known, describe, digest
from gatehound.detection.device import (
    CHROMIUM,
    CHROMIUMS,
    is_desktop_site,
    is_same_family,
    is_tablet,
    unmasked,
)
from gatehound.detection.evidence import Evidence, read
from gatehound.model import Device, Network, NetworkKind

CHROME_PAGE = "text/html,application/xhtml+xml,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FETCH = "*/*"
CHROME = '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"'
EDGE = '"Chromium";v="130", "Microsoft Edge";v="130", "Not?A_Brand";v="99"'
BRAVE = '"Brave";v="130", "Chromium";v="130", "Not?A_Brand";v="99"'


def known(first: str, network: Network = ISP) -> Known:
    """A session that this browser used on this network."""
    evidence = Evidence()
    evidence.learn(network, describe(first), digest(first), NOW)
    return evidence.known()


def changed(
    now: str, first: str = kit.CHROME_WINDOWS, *, network: Network = ISP, **headers: str
) -> dict[str, float]:
    """What is found where this text comes after another, and what each finding is worth."""
    request = kit.FakeRequest(agent=now, headers=headers)
    seen = observe(now, request=request, known=known(first), network=network)
    return {one.code: round(one.weight, 2) for one in AgentChange().inspect(seen)}


# --- which browser it is ---


@pytest.mark.parametrize(
    ("case", "agent", "hints", "accept", "family"),
    [
        ("Chrome as it is", kit.CHROME_WINDOWS, CHROME, CHROME_PAGE, "Chrome"),
        ("and where it sends no hints", kit.CHROME_WINDOWS, "", CHROME_PAGE, "Chrome"),
        ("Edge as it is", kit.EDGE_WINDOWS, EDGE, CHROME_PAGE, "Edge"),
        ("Edge plays Chrome", kit.CHROME_WINDOWS, EDGE, CHROME_PAGE, CHROMIUM),
        ("Chrome plays Edge", kit.EDGE_WINDOWS, CHROME, CHROME_PAGE, CHROMIUM),
        ("Brave says Chrome in its text", kit.CHROME_WINDOWS, BRAVE, CHROME_PAGE, CHROMIUM),
        ("Safari as it is", kit.SAFARI_IPHONE, "", PAGE, "Safari"),
        ("Firefox as it is", kit.FIREFOX_LINUX, "", PAGE, "Firefox"),
        ("Chromium plays an iPhone on a page", kit.SAFARI_IPHONE, "", CHROME_PAGE, CHROMIUM),
        ("and elsewhere nothing tells", kit.SAFARI_IPHONE, "", FETCH, "Safari"),
        ("Chromium plays Firefox", kit.FIREFOX_LINUX, CHROME, FETCH, CHROMIUM),
        ("hints that name no Chromium", kit.SAFARI_IPHONE, '"Safari";v="17"', PAGE, "Safari"),
        ("a text nobody knows", "gibberish", "", CHROME_PAGE, CHROMIUM),
        ("a program with headers of a browser", kit.CURL, CHROME, CHROME_PAGE, "curl"),
    ],
)
def test_unmasked(case: str, agent: str, hints: str, accept: str, family: str) -> None:
    device = describe(agent)
    found = unmasked(device, hints, accept)
    assert found.family == family, case
    assert replace(found, family=device.family, version=device.version) == device, case
    # Another browser's version says nothing of this one's.
    was_other = family == CHROMIUM and device.family not in CHROMIUMS
    assert found.version == (() if was_other else device.version)


def test_without_the_parser_nothing_is_unmasked() -> None:
    assert unmasked(Device(), CHROME, CHROME_PAGE) == Device()


@kit.FIXED
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from([*kit.PLAYERS, kit.SAFARI_MAC]))
def test_headers_make_nothing_but_chromium(hints: str, accept: str, agent: str) -> None:
    """Oracle: the family is the text's own or Chromium, and all else is as it was."""
    device = describe(agent)
    found = unmasked(device, hints, accept)
    assert found.family in (device.family, CHROMIUM)
    assert (found.os, found.label, found.is_script) == (device.os, device.label, device.is_script)


@pytest.mark.parametrize("family", sorted(CHROMIUMS))
def test_chromium_may_be_any_of_them_and_they_are_not_one(family: str) -> None:
    assert is_same_family(CHROMIUM, family)
    assert is_same_family(family, CHROMIUM)
    for other in (*CHROMIUMS - {family, CHROMIUM}, "Safari", "Firefox", "Other", ""):
        assert is_same_family(family, other) is (family == CHROMIUM and other in CHROMIUMS)


# --- N33: an iphone, played by developer tools ---


@pytest.mark.parametrize(
    ("case", "agent", "first", "accept", "network", "expected"),
    [
        ("what it fetches does not tell", kit.SAFARI_IPHONE, kit.CHROME_WINDOWS, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.0}),
        ("nor does no header at all", kit.SAFARI_IPHONE, kit.CHROME_WINDOWS, "", ISP,
         {"os_changed": 2.25, "browser_changed": 2.0}),
        ("an iPad is one too", kit.SAFARI_IPAD, kit.EDGE_WINDOWS, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.0}),
        ("a page tells that it is none", kit.SAFARI_IPHONE, kit.CHROME_WINDOWS, PAGE, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
        ("a page tells that it is one", kit.SAFARI_IPHONE, kit.CHROME_WINDOWS, CHROME_PAGE, ISP,
         {"os_changed": 2.25}),
        ("elsewhere", kit.SAFARI_IPHONE, kit.CHROME_WINDOWS, FETCH, CELL,
         {"os_changed": 4.5, "browser_changed": 4.0}),
        ("a session of Firefox", kit.SAFARI_IPHONE, kit.FIREFOX_LINUX, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
        ("Safari on a Mac", kit.SAFARI_MAC, kit.CHROME_WINDOWS, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
        ("Chrome on an iPhone", kit.CHROME_IPHONE, kit.EDGE_WINDOWS, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
        ("Firefox", kit.FIREFOX_LINUX, kit.CHROME_WINDOWS, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
        ("a player on a phone", kit.PLAYERS[2], kit.CHROME_WINDOWS, FETCH, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
    ],
)  # fmt: skip
def test_n33_an_iphone_that_may_be_played(
    case: str, agent: str, first: str, accept: str, network: Network, expected: dict[str, float]
) -> None:
    assert changed(agent, first, network=network, Accept=accept) == expected, case


def steps(story: Story, accept: str, *, count: int = 1, network: Network = ISP) -> Any:
    """Let an iPhone's text use the session so often; return the last judgement."""
    request = kit.FakeRequest(agent=kit.SAFARI_IPHONE, headers={"Accept": accept})
    return [story.step(network, kit.SAFARI_IPHONE, request=request) for _ in range(count)][-1]


def test_n33_what_may_be_played_is_neither_kept_nor_learned() -> None:
    story = Story(detection())
    story.step()
    before = read(story.memory)[0].agents.keys()
    for _ in range(20):
        judged = steps(story, FETCH)
        assert codes(judged) == ["os_changed", "browser_changed"]
        assert (judged.flag, judged.keep_pair) == (None, False)
    assert read(story.memory)[0].agents.keys() == before
    assert read(story.user_memory)[0].agents.keys() == before


def test_a27_an_iphone_is_flagged_with_its_first_page_however_much_it_fetched() -> None:
    story = Story(detection())
    story.step()
    steps(story, FETCH, count=20)
    judged = steps(story, PAGE)
    assert (judged.flag, judged.keep_pair) == (True, True)


def test_an_iphone_from_elsewhere_is_flagged_by_what_it_fetches() -> None:
    story = Story(detection())
    story.step()
    judged = steps(story, FETCH, network=CELL)
    assert (judged.flag, judged.keep_pair) == (True, False)


def test_an_iphone_that_is_known_is_kept_whatever_it_fetches() -> None:
    """A user proved both browsers: nothing of either is new."""
    story = Story(detection())
    story.step()
    device = describe(kit.SAFARI_IPHONE)
    story.memory, story.user_memory = story.detection.confirm(
        story.memory,
        story.user_memory,
        network=ISP,
        device=device,
        now=story.now,
        agent=kit.SAFARI_IPHONE,
    )
    judged = steps(story, FETCH)
    assert (codes(judged), judged.keep_pair) == ([], True)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mobile", {"os_changed": 4.5, "browser_changed": 4.0}),
        ("relay", {"os_changed": 4.5, "browser_changed": 4.0}),
        ("vpn", {"os_changed": 4.5, "browser_changed": 4.0}),
        ("tor", {"os_changed": 4.5, "browser_changed": 4.0}),
        ("proxy", {"os_changed": 2.25, "browser_changed": 2.4}),
        ("isp", {"os_changed": 2.25, "browser_changed": 2.4}),
        ("business", {"os_changed": 2.25, "browser_changed": 2.4}),
    ],
)
def test_the_known_address_of_a_gateway_of_many_is_nobodys_own(
    kind: NetworkKind, expected: dict[str, float]
) -> None:
    there = replace(ISP, kind=kind)
    request = kit.FakeRequest(agent=kit.FIREFOX_LINUX)
    before = known(kit.CHROME_WINDOWS, there)
    seen = observe(kit.FIREFOX_LINUX, request=request, known=before, network=there)
    assert {one.code: round(one.weight, 2) for one in AgentChange().inspect(seen)} == expected


# --- N32: the desktop site ---


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [
        ("iPhone", "Mac", {"os_changed": 2.25}),
        ("Windows", "Android", {"os_changed": 4.5}),
        ("Windows", "Firefox", {"os_changed": 4.5, "browser_changed": 4.0}),
    ],
)
def test_a_known_provider_alone_makes_nobody_the_same(
    first: str, now: str, expected: dict[str, float]
) -> None:
    """A thief's phone is behind the same gateway; a phone's desktop site is another matter."""
    texts = {
        "iPhone": kit.SAFARI_IPHONE,
        "Mac": kit.SAFARI_MAC,
        "Windows": kit.CHROME_WINDOWS,
        "Android": kit.CHROME_ANDROID,
        "Firefox": kit.FIREFOX_LINUX,
    }
    assert changed(texts[now], texts[first], network=kit.ISP_OTHER) == expected


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("iOS", "macOS", True),
        ("Android", "Linux", True),
        ("iOS", "Linux", False),
        ("Android", "Windows", False),
        ("Android", "iOS", False),
        ("iOS", "iOS", False),
        ("", "Linux", False),
    ],
)
def test_desktop_sites(one: str, other: str, is_one: bool) -> None:
    assert is_desktop_site(one, other) is is_desktop_site(other, one) is is_one


@pytest.mark.parametrize(
    ("kind", "is_mild"),
    [
        ("mobile", True),
        ("relay", True),
        ("business", True),
        ("isp", False),  # the home line of somebody else
        ("", False),
        ("hosting", False),
        ("proxy", False),
        ("vpn", False),
        ("tor", False),
    ],
)
@pytest.mark.parametrize("network", [CELL, AMERICA])
def test_n32_a_phone_asks_for_the_desktop_site_on_its_way(
    network: Network, kind: NetworkKind, is_mild: bool
) -> None:
    away = replace(network, kind=kind)
    points = 2.25 if is_mild else 4.5
    assert changed(kit.SAFARI_MAC, kit.SAFARI_IPHONE, network=away) == {"os_changed": points}
    # A tablet begins with the desktop site, and gives it up in a narrow window.
    assert changed(kit.SAFARI_IPAD, kit.SAFARI_MAC, network=away) == {"os_changed": points}
    assert changed(kit.SAFARI_IPHONE, kit.SAFARI_MAC, network=away) == {"os_changed": 4.5}
    # Other systems are no phone's own, and neither is another browser.
    assert changed(kit.CHROME_WINDOWS, kit.CHROME_ANDROID, network=away) == {"os_changed": 4.5}
    firefox = changed(kit.FIREFOX_LINUX, kit.CHROME_ANDROID, network=away)
    assert firefox == {"os_changed": 4.5, "browser_changed": 4.0}


ANDROID_TABLET = kit.CHROME_ANDROID.replace(" Mobile", "")
CHROME_LINUX = kit.CHROME_WINDOWS.replace("Windows NT 10.0; Win64; x64", "X11; Linux x86_64")


@pytest.mark.parametrize(
    ("kind", "from_a_phone", "to_a_phone", "to_a_tablet"),
    [
        ("mobile", 2.25, 4.5, 2.25),
        ("business", 2.25, 4.5, 2.25),
        ("", 2.25, 4.5, 2.25),  # nobody says that it is a line
        ("isp", 4.5, 4.5, 2.25),  # another home line of the same provider
    ],
)
def test_n32_at_a_known_provider(
    kind: NetworkKind, from_a_phone: float, to_a_phone: float, to_a_tablet: float
) -> None:
    """An iPhone after a Mac, at the same provider, is no phone that changes its mind."""
    near = replace(kit.ISP_OTHER, kind=kind)
    for mac, phone, tablet in (
        (kit.SAFARI_MAC, kit.SAFARI_IPHONE, kit.SAFARI_IPAD),
        (CHROME_LINUX, kit.CHROME_ANDROID, ANDROID_TABLET),
    ):
        assert changed(mac, phone, network=near) == {"os_changed": from_a_phone}
        assert changed(phone, mac, network=near) == {"os_changed": to_a_phone}
        assert changed(tablet, mac, network=near) == {"os_changed": to_a_tablet}
    # On the session's own network each of them may be the same phone.
    assert changed(kit.SAFARI_IPHONE, kit.SAFARI_MAC) == {"os_changed": 2.25}


def test_n32_the_desktop_site_is_of_the_same_browser() -> None:
    """Who asks for it does not update the browser in the same moment."""
    newer = CHROME_LINUX.replace("Chrome/130", "Chrome/131")
    near = replace(kit.ISP_OTHER, kind="mobile")
    assert newer != CHROME_LINUX
    assert changed(newer, kit.CHROME_ANDROID, network=near) == {"os_changed": 4.5}
    assert changed(newer, kit.CHROME_ANDROID) == {"os_changed": 2.25}


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (kit.SAFARI_IPAD, True),
        (ANDROID_TABLET, True),
        (kit.SAFARI_IPHONE, False),
        (kit.CHROME_ANDROID, False),
        (kit.SAFARI_MAC, False),
        ("", False),
    ],
)
def test_tablets(agent: str, expected: bool) -> None:
    assert is_tablet(agent) is expected


# --- N34: apps ---

OKHTTP, DART = "okhttp/5.3.0", "Dart/3.4 (dart:io)"
DALVIK = "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A)"
NATIVE_IOS = "Orders/51 CFNetwork/3860.200.71 Darwin/25.1.0"
WEBVIEW_IOS = kit.SAFARI_IPHONE.partition(" Version")[0] + " Mobile/15E148"


@pytest.mark.parametrize("network", [ISP, CELL, AMERICA])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OKHTTP, kit.WEBVIEW_ANDROID),
        (DART, kit.WEBVIEW_ANDROID),
        (DALVIK, kit.WEBVIEW_ANDROID),
        (OKHTTP, DALVIK),
        (NATIVE_IOS, WEBVIEW_IOS),
        (DART, WEBVIEW_IOS),  # the library runs on both, and does not name its system
    ],
)
def test_n34_the_web_view_and_the_library_of_an_app_are_one(
    one: str, other: str, network: Network
) -> None:
    assert changed(one, other, network=network) == changed(other, one, network=network) == {}


@pytest.mark.parametrize(
    ("case", "now", "first"),
    [
        ("web views of two systems", WEBVIEW_IOS, kit.WEBVIEW_ANDROID),
        ("libraries of two systems", NATIVE_IOS, DALVIK),
        ("an app, then a browser", kit.FIREFOX_LINUX, kit.WEBVIEW_ANDROID),
        ("a browser, then an app", OKHTTP, kit.CHROME_WINDOWS),
        ("a browser, then the app of another phone", NATIVE_IOS, kit.CHROME_ANDROID),
    ],
)
def test_two_systems_or_a_browser_are_not_one_app(case: str, now: str, first: str) -> None:
    found = changed(now, first, network=AMERICA)
    assert sum(found.values()) >= 4.0, case
    assert found.keys() <= {"os_changed", "browser_changed"}

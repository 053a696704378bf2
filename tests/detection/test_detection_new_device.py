"""A login on a device that did not bring its cookie, by the rows of the catalogue.

N numbers are normal behaviours, A numbers attacks. Weights are compared with the default policy:
record 1.0, flag 4.5, step-up 6.5.
"""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, CELL, DAY, FRANCE, ISP, ISP_OTHER, V6, V6_NEAR, observe
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound._sync import run_sync
from gatehound.detection import Detection, Known, KnownAgent, KnownNetwork, describe, digest
from gatehound.detection.detectors.new_device import KINDS, NewDevice
from gatehound.detection.evidence import Evidence
from gatehound.model import Network, Signal

RECORD, FLAG, STEP_UP = 1.0, 4.5, 6.5
NEAR_HOME = replace(CELL, prefix="198.51.101.0/24", asn=64496)
NEW = "Signed in on a new device"
NEW_NETWORK = f"{NEW}, on a network that is new to your account"
NEW_COUNTRY = f"{NEW}, in a country that is new to your account"


def kind(network: Network, name: Any) -> Network:
    return replace(network, kind=name)


def bare(network: Network) -> Network:
    return replace(network, asn=0, country="", continent="")


def known(*networks: Network, agents: tuple[str, ...] = (kit.CHROME_WINDOWS,)) -> Known:
    """What a user has learned of these networks and agents, as the evidence keeps it."""
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", kit.NOW)
    for agent in agents:
        evidence.learn(Network(), describe(agent), digest(agent), kit.NOW)
    return evidence.known()


HOME = known(ISP)


def login(network: Network, agent: str = kit.SAFARI_IPHONE, **changes: Any) -> list[Signal]:
    fields: dict[str, Any] = {"is_login": True, "user_known": HOME, **changes}
    return NewDevice().inspect(observe(agent, network=network, **fields))


@pytest.mark.parametrize(
    ("case", "network", "agent", "user", "weight", "reason"),
    [
        # --- what people do every day ---
        ("cleared cookies at home", ISP, kit.CHROME_WINDOWS, HOME, 0.0, ""),
        ("N29 and the browser is newer now", ISP, kit.CHROME_WINDOWS_131, HOME, 0.0, ""),
        ("N6 the provider gave another prefix", NEAR_HOME, kit.CHROME_WINDOWS, HOME, 0.0, ""),
        ("a new phone at home", ISP, kit.SAFARI_IPHONE, HOME, 0.5, NEW),
        ("N5 at home, another /64", V6_NEAR, kit.SAFARI_IPHONE, known(V6), 0.5, NEW),
        ("N13 another prefix of the office", ISP_OTHER, kit.SAFARI_IPHONE, HOME, 0.5, NEW),
        ("a new phone on cellular", CELL, kit.SAFARI_IPHONE, HOME, 1.0, NEW_NETWORK),
        ("a private window in a café", CELL, kit.CHROME_WINDOWS, HOME, 1.0, NEW_NETWORK),
        ("N10 Private Relay", kind(CELL, "relay"), kit.SAFARI_IPHONE, HOME, 0.5, NEW),
        ("N11 relay turned on", kind(CELL, "relay"), kit.CHROME_WINDOWS, HOME, 0.0, ""),
        ("N14 gateway of a company", kind(CELL, "proxy"), kit.CHROME_WINDOWS, HOME, 2.0,
         f"{NEW_NETWORK}, through a proxy"),
        ("N16 a VPN in the country", kind(CELL, "vpn"), kit.CHROME_WINDOWS, HOME, 2.0,
         f"{NEW_NETWORK}, through a VPN"),
        ("N17 a VPN exit abroad, VPN known", kind(AMERICA, "vpn"), kit.CHROME_WINDOWS,
         known(ISP, kind(FRANCE, "vpn")), 1.0, NEW_NETWORK),
        ("N18 Tor by choice", kind(FRANCE, "tor"), kit.FIREFOX_LINUX,
         known(ISP, kind(AMERICA, "tor")), 1.0, NEW_NETWORK),
        ("N19 a traveller with a new phone", FRANCE, kit.SAFARI_IPHONE, HOME, 3.2,
         f"{NEW_COUNTRY} (FR)"),
        ("N24 a database update moves home", replace(ISP, country="AT", build=8),
         kit.CHROME_WINDOWS, HOME, 0.0, ""),
        ("N24 and another prefix of it", replace(ISP_OTHER, country="AT", build=8),
         kit.CHROME_WINDOWS, HOME, 0.0, ""),
        ("N46 an API client at home", ISP, kit.CURL, HOME, 0.5, NEW),
        ("N46 one that has been there", ISP, kit.CURL, known(ISP, agents=(kit.CURL,)), 0.0, ""),
        ("N49 N53 hosting that the user knows", kind(FRANCE, "hosting"), kit.CHROME_WINDOWS,
         known(ISP, kind(FRANCE, "hosting")), 0.0, ""),
        ("N53 and a new browser there", kind(FRANCE, "hosting"), kit.FIREFOX_LINUX,
         known(ISP, kind(FRANCE, "hosting")), 0.5, NEW),
        # --- what thieves do ---
        ("A2 residential, far", AMERICA, kit.CHROME_WINDOWS, HOME, 3.2, f"{NEW_COUNTRY} (US)"),
        ("A4 residential, in the country", CELL, kit.CHROME_ANDROID, HOME, 1.0, NEW_NETWORK),
        ("A8 Tor, never used", kind(FRANCE, "tor"), kit.FIREFOX_LINUX, HOME, 6.6,
         f"{NEW_COUNTRY} (FR), through the Tor network"),
        ("A8 an exit in the country", kind(CELL, "tor"), kit.FIREFOX_LINUX, HOME, 4.4,
         f"{NEW_NETWORK}, through the Tor network"),
        ("A9 a phishing proxy abroad", kind(AMERICA, "hosting"), kit.CHROME_WINDOWS, HOME, 6.6,
         f"{NEW_COUNTRY} (US), from a hosting provider"),
        ("A9 in the country", kind(CELL, "hosting"), kit.CHROME_WINDOWS, HOME, 4.4,
         f"{NEW_NETWORK}, from a hosting provider"),
        ("A9 where the user has other hosting", kind(AMERICA, "hosting"), kit.CHROME_WINDOWS,
         known(ISP, kind(FRANCE, "hosting")), 6.6, f"{NEW_COUNTRY} (US), from a hosting provider"),
        ("A14 A15 a VPN abroad", kind(FRANCE, "vpn"), kit.CHROME_WINDOWS, HOME, 4.2,
         f"{NEW_COUNTRY} (FR), through a VPN"),
        ("A14 a program, whatever it calls itself", kind(AMERICA, "hosting"), kit.CURL, HOME, 6.6,
         f"{NEW_COUNTRY} (US), from a hosting provider"),
        ("A relay keeps the country", kind(AMERICA, "relay"), kit.SAFARI_IPHONE, HOME, 3.2,
         f"{NEW_COUNTRY} (US)"),
        # --- little to compare with ---
        ("no database", bare(CELL), kit.CHROME_WINDOWS, known(bare(ISP)), 1.0, NEW_NETWORK),
        ("no database, at home", bare(ISP), kit.SAFARI_IPHONE, known(bare(ISP)), 0.5, NEW),
        ("a database added since", FRANCE, kit.CHROME_WINDOWS, known(bare(ISP)), 1.0, NEW_NETWORK),
        ("a list and no database", kind(bare(CELL), "tor"), kit.CHROME_WINDOWS, known(bare(ISP)),
         4.4, f"{NEW_NETWORK}, through the Tor network"),
        ("not resolved", Network(), kit.SAFARI_IPHONE, HOME, 0.5, NEW),
        ("not resolved, known browser", Network(), kit.CHROME_WINDOWS, HOME, 0.0, ""),
        ("never resolved before", FRANCE, kit.CHROME_WINDOWS, known(), 0.0, ""),
    ],
)  # fmt: skip
def test_a_login_without_the_cookie(
    case: str, network: Network, agent: str, user: Known, weight: float, reason: str
) -> None:
    found = login(network, agent, user_known=user)
    expected = [("signed_in_on_new_device", weight, reason)] if weight else []
    assert [(one.code, round(one.weight, 2), one.reason) for one in found] == expected, case


def test_the_rungs_that_the_sums_reach() -> None:
    def weight(network: Network) -> float:
        return login(network)[0].weight

    assert weight(ISP) < RECORD <= weight(CELL)  # a new phone at home is daily life
    assert RECORD <= weight(FRANCE) < FLAG  # travellers are told, and not suspected
    for name in ("hosting", "tor"):
        assert weight(kind(CELL, name)) < FLAG
        assert weight(kind(FRANCE, name)) >= STEP_UP


@pytest.mark.parametrize("network", [ISP, kind(AMERICA, "tor"), kind(AMERICA, "hosting")])
def test_nothing_is_said_of_a_known_device_nor_outside_a_login(network: Network) -> None:
    assert login(network, known_device=True) == []
    assert login(network, is_login=False) == []


def test_a_user_without_a_history_is_compared_with_nothing() -> None:
    assert login(kind(AMERICA, "tor"), user_known=Known()) == []
    agents = Known(agents=(KnownAgent("", "", (), b"x" * 6),))
    assert [one.weight for one in login(AMERICA, user_known=agents)] == [0.5]
    networks = Known(networks=(KnownNetwork(64496),))
    assert [one.weight for one in login(AMERICA, user_known=networks)] == [0.5]


def test_detail_says_what_was_compared() -> None:
    (found,) = login(kind(FRANCE, "vpn"), kit.CHROME_WINDOWS)
    assert found.detail == {
        "country": "FR",
        "asn": 64498,
        "kind": "vpn",
        "country_is_new": True,
        "agent_is_known": True,
    }


def test_no_reason_is_cut_off() -> None:
    """What is remembered of a signal has 160 characters."""
    longest = max((login(kind(FRANCE, name))[0].reason for name in KINDS), key=len)
    assert 60 < len(longest) < 160


def judged(detection: Detection, user_memory: bytes, after: float, **changes: Any) -> Any:
    fields: dict[str, Any] = {"is_login": True, "now": kit.NOW + after, **changes}
    seen = observe(fields.pop("agent", kit.CHROME_WINDOWS), **fields)
    return run_sync(detection.judge(seen, user_memory=user_memory))


def test_what_a_login_teaches_is_familiar_after_a_day() -> None:
    detection = kit.detection(detectors=[NewDevice()])
    first = judged(detection, b"", 0)
    assert first.fresh == ()
    same_day = judged(detection, first.user_memory, DAY - 1, network=FRANCE)
    assert same_day.fresh == ()  # nothing is settled to compare with
    abroad = judged(detection, first.user_memory, DAY, network=FRANCE)
    assert [round(one.weight, 2) for one in abroad.fresh] == [3.2]
    again = judged(detection, abroad.user_memory, DAY + 60, network=FRANCE)
    assert [round(one.weight, 2) for one in again.fresh] == [3.2]
    settled = judged(detection, abroad.user_memory, 2 * DAY, network=FRANCE)
    assert settled.fresh == ()


def test_history_is_not_poisoned_by_a_flagged_login() -> None:
    """A21: a thief who signs in day after day stays as new as on the first."""
    detection = kit.detection(detectors=[NewDevice()])
    memory = judged(detection, b"", 0).user_memory
    for day in range(1, 5):
        thief = judged(detection, memory, day * DAY, network=kind(AMERICA, "hosting"))
        assert (thief.flag, round(thief.verdict.score, 1)) == (True, 6.6)
        memory = thief.user_memory


NETWORKS = (
    ISP, ISP_OTHER, CELL, FRANCE, AMERICA, V6, V6_NEAR, NEAR_HOME, bare(ISP), bare(AMERICA),
    Network(),
)  # fmt: skip
KIND_NAMES = ("", "isp", "mobile", "business", "hosting", "relay", "proxy", "vpn", "tor")
AGENTS = (kit.CHROME_WINDOWS, kit.SAFARI_IPHONE, kit.CURL, "", *kit.PLAYERS)


@kit.FIXED
@given(
    st.sampled_from(NETWORKS),
    st.sampled_from(KIND_NAMES),
    st.sampled_from(AGENTS),
    st.lists(st.sampled_from(NETWORKS), max_size=3),
    st.lists(st.sampled_from(AGENTS), max_size=2),
)
def test_what_the_user_has_done_before_is_never_new(
    network: Network, name: str, agent: str, before: list[Network], agents: list[str]
) -> None:
    here = kind(network, name)
    found = login(here, agent, user_known=known(*before, agents=tuple(agents)))
    assert len(found) <= 1
    assert all(0 < one.weight <= 6.61 for one in found)
    if agents:
        knows = known(*before, here, agents=(*agents, agent))
        assert login(here, agent, user_known=knows) == []

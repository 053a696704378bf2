"""Two parties take turns with one session: A24, and those who work over two lines at once."""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import CELL, DAY, FRANCE, ISP, ISP_OTHER, NOW, Story, codes, detection, observe
from msgspec.structs import replace

from gatehound.detection import Interleaving, Known, describe, digest
from gatehound.detection.detectors.interleaving import ALTERNATIONS, BROWSERS, NETWORKS
from gatehound.detection.evidence import Evidence
from gatehound.model import Action, Activity, Network, NetworkKind, Signal

HOME = replace(ISP, kind="isp")
OTHER = replace(CELL, kind="isp")  # A4: a home line of another provider in the country


def known(*networks: Network, agents: tuple[str, ...] = (kit.CHROME_WINDOWS,)) -> Known:
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", NOW)
    for agent in agents:
        evidence.learn(Network(), describe(agent), digest(agent), NOW)
    return evidence.known()


def found(
    here: Network = OTHER,
    there: Network = HOME,
    *,
    alternations: int = ALTERNATIONS,
    agent: str = kit.CHROME_WINDOWS,
    before: str = kit.CHROME_WINDOWS,
    **changes: Any,
) -> list[str]:
    """What is found where a session comes `here` from `there`, and what each is worth."""
    fields = {
        "network": here,
        "previous": there,
        "alternations": alternations,
        "previous_agent": digest(before),
        "known": known(here, there, agents=(before, agent)),
        "is_new_context": False,
        **changes,
    }
    signals = Interleaving().inspect(observe(agent, **fields))
    worth = {"networks_interleaved": NETWORKS, "browsers_interleaved": BROWSERS}
    assert all(one.weight == worth[one.code] and one.reason for one in signals)
    return [one.code for one in signals]


@pytest.mark.parametrize("alternations", range(6))
def test_three_alternations_are_worth_a_word(alternations: int) -> None:
    is_found = alternations >= 3
    assert found(alternations=alternations) == ["networks_interleaved"] * is_found
    other = found(HOME, HOME, alternations=alternations, agent=kit.FIREFOX_LINUX)
    assert other == ["browsers_interleaved"] * is_found


def test_both_together() -> None:
    assert found(agent=kit.FIREFOX_LINUX) == ["networks_interleaved", "browsers_interleaved"]


# --- lines ---


@pytest.mark.parametrize(
    ("kind", "is_fixed"),
    [
        ("isp", True),
        ("business", True),
        ("hosting", True),
        ("", False),
        ("mobile", False),
        ("relay", False),
        ("proxy", False),
        ("vpn", False),
        ("tor", False),
    ],
)
def test_only_lines_that_do_not_move(kind: NetworkKind, is_fixed: bool) -> None:
    """N1 wifi and cellular, N10 relays, N16 a VPN that is toggled."""
    expected = ["networks_interleaved"] * is_fixed
    assert found(replace(OTHER, kind=kind)) == expected
    assert found(there=replace(HOME, kind=kind)) == expected


@pytest.mark.parametrize(
    ("case", "here", "there"),
    [
        ("N3 dual stack of one provider", replace(ISP_OTHER, kind="isp"), HOME),
        ("no provider here", replace(OTHER, asn=0), HOME),
        ("no provider there", OTHER, replace(HOME, asn=0)),
        ("addresses are not kept", OTHER, Network()),
        ("unresolved, or a proxy that is set wrong", Network(), HOME),
        ("the same network", HOME, HOME),
    ],
)
def test_no_two_lines(case: str, here: Network, there: Network) -> None:
    assert found(here, there) == [], case


def test_n15_two_lines_that_the_user_has_known_for_a_day() -> None:
    assert found(user_known=known(HOME, OTHER)) == []
    assert found(user_known=known(HOME)) == ["networks_interleaved"]
    assert found(user_known=known(OTHER)) == ["networks_interleaved"]


# --- browsers ---


@pytest.mark.parametrize(
    ("case", "agent", "before", "is_found"),
    [
        ("another family and system", kit.SAFARI_MAC, kit.CHROME_WINDOWS, True),
        ("another family", kit.EDGE_WINDOWS, kit.CHROME_WINDOWS, True),
        ("another system", kit.CHROME_ANDROID, kit.CHROME_WINDOWS, True),
        ("N29 an update, with old tabs", kit.CHROME_WINDOWS_131, kit.CHROME_WINDOWS, False),
        ("the same text", kit.CHROME_WINDOWS, kit.CHROME_WINDOWS, False),
        ("N34 a web view", kit.WEBVIEW_ANDROID, kit.CHROME_ANDROID, False),
        ("a program", kit.CURL, kit.CHROME_WINDOWS, True),
    ],
)
def test_two_browsers(case: str, agent: str, before: str, is_found: bool) -> None:
    expected = ["browsers_interleaved"] * is_found
    assert found(HOME, HOME, agent=agent, before=before) == expected, case


def test_a_text_whose_browser_is_forgotten_is_compared_with_all_that_are_known() -> None:
    """The stored record has the digest of the last text; the memory keeps one of each browser."""
    update: dict[str, Any] = {"before": kit.CHROME_WINDOWS_129, "agent": kit.CHROME_WINDOWS_131}
    assert found(HOME, HOME, **update, known=known(HOME)) == []
    stranger: dict[str, Any] = {"before": kit.CHROME_WINDOWS_129, "agent": kit.SAFARI_MAC}
    assert found(HOME, HOME, **stranger, known=known(HOME)) == ["browsers_interleaved"]
    assert found(HOME, HOME, **stranger, known=known(HOME, agents=())) == []


def test_n35_a_player_that_loads_a_video_is_no_second_party() -> None:
    asset: dict[str, Any] = {"activity": Activity.ASSET}
    assert found(HOME, HOME, agent=kit.EXOPLAYER, **asset) == []
    assert found(HOME, HOME, agent=kit.EXOPLAYER) == ["browsers_interleaved"]
    assert found(HOME, HOME, agent=kit.SAFARI_MAC, **asset) == ["browsers_interleaved"]


# --- what it is worth ---


def turns(*, other: Network = OTHER, agent: str = kit.CHROME_WINDOWS, after: float = 60.0) -> Any:
    """What the third turn of a session comes to that is used from home and elsewhere."""
    story = Story(detection())
    story.step(HOME)
    story.step(other, agent)
    return story.step(
        HOME,
        after=after,
        is_new_context=False,
        previous=other,
        previous_agent=digest(agent),
        alternations=3,
    )


def test_the_numbers() -> None:
    assert (NETWORKS, BROWSERS, ALTERNATIONS) == (2.5, 2.0, 3)


def test_a24_it_helps_other_evidence_and_flags_nothing_alone() -> None:
    assert max(NETWORKS, BROWSERS) < 4.5 <= NETWORKS + BROWSERS
    home = turns()  # 1.6 for another provider of the country, and who works over two lines
    assert codes(home) == ["networks_interleaved"]
    assert (home.verdict.action, home.flag) == (Action.RECORD, None)
    abroad = turns(other=replace(FRANCE, kind="isp"))  # 2.6 for a neighbouring country
    assert (codes(abroad), abroad.flag) == (["networks_interleaved"], True)


def test_a24_two_lines_and_two_browsers_are_two_parties() -> None:
    story = Story(detection(detectors=[Interleaving()]))
    story.step(HOME)
    story.step(OTHER, kit.FIREFOX_LINUX)
    both = story.step(
        HOME, previous=OTHER, previous_agent=digest(kit.FIREFOX_LINUX), alternations=3
    )
    assert codes(both) == ["networks_interleaved", "browsers_interleaved"]
    assert both.flag is True


def test_it_counts_once_however_long_they_take_turns() -> None:
    story = Story(detection())
    story.step(HOME)
    story.step(OTHER)
    for n in range(20):
        judged = story.step(
            HOME, after=300, is_new_context=False, previous=OTHER, alternations=3 + n
        )
        assert judged.verdict.score < 4.5
    assert not story.flagged


def test_after_a_day_the_user_knows_both_lines() -> None:
    story = Story(detection())
    story.step(HOME)
    story.step(OTHER)
    late = story.step(HOME, after=2 * DAY, previous=OTHER, alternations=9, is_new_context=False)
    assert codes(late) == []


def test_the_first_signal_is_of_networks() -> None:
    signals = Interleaving().inspect(observe(network=OTHER, previous=HOME, alternations=3))
    assert signals[0] == Signal("networks_interleaved", NETWORKS, signals[0].reason)

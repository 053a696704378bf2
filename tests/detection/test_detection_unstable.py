"""Browsers that describe themselves differently all the time, and those that play another one.

N50: extensions that vary the User-Agent with each request. N33: device emulation in Chromium's
developer tools.
"""

from __future__ import annotations

import random
from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, CELL, DAY, ISP, NOW, Story, codes, detection, observe
from hypothesis import example, given
from hypothesis import strategies as st

from gatehound.detection import AgentChange, Known, KnownAgent, Slot, describe, digest
from gatehound.detection.detectors.agent_change import (
    ODD_FOR,
    UNSTABLE,
    UNSTABLE_POINTS,
    UNSTABLE_WITHIN,
)
from gatehound.detection.evidence import read
from gatehound.model import Action, Network

SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; CrOS x86_64 14541.0.0",
    "X11; FreeBSD amd64",
    "Linux; Android 10; K",
)
REST = (
    "; rv:{0}.0) Gecko/20100101 Firefox/{0}.0",
    ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.0.0 Safari/537.36",
    ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.0.0 Safari/537.36 Edg/{0}.0.0.0",
    ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.0.0 Safari/537.36 OPR/{0}.0.0.0",
    ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.0.0 Safari/537.36 Vivaldi/{0}",
    ") AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{0}.5 Safari/605.1.15",
)
# What such extensions send: any browser on any system, in any order, no text twice.
ALL = [
    f"Mozilla/5.0 ({system}{rest.format(version)}"
    for version in range(120, 123)
    for system in SYSTEMS
    for rest in REST
]
TEXTS = random.Random(50).sample(ALL, len(ALL))


def varied(*, count: int, network: Network = ISP, after: float = 60.0, **settings: Any) -> Story:
    """A session whose browser sends a new text with each request, Chrome on Windows first."""
    story = Story(detection(**settings))
    story.step()
    for text in TEXTS[:count]:
        story.step(network, text, after=after)
    return story


def test_the_numbers() -> None:
    assert (UNSTABLE, UNSTABLE_WITHIN) == (4, 43_200)
    assert 1.0 <= UNSTABLE_POINTS < 4.5


# --- N50, from the session's own network ---


def test_n50_it_is_told_after_the_fourth_text() -> None:
    story = Story(detection())
    story.step()
    told = [codes(story.step(agent=text)) for text in TEXTS[:7]]
    assert all("browser_unstable" not in found for found in told[:3])
    assert told[3:] == [["browser_unstable"]] * 4
    # The texts are not kept any longer, and the user has it once the flag has gone.
    assert read(story.memory)[0].slots == {"agent_change": {"odd": True}}
    assert read(story.user_memory)[0].slots == {"agent_change": {"odd": int(story.now // DAY)}}


def test_n50_whoever_caused_the_flag_does_not_teach_the_user() -> None:
    """Four texts from the network of the victim: the fourth lifts the flag, and no more."""
    story = varied(count=4)
    assert read(story.user_memory)[0].slots == {}
    next_month = Story(detection(), user_memory=story.user_memory)
    next_month.step()
    assert next_month.step(agent=kit.SAFARI_MAC).flag is True


@pytest.mark.parametrize(("days", "is_odd"), [(1, True), (30, True), (31, False)])
def test_n50_a_user_is_odd_for_a_month(days: int, is_odd: bool) -> None:
    story = varied(count=6)
    later = Story(detection(), user_memory=story.user_memory)
    later.now = story.now
    later.step(after=days * DAY)
    assert ("browser_unstable" in codes(later.step(agent=TEXTS[9]))) is is_odd


@pytest.mark.parametrize("after", [1.0, 60.0, 600.0])
def test_n50_it_ends_in_a_record(after: float) -> None:
    """Flagged at first perhaps, and cleared from the fourth text on, though each request is new."""
    story = varied(count=5, after=after)
    for text in TEXTS[5:30]:
        judged = story.step(agent=text, after=min(after, 60.0))
        assert {one.code for one in judged.verdict.signals} <= {"browser_unstable"}
        assert judged.verdict.action is Action.RECORD
        assert not story.flagged


@pytest.mark.parametrize("after", [1200.0, 3 * 3600.0, 9 * DAY])
def test_n50_it_stays_a_record(after: float) -> None:
    """Not told afresh each day: from then on it is one odd browser, however it rests."""
    story = varied(count=6)
    story.flagged = False  # what ends the flag is for the test above
    steps = [story.step(agent=text, after=after) for text in TEXTS[6:]]
    # Some texts are of a browser that was learned meanwhile.
    assert {tuple(codes(step)) for step in steps} == {(), ("browser_unstable",)}
    assert max(step.verdict.action for step in steps) is Action.RECORD
    assert not story.flagged


def test_n50_it_is_so_for_all_that_its_user_does() -> None:
    """A new login with the same browser is not flagged afresh."""
    next_day = Story(detection(), user_memory=varied(count=6).user_memory)
    next_day.step()
    for text in TEXTS[6:16]:
        judged = next_day.step(agent=text)
        assert (codes(judged), judged.flag) == (["browser_unstable"], None)
    other = Story(detection(), user_memory=varied(count=3).user_memory)
    other.step()
    assert "browser_unstable" not in codes(other.step(agent=TEXTS[6]))


def test_n50_an_odd_user_is_as_anybody_on_a_new_network() -> None:
    story = Story(detection(), user_memory=varied(count=6).user_memory)
    story.step()
    judged = story.step(AMERICA, kit.SAFARI_MAC)
    assert codes(judged) == ["network_changed", "os_changed", "browser_changed"]
    assert judged.flag is True


def test_n50_what_was_said_of_the_first_texts_is_taken_back() -> None:
    story = varied(count=3)
    assert {"os_changed", "browser_changed"} & read(story.memory)[0].signals.keys()
    story.step(agent=TEXTS[5])
    assert read(story.memory)[0].signals.keys() == {"browser_unstable"}


def test_n50_other_evidence_is_not_taken_back() -> None:
    story = varied(count=3)
    judged = story.step(AMERICA, kit.CURL)
    assert {"network_changed", "script_client"} <= set(codes(judged))
    judged = story.step(agent=TEXTS[5])
    assert {one.code for one in judged.verdict.signals} == {
        "browser_unstable",
        "network_changed",
        "script_client",
    }
    assert story.flagged


@pytest.mark.parametrize(
    ("after", "is_one"), [(UNSTABLE_WITHIN, True), (UNSTABLE_WITHIN + 1, False)]
)
def test_half_a_day_apart_at_most(after: float, is_one: bool) -> None:
    story = Story(detection())
    story.step()
    told = [codes(story.step(agent=text, after=after)) for text in TEXTS[:40]]
    assert (["browser_unstable"] in told) is is_one


def test_n50_taking_turns_with_itself_is_taken_back() -> None:
    """The detector of turns is asked first, so that what it says in the same breath goes too."""
    story = Story(detection())
    story.step()
    for number, text in enumerate(TEXTS[:4]):
        before = digest(TEXTS[number - 1] if number else kit.CHROME_WINDOWS)
        judged = story.step(agent=text, previous_agent=before, alternations=3)
        expected = {"browsers_interleaved", *["browser_unstable"] * (number == 3)}
        told = set(codes(judged)) - {"os_changed", "browser_changed"}
        assert told == expected
    assert read(story.memory)[0].signals.keys() == {"browser_unstable"}


def test_the_same_text_again_is_no_other_one() -> None:
    """A27: a thief on the same network has one browser, and is flagged however often he comes."""
    story = Story(detection())
    story.step()
    for _ in range(20):
        judged = story.step(agent=kit.SAFARI_MAC)
        assert codes(judged) == ["os_changed", "browser_changed"]
    assert story.flagged


# --- the same from elsewhere ---


@pytest.mark.parametrize("network", [CELL, AMERICA])
def test_ever_new_texts_from_a_new_network_stay_flagged(network: Network) -> None:
    story = varied(count=30, network=network)
    assert story.flagged
    assert "browser_unstable" not in read(story.memory)[0].signals
    assert story.step(network, TEXTS[40]).verdict.action >= Action.NOTIFY


def test_texts_from_elsewhere_do_not_count_for_the_fourth_at_home() -> None:
    story = varied(count=10, network=AMERICA)
    assert codes(story.step(ISP, kit.SAFARI_MAC)) == ["os_changed", "browser_changed"]
    assert story.flagged


def test_where_no_network_was_ever_known_there_is_no_other_one() -> None:
    story = Story(detection())
    for text in TEXTS[:9]:
        story.step(Network(), text)
    assert "browser_unstable" in read(story.memory)[0].signals
    hidden = varied(count=9, network=Network())
    assert "browser_unstable" not in read(hidden.memory)[0].signals
    assert hidden.flagged


# --- the memory of it ---


slots = st.dictionaries(
    st.sampled_from(["last", "texts", "odd", "x"]),
    st.binary(max_size=40)
    | st.text(max_size=9)
    | st.integers(-9, 2**40)
    | st.integers(int(NOW) - 50_000, int(NOW) + 9)
    | st.booleans()
    | st.none(),
)


@kit.FIXED
@given(slots, slots)
@example({"last": int(NOW), "texts": bytes(12)}, {})
@example({"last": int(NOW), "texts": bytes(40)}, {})
@example({"last": int(NOW), "texts": b"odd"}, {"odd": None})
def test_whatever_is_in_the_slots_nothing_raises(
    own: dict[str, Any], users: dict[str, Any]
) -> None:
    known = Known(prefixes=frozenset({ISP.prefix}), agents=(known_agent(kit.CHROME_WINDOWS),))
    memory, user_memory = Slot(own), Slot(users)
    seen = observe(kit.SAFARI_MAC, known=known, memory=memory, user_memory=user_memory)
    found = {one.code for one in AgentChange().inspect(seen) if one.weight}
    day, odd = int(NOW // DAY), users.get("odd")
    if memory.get("odd") or (isinstance(odd, int) and day - odd <= ODD_FOR):
        assert found == {"browser_unstable"}
        return
    assert found == {"os_changed", "browser_changed"}
    texts, last = memory["texts"], memory["last"]
    assert isinstance(texts, bytes)
    assert isinstance(last, int)
    assert len(texts) < 4 * UNSTABLE


def known_agent(agent: str) -> KnownAgent:
    device = describe(agent)
    return KnownAgent(device.family, device.os, device.version, digest(agent), device.is_script)


# --- N33: Chromium plays another browser ---

CHROMIUM = '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"'
EDGE = '"Chromium";v="130", "Microsoft Edge";v="130", "Not?A_Brand";v="99"'


def played(
    agent: str, hints: str, *, network: Network = ISP, first: str = kit.CHROME_WINDOWS
) -> dict[str, float]:
    """What is found where a browser sends this text and these client hints."""
    page = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    request = kit.FakeRequest(agent=agent, headers={**page, "Sec-CH-UA": hints})
    known = Known(prefixes=frozenset({ISP.prefix}), agents=(known_agent(first),))
    seen = observe(agent, request=request, known=known, network=network, memory=Slot())
    return {one.code: one.weight for one in AgentChange().inspect(seen)}


@pytest.mark.parametrize("hints", [CHROMIUM, EDGE, '"Brave";v="130", "Chromium";v="130"'])
@pytest.mark.parametrize("agent", [kit.SAFARI_IPHONE, kit.SAFARI_IPAD])
def test_n33_an_iphone_whose_hints_say_chromium_is_an_emulation(agent: str, hints: str) -> None:
    assert played(agent, hints) == {"os_changed": 2.25}, "on a known network: recorded"
    assert played(agent, "") == {"os_changed": 2.25, "browser_changed": 2.4}


def test_n33_it_is_recorded_and_not_flagged() -> None:
    story = Story(detection())
    story.step()
    request = kit.FakeRequest(agent=kit.SAFARI_IPHONE, headers={"Sec-CH-UA": CHROMIUM})
    actions = []
    for _ in range(20):  # toggled within minutes
        actions.append(story.step(agent=kit.SAFARI_IPHONE, request=request).verdict.action)
        actions.append(story.step().verdict.action)
    assert max(actions) is actions[0] is Action.RECORD


@pytest.mark.parametrize(
    ("case", "agent", "hints", "network", "first", "expected"),
    [
        ("elsewhere the system alone is enough", kit.SAFARI_IPHONE, CHROMIUM, CELL,
         kit.CHROME_WINDOWS, {"os_changed": 4.5}),
        ("Firefox sends no hints", kit.FIREFOX_LINUX, "", ISP,
         kit.CHROME_WINDOWS, {"os_changed": 2.25, "browser_changed": 2.4}),
        ("hints that name no Chromium", kit.SAFARI_IPHONE, '"Safari";v="17"', ISP,
         kit.CHROME_WINDOWS, {"os_changed": 2.25, "browser_changed": 2.4}),
        ("a session that Chromium never used", kit.SAFARI_IPHONE, CHROMIUM, ISP,
         kit.FIREFOX_LINUX, {"os_changed": 2.25, "browser_changed": 2.4}),
        ("one Chromium for another", kit.EDGE_WINDOWS, EDGE, ISP,
         kit.CHROME_WINDOWS, {"browser_changed": 2.4}),
        ("Chrome on an iPhone is Safari's engine", kit.CHROME_IPHONE, "", ISP,
         kit.CHROME_WINDOWS, {"os_changed": 2.25}),
        ("the emulated system is the session's own", kit.SAFARI_MAC, CHROMIUM, ISP,
         kit.CHROME_WINDOWS.replace("Windows NT 10.0; Win64; x64", SYSTEMS[1]), {}),
    ],
)  # fmt: skip
def test_what_hints_change(
    case: str, agent: str, hints: str, network: Network, first: str, expected: dict[str, float]
) -> None:
    assert played(agent, hints, network=network, first=first) == pytest.approx(expected), case


@kit.FIXED
@given(st.text(max_size=60) | st.sampled_from([CHROMIUM, EDGE]))
def test_hints_never_make_it_worse(hints: str) -> None:
    """They are a claim: they may only take the other family back."""
    without, with_hints = (played(kit.SAFARI_IPHONE, text) for text in ("", hints))
    assert with_hints.items() <= without.items()
    assert with_hints["os_changed"] == without["os_changed"]


def test_a_thief_who_claims_chromium_in_his_hints_is_flagged_from_elsewhere() -> None:
    story = Story(detection())
    story.step()
    request = kit.FakeRequest(agent=kit.SAFARI_IPHONE, headers={"Sec-CH-UA": CHROMIUM})
    judged = story.step(CELL, kit.SAFARI_IPHONE, request=request)
    assert judged.flag is True
    assert story.now > NOW

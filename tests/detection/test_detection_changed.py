"""What makes the judgement of a changed request cheap changes nothing that comes out of it.

Each short cut is compared with the long way: detectors that are not asked, questions that are
answered without making sets, evidence of session and user that is read and packed once, networks
whose record is known.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import detection_kit as kit
import pytest
from detection_kit import CELL, FRANCE, ISP, NOW, Story, detection
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_detection_evidence import devices, networks, times
from test_detection_properties import AGENTS, steps
from test_detection_properties import networks as places

from gatehound.detection import (
    AgentChange,
    Detection,
    Detector,
    Known,
    Networks,
    NewDevice,
    Observation,
    describe,
    digest,
)
from gatehound.detection import databases as databases_module
from gatehound.detection.databases import Database
from gatehound.detection.detectors.base import NO_SLOT
from gatehound.detection.device import claimed, unmasked
from gatehound.detection.evidence import SETTLED, Evidence, read
from gatehound.detection.novelty import level_of
from gatehound.detection.recall import Recalled
from gatehound.detection.situation import is_built_in, looks, situation_of
from gatehound.model import Device, Network, NetworkKind, Signal

# --- who is asked ---


def with_places(mode: str = "flag", **fields: Any) -> Detection:
    """A Detection with all built-in detectors, also those that need places."""
    given = Networks()
    given.has_city = True
    return detection(mode, networks=given, **fields)


ALL = (*with_places().detectors, *with_places(ip_shift="strict", geo_anomaly="strict").detectors)
learned = st.lists(
    st.tuples(networks | places(), st.none() | devices, times, st.booleans()), max_size=6
)


def evidence_of(lessons: list[Any]) -> Evidence:
    kept = Evidence()
    for network, device, at, proven in lessons:
        kept.learn(network, device, digest(repr(device)), at, proven=proven)
    return kept


@pytest.mark.slow
@kit.FIXED
@given(steps, learned, learned, st.booleans(), st.booleans())
def test_who_is_not_asked_would_have_found_nothing(
    step: dict[str, Any], own: list[Any], user: list[Any], is_near: bool, has_siblings: bool
) -> None:
    fields = {name: value for name, value in step.items() if name not in ("after", "agent", "path")}
    headers = {} if is_near else {"accept-language": "de"}
    request = kit.FakeRequest(agent=step["agent"], path=step["path"], headers=headers)
    kept = evidence_of(own)
    if is_near:
        kept.learn(replace(step["network"], prefix="10.9.9.0/24"), None, b"", NOW)
        kept.learn(Network(), describe(AGENTS[0]), digest(AGENTS[0]), NOW)
    seen = kit.observe(
        step["agent"],
        request=request,
        client_ip=kit.client(None if not step["network"].prefix else str(kit.HOME)),
        known=kept.known(),
        user_known=evidence_of(user).known(settled_at=NOW + SETTLED),
        siblings=(kit.session("b" * 16, country="US"),) if has_siblings else (),
        failed_logins=frozenset({"user"}),
        session=kit.session(address=ip_address("198.51.100.7")),
        **fields,
    )
    level = level_of(seen.network, seen.known, seen.user_known, seen.previous)
    seen = replace(seen, level=level)
    situation = situation_of(seen)
    for detector in ALL:
        if not looks(detector, situation):
            found: Any = detector.inspect(seen)
            assert list(found) == [], detector.name
    assert (dict(seen.memory), dict(seen.user_memory)) == ({}, {})


class Extended(NewDevice):
    """Looks at more than what it extends, which looks at sign-ins alone."""

    name = "extended"

    def inspect(self, observation: Observation) -> list[Signal]:
        return [Signal("seen", 0.1, "Seen")]


def test_detectors_of_your_own_are_asked_every_time() -> None:
    calls: list[bool] = []

    def own(observation: Observation) -> None:
        calls.append(observation.is_new_context)

    story = Story(detection(detectors=[*detection().detectors, own, Extended()]))
    for is_new in (True, False, False):
        assert kit.codes(story.step(is_new_context=is_new)) == ["seen"]
    assert calls == [True, False, False]


def test_what_extends_a_built_in_detector_is_none() -> None:
    assert all(map(is_built_in, detection().detectors))
    assert not is_built_in(Extended())
    assert looks(Extended(), 0)
    assert not looks(NewDevice(), 0)


def test_detectors_of_your_own_are_given_what_they_may_keep() -> None:
    kept: list[Observation] = []

    class Keeper(Detector):
        name = "keeper"

        def inspect(self, observation: Observation) -> None:
            kept.append(observation)

    story = Story(detection(detectors=[*detection().detectors, Keeper()]))
    story.step(ISP)
    story.step(CELL)
    story.step(FRANCE)
    assert {type(one.known) for one in kept} == {type(one.user_known) for one in kept} == {Known}
    assert [len(one.known.prefixes) for one in kept] == [0, 1, 2]


def test_what_a_detector_without_slots_writes_is_lost_and_not_the_next_ones() -> None:
    class Wrong(Detector):
        name = "wrong"
        has_slots = False

        def inspect(self, observation: Observation) -> None:
            observation.memory["mine"] = 1
            observation.user_memory["mine"] = 1

    NO_SLOT["mine"] = 1
    assert dict(NO_SLOT) == {}
    with pytest.raises(TypeError, match="slot value"):
        NO_SLOT["mine"] = [1]  # type: ignore[assignment] # what is refused
    story = Story(detection(detectors=[Wrong()]))
    assert story.step(memory=b"").failures == ()
    assert read(story.memory)[0].slots == {}


def test_a_built_in_detector_that_raises_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(with_places())
    story.step(ISP)

    def broken(self: object, observation: Observation) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(
        "gatehound.detection.detectors.network_change.NetworkChange.inspect", broken
    )
    judged = story.step(CELL)
    assert judged.failures == (("network_change", "ValueError: broken"),)
    assert read(story.memory)[0].known().has_prefix(CELL.prefix)


def test_browsers_that_are_unstable_are_judged_with_their_slots() -> None:
    story = Story(detection(detectors=[AgentChange()]))
    story.step(agent=kit.CHROME_WINDOWS)
    story.step(agent=kit.FIREFOX_LINUX)
    assert "agent_change" in read(story.memory)[0].slots


# --- what is known, without sets ---


def answers(known: Any, network: Network) -> list[object]:
    """All that is asked of a network; whether its provider is known before and after the rest."""
    return [
        bool(network.asn) and known.has_asn(network.asn),
        known.has_prefix(network.prefix),
        known.is_near(network.prefix),
        known.has_network(network),
        known.has_network(network),
        bool(network.asn) and known.has_asn(network.asn),
        known.has_country(network.country),
        known.has_any_country(frozenset({network.country, "XX"})),
        known.has_kind(network.kind),
        level_of(network, known),
    ]


@pytest.mark.slow
@kit.FIXED
@given(learned, st.none() | times.map(float), networks | places(), devices)
def test_questions_are_answered_as_the_sets_answer_them(
    lessons: list[Any], settled_at: float | None, network: Network, device: Device
) -> None:
    kept = evidence_of(lessons)
    known = kept.known(settled_at=settled_at)
    recalled = Recalled(kept, settled_at)
    asked = [
        network,
        *(replace(one, build=0) for one, *_ in lessons),
        *(one for one, *_ in lessons),
    ]
    for one in asked:
        assert answers(known, one) == answers(recalled, one)
    for claim in [device, *(one for _, one, *_ in lessons if one)]:
        mark = digest(repr(claim))
        assert known.has_text(mark) == recalled.has_text(mark)
        assert known.has_agent(claim, mark) == recalled.has_agent(claim, mark)
        assert known.has_agent(claim, mark) == recalled.has_agent(claim, mark)  # and again
    for name in ("prefixes", "networks", "countries", "agents", "kinds"):
        assert getattr(known, name) == getattr(recalled, name)
    for name in ("has_prefixes", "has_networks", "has_countries", "has_agents"):
        assert getattr(known, name) == getattr(recalled, name)


@pytest.mark.parametrize(("country", "kind"), [("DE", ""), ("", "mobile"), ("DE", "mobile")])
def test_without_a_context_nothing_is_known(country: str, kind: NetworkKind) -> None:
    """What is left of evidence that did not fit: it counts as empty, however it is asked."""
    one = Network(country=country, kind=kind)
    kept = Evidence()
    kept.learn(one, None, b"", NOW)
    assert kept.countries or kept.kinds
    assert answers(kept.known(), one) == answers(Recalled(kept), one) == answers(Known(), one)
    assert not Recalled(kept).has_countries


# --- networks whose record is known ---


class Counted:
    """What a reader of a file does: `lengths` are those of the networks that hold addresses."""

    def __init__(self, lengths: dict[str, int]) -> None:
        self.lengths = lengths
        self.asked: list[str] = []

    def __call__(self, text: str) -> tuple[Any, int]:
        address = str(ip_address(text))
        self.asked.append(address)
        found = next(one for one in self.lengths if address.startswith(one))
        return {"asn": len(found)}, self.lengths[found]


@pytest.mark.parametrize(
    ("length", "addresses", "looked_up"),
    [
        (8, ["10.0.0.1", "10.200.3.4"], 1),
        (9, ["10.0.0.1", "10.0.7.7", "10.1.0.1"], 2),
        (16, ["10.1.0.1", "10.1.200.1"], 1),
        (20, ["10.1.0.1", "10.1.0.2", "10.1.1.1"], 2),
        (24, ["10.1.0.1", "10.1.0.2"], 1),
        (25, ["10.1.0.1", "10.1.0.1", "10.1.0.2"], 3),
        (20, ["2001:db8::1", "2001:db8:ffff::1"], 1),
        (48, ["2001:db8:1::1", "2001:db8:1:ffff::1", "2001:db8:2::1"], 2),
        (60, ["2001:db8:1:1::1", "2001:db8:1:1:9::1", "2001:db8:1:2::1"], 2),
        (65, ["2001:db8::1", "2001:db8::2"], 2),
    ],
)
def test_a_record_is_looked_up_once_for_its_network(
    length: int, addresses: list[str], looked_up: int
) -> None:
    get = Counted({"10.": length, "2001:": length})
    database = Database("asn", get, 1, ["asn"], is_v4_only=False)
    facts = [database.facts(ip_address(one).packed) for one in addresses]
    assert len({one.asn for one in facts}) == 1
    assert facts[0].asn
    assert len(get.asked) == looked_up


def test_networks_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases_module, "_CACHED_NETWORKS", 3)
    get = Counted({"10.": 24})
    database = Database("asn", get, 1, ["asn"], is_v4_only=False)
    for _ in range(2):
        for n in range(5):
            assert database.facts(ip_address(f"10.0.{n}.1").packed).asn == 3
    assert 5 < len(get.asked) <= 10


def test_a_file_of_ipv4_alone_is_not_asked_of_ipv6() -> None:
    get = Counted({})
    database = Database("asn", get, 1, ["asn"], is_v4_only=True)
    assert database.facts(ip_address("2001:db8::1").packed).asn == 0
    assert get.asked == []


# --- browsers ---


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("hints", ["", '"Chromium";v="131", "Brave";v="131"'])
@pytest.mark.parametrize("accept", ["", "text/html,application/signed-exchange;v=b3"])
def test_a_browser_is_what_its_headers_say(agent: str, hints: str, accept: str) -> None:
    expected = unmasked(describe(agent), hints, accept)
    assert claimed(agent, hints, accept) == claimed(agent, hints, accept) == expected

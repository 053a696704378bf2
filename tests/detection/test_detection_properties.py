"""Properties of the whole judgement, whatever is seen, sent or stored.

Oracles: the order of actions, the sets in the memory, the bound of stores. Not checked here:
whether what is found is right, which the tests of each detector and the simulator do.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import detection_kit as kit
import msgspec
import pytest
from detection_kit import (
    AMERICA,
    CELL,
    FRANCE,
    ISP,
    ISP_OTHER,
    NOW,
    V6,
    V6_NEAR,
    FakeRequest,
    Story,
    codes,
    detection,
    session,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound._sync import run_sync
from gatehound.detection import Detection, Judgement, Networks, Observation, describe, digest
from gatehound.detection.evidence import MAX_BYTES, VERSION, Evidence, read
from gatehound.detection.network import LIST_ORDER
from gatehound.detection.policy import MALICIOUS, PolicySettings
from gatehound.detection.settings import MODES
from gatehound.model import Action, Activity, Network, Signal

AGENTS = (
    kit.CHROME_WINDOWS,
    kit.CHROME_WINDOWS_131,
    kit.SAFARI_MAC,
    kit.SAFARI_IPHONE,
    kit.FIREFOX_LINUX,
    kit.EDGE_WINDOWS,
    kit.CURL,
    kit.EXOPLAYER,
    "",
)
PLACES = (ISP, ISP_OTHER, CELL, FRANCE, AMERICA, V6, V6_NEAR, Network())
JUDGES: dict[str, Detection] = {}


def judge(mode: str) -> Detection:
    """A Detection of this mode with all built-in detectors, made once."""
    if mode not in JUDGES:
        networks = Networks()
        networks.has_city = True  # what asks for detectors of places; networks come from the test
        JUDGES[mode] = detection(mode, networks=networks)
    return JUDGES[mode]


@st.composite
def networks(draw: st.DrawFn) -> Network:
    place = draw(st.sampled_from(PLACES))
    if not place.prefix:
        return place
    return replace(
        place,
        prefix=draw(st.sampled_from([place.prefix, "10.0.0.0/24", "2001:db8:1:9::/64"])),
        asn=draw(st.sampled_from([place.asn, 0, 64999])),
        kind=draw(st.sampled_from(["", *LIST_ORDER])),
        location=draw(st.sampled_from([None, (52.5, 13.4), (40.7, -74.0)])),
    )


steps = st.fixed_dictionaries(
    {
        "network": networks(),
        "agent": st.sampled_from(AGENTS),
        "after": st.sampled_from([0.0, 1.0, 31.0, 600.0, 7201.0, 90_000.0, 400_000.0, -50.0]),
        "activity": st.sampled_from(list(Activity)),
        "path": st.sampled_from(["/", "/odd", "/worse"]),
        "is_new_context": st.booleans(),
        "alternations": st.sampled_from([0, 3]),
        "previous": networks(),
        "is_login": st.booleans(),
        "network_unusable": st.booleans(),
        "last_used": st.sampled_from([0.0, NOW, NOW - 400_000.0]),
    }
)
days = st.lists(steps, min_size=1, max_size=8)
modes = st.sampled_from([mode for mode in MODES if mode != "off"])


def told(story: Story, day: list[dict[str, Any]]) -> Judgement:
    for step in day:
        judged = story.step(**step)
        assert judged.failures == ()
    return judged


# --- more evidence is never milder ---


def worse(*signals: Signal) -> Any:
    def worse(observation: Observation) -> list[Signal]:
        return list(signals)

    return worse


findings = st.lists(
    st.builds(
        Signal,
        st.sampled_from(["one", "two", MALICIOUS, "network_changed"]),
        st.floats(0.01, 12),
        st.just("Found"),
    ),
    max_size=3,
)
policies = st.sampled_from(
    [
        PolicySettings(),
        PolicySettings(profile="lax", terminate=8.0),
        PolicySettings(malicious="terminate"),
        PolicySettings(sensitive_paths=("/odd",), relaxed_paths=("/worse",)),
    ]
)


@pytest.mark.slow
@kit.FIXED
@given(modes, policies, days, findings, st.booleans())
def test_more_evidence_never_has_a_milder_end(
    mode: str,
    policy: PolicySettings,
    day: list[dict[str, Any]],
    found: list[Signal],
    flagged: bool,
) -> None:
    """The same request of the same session, judged by the same detectors and by one more."""
    usual = detection(mode, policy=policy)
    more = detection(mode, [*detection(mode).detectors, worse(*found)], policy=policy)
    before = Story(judge(mode))
    told(before, day)
    ends = []
    for detecting in (usual, more):
        story = Story(detecting, user_memory=before.user_memory)
        story.memory, story.now, story.flagged = before.memory, before.now, flagged
        ends.append((story.step(**day[-1]), story.flagged))
    (less, less_flagged), (worst, worst_flagged) = ends
    assert worst.verdict.action >= less.verdict.action
    assert worst.verdict.score >= less.verdict.score
    assert worst_flagged >= less_flagged
    assert set(less.reached) <= set(worst.reached)


@pytest.mark.slow
@kit.FIXED
@given(days, findings, policies)
def test_a_mode_further_to_the_right_is_never_milder(
    day: list[dict[str, Any]], found: list[Signal], policy: PolicySettings
) -> None:
    actions = []
    before = Story(judge("flag"))
    told(before, day)
    for mode in MODES:
        story = Story(
            detection(mode, [*detection().detectors, worse(*found)], policy=policy),
            user_memory=before.user_memory,
        )
        story.memory, story.now = before.memory, before.now
        actions.append(story.step(**day[-1]).verdict.action)
    assert actions == sorted(actions)


# --- while flagged nothing is learned ---


def learned(memory: bytes) -> tuple[Any, ...]:
    kept, failure = read(memory)
    assert failure == ""
    return kept.prefixes, kept.networks, kept.countries, kept.agents, kept.kinds


@pytest.mark.slow
@kit.FIXED
@given(modes, days, days)
def test_while_flagged_nothing_new_is_learned(
    mode: str, before: list[dict[str, Any]], day: list[dict[str, Any]]
) -> None:
    story = Story(judge(mode))
    told(story, before)
    for step in day:
        was = learned(story.memory), learned(story.user_memory)
        was_flagged = story.flagged
        story.step(**step)
        if was_flagged or story.flagged:
            assert (learned(story.memory), learned(story.user_memory)) == was


@pytest.mark.slow
@kit.FIXED
@given(days)
def test_what_is_learned_is_where_the_session_was(day: list[dict[str, Any]]) -> None:
    story = Story(judge("flag"))
    told(story, day)
    known = read(story.memory)[0].known()
    assert known.prefixes <= {step["network"].prefix for step in day}
    assert {one.digest for one in known.agents} <= {digest(step["agent"]) for step in day}
    # An exit says nothing of where its user is.
    placed = {
        step["network"].country
        for step in day
        if step["network"].kind not in ("proxy", "vpn", "tor")
    }
    assert set(known.countries) <= placed


# --- what is stored fits ---

any_text = st.text(max_size=600)
wide = st.builds(
    Network,
    prefix=st.integers(0, 2**128 - 1).map(lambda n: f"{IPv6Address(n)}/128"),
    asn=st.integers(0, 2**32 - 1),
    organisation=any_text,
    country=st.text("ABCDEFGHIJ", min_size=2, max_size=2) | any_text,
    continent=st.sampled_from(["EU", "NA", "AS"]) | any_text,
    city=any_text,
    build=st.integers(0, 2**62),
    kind=st.sampled_from(["", *LIST_ORDER]),
    location=st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
)


def noisy(observation: Observation) -> list[Signal]:
    """As many findings, and as much memory, as a detector may have."""
    for slot in (observation.memory, observation.user_memory):
        slot["data"] = bytes(240)
    where = observation.network.prefix
    return [Signal(f"{where}{n}" * 40, 1.0 + n, "r" * 999) for n in range(16)]


@pytest.mark.slow
@settings(kit.FIXED, max_examples=25)
@given(st.lists(st.tuples(wide, st.sampled_from(AGENTS) | any_text, st.booleans()), max_size=30))
def test_what_is_stored_fits_whatever_comes(seen: list[tuple[Network, str, bool]]) -> None:
    built_in = list(judge("observe").detectors)
    for detectors in (built_in, [*built_in, noisy]):
        story = Story(detection("observe", detectors))
        for network, agent, is_login in seen:
            judged = story.step(network, agent, is_login=is_login, after=90_000)
            for memory in (judged.memory, judged.user_memory):
                assert len(memory) <= MAX_BYTES == 4096
                assert read(memory)[1] == ""


def test_the_widest_memory_of_real_networks_fits_and_keeps_what_counts() -> None:
    story = Story(detection("observe", [*judge("observe").detectors, noisy]))
    for n in range(60):
        network = Network(
            f"2001:db8:{n:x}:ffff::/64", 4_200_000_000 + n, country=f"{chr(65 + n % 26)}A",
            continent="EU", build=2**33, kind=LIST_ORDER[n % len(LIST_ORDER)],
        )  # fmt: skip
        story.step(network, AGENTS[n % 7])
    kept = read(story.memory)[0]
    assert len(story.memory) > 3000
    assert kept.signals
    assert kept.prefixes
    assert kept.agents


# --- nothing raises ---

raw = st.text(st.characters(max_codepoint=255), max_size=600)
requests = st.builds(
    FakeRequest,
    method=st.sampled_from(["GET", "POST", "PROPFIND"]) | raw,
    path=raw,
    agent=raw | st.sampled_from(AGENTS),
    headers=st.dictionaries(st.sampled_from(["sec-ch-ua", "sec-fetch-dest", "x"]), raw),
)


@pytest.mark.slow
@kit.FIXED
@given(requests, networks(), modes, st.binary(max_size=60), st.booleans())
@example(FakeRequest(agent="\x00" * 9999, path="\n" * 9999), ISP, "strict", b"", True)
@example(FakeRequest(agent="Mozilla/5.0 (" + "(" * 5000), ISP, "flag", b"\x02", False)
def test_no_text_of_a_client_makes_it_raise(
    request: FakeRequest, network: Network, mode: str, memory: bytes, flagged: bool
) -> None:
    story = Story(judge(mode))
    story.step()
    agent = request.agent
    seen: dict[str, Any] = {"request": request, "session": session(flagged=flagged)}
    judged = story.step(network, agent, **seen)
    assert judged.failures == ()
    again = story.step(network, agent, memory=memory, user_memory=memory, flagged=flagged, **seen)
    assert [name for name, _ in again.failures if name not in ("memory", "user_memory")] == []


@pytest.mark.parametrize("weight", [1e308, -1e308, 5e-324, 1e16])
def test_no_weight_of_a_detector_makes_it_raise(weight: float) -> None:
    """Numbers that are finite one by one, and not when they are added up."""
    given = [worse(Signal("one", weight, "Found"), Signal("two", weight, "Found"))]
    story = Story(detection(detectors=given))
    for _ in range(3):
        judged = story.step()
        assert judged.failures or story.flagged is (weight > 1)
        assert read(story.memory)[1] == ""


@pytest.mark.parametrize("prefix", ["zz::zz/64", "2001:db8::1/48", ":", "2001:db8::/999"])
def test_a_stored_prefix_that_is_none_makes_nothing_raise(prefix: str) -> None:
    """The bytes can be read, and what they say is damaged: no request may end in a 500."""
    damaged = Evidence()
    damaged.learn(Network(prefix=prefix), None, b"", NOW)
    story = Story(judge("flag"), user_memory=damaged.pack())
    story.memory = damaged.pack()
    assert story.step(V6).verdict.action < Action.FLAG


# --- what earlier releases wrote ---


def old_memory(*, agent: str = kit.CHROME_WINDOWS) -> bytes:
    """Evidence without the fields that came last: `kinds`, `would`, the kind of a network."""
    device, at = describe(agent), int(NOW) - 200_000
    fields = [
        {ISP.prefix: [at, 0]},
        {f"{ISP.asn}DE": [at, 0, ISP.asn, "", ISP.build]},
        {"DE": [at, 0, ""]},
        {
            f"{device.family}\0{device.os}": [
                *(at, 0, device.family, device.os, device.version, digest(agent), False)
            ]
        },
        {"os_changed": ["os_changed", 2.0, NOW, "Operating system changed", "agent_change"]},
        {"agent_change": {"since": at, "texts": b"1234"}},
    ]
    return bytes((VERSION,)) + msgspec.msgpack.encode(fields)


def test_the_memory_of_an_earlier_release_is_read() -> None:
    kept, failure = read(old_memory())
    assert failure == ""
    assert (kept.kinds, kept.would) == ({}, 0)
    assert [one.kind for one in kept.networks.values()] == [""]
    known = kept.known()
    assert known.has_network(ISP)
    assert known.has_agent(describe(kit.CHROME_WINDOWS), b"")
    assert list(kept.signals) == ["os_changed"]


@pytest.mark.parametrize("fields", range(8))
def test_with_each_field_that_is_not_there_yet(fields: int) -> None:
    """Fields are only ever appended: every shorter form is one that a release may have written."""
    whole = msgspec.msgpack.decode(Evidence().pack()[1:])
    data = bytes((VERSION,)) + msgspec.msgpack.encode(whole[:fields])
    assert read(data) == (Evidence(), "")


def test_a_session_of_an_earlier_release_goes_on() -> None:
    story = Story(judge("flag"), user_memory=old_memory())
    story.memory = old_memory()
    calm = story.step()
    assert (calm.failures, codes(calm)) == ((), [])
    assert "os_changed" in {one.code for one in calm.verdict.signals}
    vpn = story.step(replace(AMERICA, kind="vpn"))
    assert codes(vpn) == ["network_changed"]
    assert read(story.memory)[0].kinds.keys() == {"vpn"}
    stolen = story.step(FRANCE, kit.CURL)
    assert stolen.verdict.action >= Action.FLAG
    assert stolen.reached


def test_two_judgements_of_one_request_agree() -> None:
    """Who loses a race judges again: the same bytes give the same answer."""
    story = Story(judge("flag"))
    story.step()
    seen = kit.observe(kit.SAFARI_MAC, network=CELL)
    one, two = (run_sync(judge("flag").judge(seen, memory=story.memory)) for _ in range(2))
    assert one == two

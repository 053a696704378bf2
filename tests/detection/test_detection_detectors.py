"""Each built-in detector by the rows of its catalogue, and the rules for detectors of your own.

N numbers are normal behaviours, A numbers attacks. Scores are compared with the default policy:
record 1.0, flag 4.5, step-up 6.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import detection_kit as kit
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
    Story,
    codes,
    detection,
    observe,
    session,
)
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.detection import (
    AgentChange,
    Detector,
    GeoAnomaly,
    IPShift,
    Known,
    KnownAgent,
    KnownNetwork,
    NetworkChange,
    Observation,
    ScriptClient,
    Slot,
    describe,
    digest,
)
from gatehound.detection.detectors import as_detectors, ip_shift, network_change
from gatehound.detection.novelty import level_of
from gatehound.errors import SettingsError
from gatehound.model import Activity, Device, Network, Session, Signal

RECORD, FLAG, STEP_UP = 1.0, 4.5, 6.5


def known(*networks: Network, agents: tuple[str, ...] = (kit.CHROME_WINDOWS,)) -> Known:
    return Known(
        prefixes=frozenset(one.prefix for one in networks if one.prefix),
        networks=tuple(
            KnownNetwork(one.asn, one.country, one.continent, one.build, one.kind)
            for one in networks
            if one.asn
        ),
        countries={one.country: one.continent for one in networks if one.country},
        agents=tuple(known_agent(agent) for agent in agents),
        kinds=frozenset(one.kind for one in networks if one.kind not in ("", "isp", "business")),
    )


def known_agent(agent: str) -> KnownAgent:
    device = describe(agent)
    return KnownAgent(device.family, device.os, device.version, digest(agent), device.is_script)


def weight(signals: list[Signal]) -> float:
    return round(sum(signal.weight for signal in signals), 2)


# --- ip_shift and network_change ---

POINTS = {**ip_shift.POINTS, **network_change.POINTS}


SPAIN = Network("203.0.115.0/24", 64500, "Otro", "ES", "EU", "Madrid", 3117735, 7)


def moved(observation: Observation) -> list[Signal]:
    """What the two detectors of networks find; they never find two things."""
    found = [*IPShift().inspect(observation), *NetworkChange().inspect(observation)]
    assert len(found) <= 1
    return found


def bare(network: Network, **changes: Any) -> Network:
    return replace(network, asn=0, country="", continent="", **changes)


@pytest.mark.parametrize(
    ("case", "before", "after", "level"),
    [
        ("N4 privacy address in the same /64", V6, V6, ""),
        ("N5 another /64 of the delegated prefix", V6, V6_NEAR, "prefix"),
        ("N6 the provider gives another prefix", ISP, ISP_OTHER, "network"),
        ("N3 dual stack of one provider", ISP, V6, "network"),
        ("N1 wifi to cellular", ISP, CELL, "provider"),
        ("A4 residential proxy in the country", ISP, CELL, "provider"),
        ("N23 border town", ISP, FRANCE, "neighbour"),
        ("N19 traveller in a near country", ISP, SPAIN, "country"),
        ("A2 far away", ISP, AMERICA, "continent"),
        ("no database", bare(ISP), bare(CELL), "unplaced"),
        ("database added since", bare(ISP), AMERICA, "unplaced"),
        ("not in the database", ISP, bare(AMERICA), "unplaced"),
        ("country alone, the same", replace(ISP, asn=0), replace(CELL, asn=0), "same_country"),
        ("country alone, another", replace(ISP, asn=0), replace(SPAIN, asn=0), "country"),
        ("ASN alone", replace(ISP, country=""), replace(CELL, country=""), "provider"),
        ("no continent known", replace(ISP, continent=""), AMERICA, "country"),
        ("N24 a database update moves the country", ISP,
         replace(ISP_OTHER, country="AT", build=8), "network"),
        ("one ASN in another country", ISP, replace(ISP_OTHER, country="ES"), "neighbour"),
        ("an ASN without country", ISP, replace(ISP_OTHER, country=""), "network"),
    ],
)  # fmt: skip
def test_novelty_counts_at_the_most_specific_known_level(
    case: str, before: Network, after: Network, level: str
) -> None:
    assert level_of(after, known(before)) == level, case
    found = moved(observe(network=after, known=known(before)))
    expected = [POINTS[level][0]] if level else []
    assert [signal.weight for signal in found] == expected, case
    if found:
        assert found[0].code == "network_changed"
        assert found[0].detail["level"] == level


def test_an_asn_known_elsewhere_is_not_new_in_a_known_country() -> None:
    german = replace(ISP, country="DE")
    french = replace(ISP_OTHER, asn=64497, country="FR")
    there = replace(CELL, asn=64496, country="FR")
    found = moved(observe(network=there, known=known(german, french)))
    assert [signal.detail["level"] for signal in found] == ["same_country"]


def test_no_single_network_passes_the_flag() -> None:
    assert max(points for points, _ in POINTS.values()) < FLAG
    assert POINTS["network"][0] < RECORD <= POINTS["provider"][0]


@pytest.mark.parametrize(
    ("after", "user", "expected"),
    [
        (CELL, known(CELL), 0.4),
        (SPAIN, known(SPAIN), 2.0),
        (SPAIN, known(replace(SPAIN, prefix="10.0.0.0/24")), 2.0),
        (SPAIN, known(replace(SPAIN, prefix="10.0.0.0/24", asn=1)), 2.3),
        (CELL, known(replace(ISP, prefix="10.0.0.0/24", asn=1)), 1.6),
        (ISP_OTHER, known(ISP_OTHER), 0.0),
        (V6_NEAR, known(V6), 0.0),
    ],
)
def test_what_the_user_knows_counts_less(after: Network, user: Known, expected: float) -> None:
    found = moved(observe(network=after, known=known(ISP), user_known=user))
    assert weight(found) == expected


def of_kind(network: Network, kind: Any) -> Network:
    return replace(network, kind=kind)


@pytest.mark.parametrize(
    ("case", "before", "after", "expected"),
    [
        ("N1 wifi to cellular", ISP, of_kind(CELL, "mobile"), 1.0),
        ("N11 Private Relay switched on", ISP, of_kind(CELL, "relay"), 0.32),
        ("N16 a VPN, wherever it is", ISP, of_kind(AMERICA, "vpn"), 2.5),
        ("N17 another exit of it", of_kind(FRANCE, "vpn"), of_kind(AMERICA, "vpn"), 0.3),
        ("N14 a gateway of the company abroad", of_kind(FRANCE, "proxy"),
         of_kind(AMERICA, "proxy"), 0.3),
        ("N18 another exit of Tor", of_kind(FRANCE, "tor"), of_kind(AMERICA, "tor"), 0.3),
        ("N21 satellite on a plane", ISP, of_kind(AMERICA, "mobile"), 3.4),
        ("A1 servers far away", ISP, of_kind(AMERICA, "hosting"), 5.4),
        ("A8 Tor out of the blue", ISP, of_kind(AMERICA, "tor"), 6.6),
        ("a line that a list names", ISP, of_kind(CELL, "isp"), 1.6),
        ("a VPN of a known provider", ISP, of_kind(ISP_OTHER, "vpn"), 0.6),
        ("an exit of Tor that no list has", of_kind(FRANCE, "tor"), of_kind(AMERICA, "hosting"),
         2.5),
        ("the exit's country is not the user's", of_kind(AMERICA, "vpn"), ISP, 1.6),
    ],
)  # fmt: skip
def test_kinds_change_what_a_network_weighs(
    case: str, before: Network, after: Network, expected: float
) -> None:
    learned = known(before)
    if before.kind in ("vpn", "tor", "proxy"):  # what evidence learns of them has no place
        placeless = tuple(replace(one, country="", continent="") for one in learned.networks)
        learned = replace(learned, networks=placeless, countries={})
    assert weight(moved(observe(network=after, known=learned))) == expected, case


def test_a_kind_that_the_user_knows_is_nothing_new() -> None:
    tor = of_kind(AMERICA, "tor")
    elsewhere = known(replace(tor, prefix="203.0.116.0/24", asn=1))
    assert weight(moved(observe(network=tor, known=known(ISP), user_known=elsewhere))) == 0.3


def test_a_session_without_a_place_is_compared_with_its_user() -> None:
    placeless = Known(prefixes=frozenset({"203.0.116.0/24"}), networks=(KnownNetwork(1),))
    found = moved(observe(network=AMERICA, known=placeless, user_known=known(ISP)))
    assert weight(found) == 4.0


def test_reasons_say_what_stayed_the_same() -> None:
    def reason(network: Network, agent: str = kit.CHROME_WINDOWS) -> str:
        return moved(observe(agent, network=network, known=known(ISP)))[0].reason

    assert reason(CELL) == "New network in the same country, browser unchanged"
    assert reason(ISP_OTHER) == "New address of a known provider, browser unchanged"
    assert reason(FRANCE) == "Network in a neighbouring country (FR), browser unchanged"
    assert reason(SPAIN) == "Network in another country (ES), browser unchanged"
    assert reason(AMERICA, kit.SAFARI_MAC) == (
        "Network on another continent (US), browser not seen before"
    )


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"network": Network(), "client_ip": kit.client(None)},
        {"network": CELL, "known": Known(), "session": None},
        {"network": ISP},
    ],
    ids=["unresolved", "first", "unchanged"],
)
def test_no_evidence(strict: bool, changes: dict[str, Any]) -> None:
    stored = session(address=kit.HOME)
    fields: dict[str, Any] = {"known": known(ISP), "session": stored, **changes}
    assert IPShift(strict=strict).inspect(observe(**fields)) == []
    assert NetworkChange().inspect(observe(**fields)) == []


def test_a_recent_pair_is_not_weighed_again() -> None:
    seen = observe(network=AMERICA, known=known(ISP), is_new_context=False)
    assert moved(seen) == []


def test_strict_takes_every_change_of_the_address() -> None:
    strict = IPShift(strict=True)
    stored = session(address=ip_address("192.0.2.2"))
    found = strict.inspect(observe(session=stored, known=known(ISP), is_new_context=False))
    assert [signal.code for signal in found] == ["address_changed"]
    assert FLAG < found[0].weight < STEP_UP
    assert strict.inspect(observe(session=session(address=None))) == []


# --- geo_anomaly ---

AWAY = session("b" * 16, country="FR", last_seen=NOW - 60)


@pytest.mark.parametrize(
    ("case", "other", "evidence", "strict"),
    [
        ("N47 phone abroad beside a laptop", AWAY, True, True),
        ("within the hour", replace(AWAY, last_seen=NOW - 3600), True, True),
        ("rested for longer", replace(AWAY, last_seen=NOW - 3601), False, True),
        ("same country", replace(AWAY, country="DE"), False, False),
        ("country unknown", replace(AWAY, country=""), False, False),
    ],
)
def test_concurrent_countries(case: str, other: Session, evidence: bool, strict: bool) -> None:
    seen = observe(siblings=(session("c" * 16, country="DE"), other))
    graded, simple = GeoAnomaly().inspect(seen), GeoAnomaly(strict=True).inspect(seen)
    assert (bool(graded), bool(simple)) == (evidence, strict), case
    assert RECORD <= weight(graded) < FLAG if graded else True
    if simple:
        assert FLAG < weight(simple) < STEP_UP
        assert simple[0].detail["siblings"] == "b" * 16


def test_siblings_are_named_only_where_they_are_to_be_flagged() -> None:
    others = (AWAY, replace(AWAY, public_id="a" * 16, country="US"))
    (graded,) = GeoAnomaly().inspect(observe(siblings=others))
    assert "siblings" not in graded.detail
    assert graded.reason == "Used in DE while another of your sessions is used in FR and US"
    (simple,) = GeoAnomaly(strict=True).inspect(observe(siblings=others))
    assert simple.detail["siblings"] == "a" * 16 + "," + "b" * 16
    assert simple.detail["countries"] == "FR,US"


@pytest.mark.parametrize(
    "changes", [{"is_new_context": False}, {"network": Network()}, {"siblings": ()}]
)
def test_nothing_to_compare(changes: dict[str, Any]) -> None:
    assert GeoAnomaly(strict=True).inspect(observe(**{"siblings": (AWAY,), **changes})) == []


# --- agent_change ---

FAR = known(AMERICA)


@pytest.mark.parametrize(
    ("case", "before", "after", "learned", "expected"),
    [
        ("unchanged", kit.CHROME_WINDOWS, kit.CHROME_WINDOWS, ISP, {}),
        ("N29 browser update", kit.CHROME_WINDOWS, kit.CHROME_WINDOWS_131, ISP,
         {"browser_upgraded": 0.2}),
        ("A28 older version", kit.CHROME_WINDOWS, kit.CHROME_WINDOWS_129, ISP,
         {"browser_downgraded": 1.5}),
        ("N30 system name frozen or spelt out", kit.FIREFOX_LINUX, kit.FIREFOX_UBUNTU, ISP, {}),
        ("N34 web view", kit.CHROME_ANDROID, kit.WEBVIEW_ANDROID, ISP, {}),
        ("N32 desktop site on a tablet", kit.SAFARI_IPAD, kit.SAFARI_MAC, ISP,
         {"os_changed": 2.25}),
        ("N33 device emulation", kit.CHROME_WINDOWS, kit.CHROME_ANDROID, ISP,
         {"os_changed": 2.25}),
        ("other browser, same desk", kit.CHROME_WINDOWS, kit.EDGE_WINDOWS, ISP,
         {"browser_changed": 2.4}),
        ("A27 other device on the same network", kit.CHROME_WINDOWS, kit.SAFARI_MAC, ISP,
         {"os_changed": 2.25, "browser_changed": 2.4}),
        ("A1 other device elsewhere", kit.CHROME_WINDOWS, kit.SAFARI_MAC, AMERICA,
         {"os_changed": 4.5, "browser_changed": 4.0}),
        ("other system elsewhere", kit.CHROME_WINDOWS, kit.CHROME_IPHONE, AMERICA,
         {"os_changed": 4.5}),
        ("A7 a script is not for this one", kit.CHROME_WINDOWS, kit.CURL, ISP, {}),
        ("script, then browser", kit.CURL, kit.CHROME_WINDOWS, ISP, {"browser_changed": 1.0}),
        ("to an unknown text", kit.CHROME_WINDOWS, "gibberish", AMERICA,
         {"browser_changed": 4.0}),
        ("from one unknown text to another", "gibberish", "other", AMERICA, {}),
    ],
)  # fmt: skip
def test_agent_changes(
    case: str, before: str, after: str, learned: Network, expected: dict[str, float]
) -> None:
    seen = observe(after, known=known(learned, agents=(before,)))
    found = AgentChange().inspect(seen)
    assert {signal.code: round(signal.weight, 2) for signal in found} == expected, case


@pytest.mark.parametrize(
    ("case", "before", "after", "expected"),
    [
        ("A7 script", kit.CHROME_WINDOWS, kit.CURL, 5.0),
        ("no agent at all", kit.CHROME_WINDOWS, "", 5.0),
        ("script all along", kit.CURL, "Wget/1.21", 0.0),
        ("a browser", kit.CHROME_WINDOWS, kit.SAFARI_MAC, 0.0),
    ],
)
def test_script_clients(case: str, before: str, after: str, expected: float) -> None:
    seen = observe(after, known=known(ISP, agents=(before,)))
    assert weight(ScriptClient().inspect(seen)) == expected, case


BARE = {"accept-language": ""}


@pytest.mark.parametrize(
    ("case", "headers", "network", "expected"),
    [
        ("the text alone", BARE, CELL, 5.0),
        ("on the session's own network", BARE, ISP, 3.0),
        ("in its own home", BARE, V6_NEAR, 3.0),
        ("languages", {}, CELL, 0.0),
        ("fetch metadata", {**BARE, "sec-fetch-mode": "cors"}, CELL, 0.0),
        ("a site", {**BARE, "Sec-Fetch-Site": "same-origin"}, CELL, 0.0),
        ("client hints", {**BARE, "sec-ch-ua": '"Chromium";v="130"'}, CELL, 0.0),
    ],
)
def test_a7_a_browsers_name_without_its_headers(
    case: str, headers: dict[str, str], network: Network, expected: float
) -> None:
    before = known(V6 if "home" in case else ISP)
    request = kit.FakeRequest(headers=headers)
    seen = observe(request=request, network=network, known=before, memory=Slot())
    assert weight(ScriptClient().inspect(seen)) == expected, case


@pytest.mark.parametrize(
    ("agent", "activity"),
    [
        ("okhttp/5.3.0", Activity.NAVIGATE),  # an app's own code
        ("stagefright/1.2 (Linux;Android 14)", Activity.ASSET),  # a player
        ("A Reader/1.0", Activity.ASSET),
    ],
)
def test_what_is_no_browser_has_no_such_headers(agent: str, activity: Activity) -> None:
    request = kit.FakeRequest(headers=BARE, agent=agent)
    seen = observe(agent, request=request, network=CELL, known=known(ISP), activity=activity)
    assert [one.weight for one in ScriptClient().inspect(seen)] in ([], [5.0])
    assert ("okhttp" in agent) or ScriptClient().inspect(seen) == []


def test_a_session_that_began_without_these_headers_goes_on_so() -> None:
    """A proxy on the way takes them away, from the sign-in on."""
    story = Story(detection())
    request = kit.FakeRequest(headers=BARE)
    assert codes(story.step(request=request, is_login=True)) == []
    assert codes(story.step(CELL, request=request)) == ["network_changed"]
    stolen = Story(detection())
    stolen.step(is_login=True)
    found = stolen.step(CELL, request=request)
    assert codes(found) == ["network_changed", "script_client"]
    assert found.flag is True


def test_a_websocket_may_come_without_these_headers() -> None:
    request = kit.FakeRequest(headers=BARE, websocket=True)
    assert ScriptClient().inspect(observe(request=request, network=CELL, known=known(ISP))) == []


def test_a_thief_does_not_make_it_a_habit_of_the_session() -> None:
    """Only the sign-in says what is usual, also where nothing was learned at it."""
    bare = kit.FakeRequest(headers=BARE)
    story = Story(detection())
    story.step(request=bare)
    story.step(CELL)
    assert codes(story.step(FRANCE, request=bare)) == ["network_changed", "script_client"]


def test_a_detector_that_extends_it_sees_every_request() -> None:
    class Mine(ScriptClient):
        def inspect(self, observation: Observation) -> list[Signal]:
            self.seen = observation
            return super().inspect(observation)

    mine = Mine()
    story = Story(detection(detectors=[mine]))
    story.step()
    assert mine.seen.network == ISP


def test_two_devices_changed_on_one_network_pass_the_flag_and_one_does_not() -> None:
    both = AgentChange().inspect(observe(kit.SAFARI_MAC, known=known(ISP)))
    one = AgentChange().inspect(observe(kit.EDGE_WINDOWS, known=known(ISP)))
    assert weight(one) < FLAG <= weight(both)


def test_the_nearest_known_agent_counts() -> None:
    agents = (kit.SAFARI_IPHONE, kit.CHROME_WINDOWS)
    mixed = AgentChange().inspect(observe(kit.CHROME_IPHONE, known=known(AMERICA, agents=agents)))
    assert mixed == []


def test_where_no_network_was_ever_resolved_none_has_changed() -> None:
    unresolved = {"network": Network(), "client_ip": kit.client(None)}
    nowhere = observe(kit.SAFARI_MAC, known=known(Network()), **unresolved)
    hidden = observe(kit.SAFARI_MAC, known=known(ISP), **unresolved)
    assert weight(AgentChange().inspect(nowhere)) == 4.65
    assert weight(AgentChange().inspect(hidden)) == 8.5


@pytest.mark.parametrize("changes", [{"known": Known()}, {"is_new_context": False}])
def test_first_and_recent_agents_are_not_compared(changes: dict[str, Any]) -> None:
    assert AgentChange().inspect(observe(kit.SAFARI_MAC, **{"known": FAR, **changes})) == []
    assert ScriptClient().inspect(observe(kit.CURL, **{"known": FAR, **changes})) == []


def test_without_the_parser_only_texts_are_compared() -> None:
    unparsed = KnownAgent("", "", (), digest(kit.CHROME_WINDOWS))
    same = observe(device=Device(), known=replace(FAR, agents=(unparsed,)))
    assert AgentChange().inspect(same) == []
    other = observe(kit.SAFARI_MAC, device=Device(), known=replace(FAR, agents=(unparsed,)))
    (found,) = AgentChange().inspect(other)
    assert (found.code, found.weight) == ("agent_changed", 1.0)
    removed = observe(kit.SAFARI_MAC, device=Device(), known=FAR)
    assert weight(AgentChange().inspect(removed)) == 1.0


def test_an_unknown_system_is_not_another_one() -> None:
    device = Device(family="Chrome", os="", version=(130, 0))
    found = AgentChange().inspect(observe("Chrome/130.0", device=device, known=FAR))
    assert found == []
    before = KnownAgent("Safari", "", (), b"")
    seen = observe(kit.CHROME_WINDOWS, known=replace(FAR, agents=(before,)))
    assert [signal.code for signal in AgentChange().inspect(seen)] == ["browser_changed"]


# --- detectors of your own ---


def test_functions_are_wrapped_and_may_say_what_they_need() -> None:
    def night_owl(observation: Observation) -> None:
        del observation

    def lean(observation: Observation) -> None:
        del observation

    lean.needs = frozenset({"device"})  # type: ignore[attr-defined] # as the docs allow
    first, second = as_detectors([night_owl, lean])
    assert (first.name, second.name) == ("night_owl", "lean")
    assert first.needs == {
        *("memory", "user_memory", "siblings", "network", "device", "failed_logins"),
    }
    assert second.needs == {"device"}


def test_wrong_detectors_are_named_all_at_once() -> None:
    class Greedy(Detector):
        name = "greedy"
        needs = frozenset({"everything"})

    with pytest.raises(SettingsError) as caught:
        as_detectors([IPShift(), IPShift(), Detector(), Greedy(), IPShift, 7])  # type: ignore[list-item] # wrong on purpose
    text = str(caught.value)
    assert text.startswith("6 problems")
    for part in ("'ip_shift'", "'' of Detector", "'everything'", "<class", "7 was given"):
        assert part in text


def test_the_base_class_finds_nothing_by_itself() -> None:
    with pytest.raises(NotImplementedError):
        Detector().inspect(observe())


def test_a_slot_is_a_dict_of_plain_values() -> None:
    slot = Slot({"n": 1})
    slot["n"] = 2
    slot["seen"] = b"\x00"
    del slot["n"]
    assert dict(slot) == {"seen": b"\x00"} == slot.copy()
    assert len(slot) == 1
    assert repr(slot) == "Slot({'seen': b'\\x00'})"


@pytest.mark.parametrize("value", [[1], {}, object(), float("nan"), float("inf"), 1 << 63])
def test_a_slot_takes_no_other_values(value: Any) -> None:
    with pytest.raises(TypeError, match="slot value"):
        Slot()["k"] = value
    with pytest.raises(TypeError, match="slot key"):
        Slot()[value] = 1


def test_a_slot_refuses_what_is_too_much_and_may_still_shrink() -> None:
    slot = Slot({"data": bytes(300)})
    with pytest.raises(ValueError, match=r"at most 256 are kept"):
        slot["more"] = 1
    slot["data"] = bytes(299)
    assert slot["data"] == bytes(299)


@pytest.mark.slow
@kit.FIXED
@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=90)), max_size=12))
def test_a_slot_stays_within_its_size(writes: list[tuple[str, bytes]]) -> None:
    """Oracle: the sum of what is in it, which is less than its packed size."""
    slot = Slot()
    for key, value in writes:
        before = slot.copy()
        try:
            slot[key] = value
        except ValueError:
            assert slot.copy() == before
    assert sum(len(key.encode()) + len(value) for key, value in values_of(slot)) <= 256


def values_of(slot: Slot) -> Iterator[tuple[str, bytes]]:
    for key, value in slot.items():
        assert isinstance(value, bytes)
        yield key, value

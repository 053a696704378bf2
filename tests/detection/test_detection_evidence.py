"""What is remembered: bounds, decay, saturation, hysteresis, unreadable bytes."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import detection_kit as kit
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.detection import digest, entry, evidence, learning, pair
from gatehound.detection.evidence import Evidence, Remembered, next_flag, read
from gatehound.detection.known import Known
from gatehound.model import Device, Network
from gatehound.stores.rule import MAX_MEMORY_BYTES

HALF_LIFE = 1800.0
NOW = kit.NOW

texts = st.text(max_size=300)
networks = st.builds(
    Network,
    prefix=st.sampled_from(["", "192.0.2.0/24"])
    | st.integers(0, 99).map("2001:db8:{}::/64".format),
    asn=st.integers(0, 2**32 - 1) | st.integers(0, 12),
    country=st.sampled_from(["", "DE", "FR", "US", "GB", "IT", "ES", "PT", "NL", "BE", "AT"]),
    continent=st.sampled_from(["", "EU", "NA"]),
    build=st.integers(0, 2**33),
)
devices = st.builds(
    Device,
    family=texts,
    os=texts,
    version=st.lists(st.integers(0, 2**31), max_size=2).map(tuple),
    is_script=st.booleans(),
)
times = st.integers(0, 3 * 86400).map(lambda seconds: NOW + seconds)
values = (
    st.binary(max_size=40)
    | st.text(max_size=40)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
slots = st.dictionaries(st.text(max_size=10), values, max_size=4)
remembered = st.builds(
    Remembered,
    code=st.sampled_from("abc") | texts,
    weight=st.floats(-10, 10),
    at=times,
    reason=texts,
    detector=texts,
)


@st.composite
def memories(draw: st.DrawFn) -> bytes:
    kept = Evidence()
    for network, device, at, proven in draw(
        st.lists(st.tuples(networks, st.none() | devices, times, st.booleans()), max_size=12)
    ):
        kept.learn(network, device, digest(repr(device)), at, proven=proven)
    for signal in draw(st.lists(remembered, max_size=16)):
        kept.note(signal, HALF_LIFE)
    for name, slot in draw(st.dictionaries(st.text(max_size=10), slots, max_size=4)).items():
        kept.set_slot(name, slot)
    return kept.pack()


@pytest.mark.slow
@kit.FIXED
@given(memories())
def test_it_comes_back_as_it_went_and_fits(data: bytes) -> None:
    again, failure = read(data)
    assert failure == ""
    assert again.pack() == data
    assert len(data) <= evidence.MAX_BYTES <= MAX_MEMORY_BYTES
    assert len(again.prefixes) <= learning.MAX_PREFIXES
    assert len(again.networks) <= learning.MAX_NETWORKS
    assert len(again.countries) <= learning.MAX_COUNTRIES
    assert len(again.agents) <= learning.MAX_AGENTS
    assert len(again.signals) <= evidence.MAX_SIGNALS


@pytest.mark.parametrize(
    "data",
    [
        b"\x01" + Evidence().pack()[1:],
        b"\x03" + Evidence().pack()[1:],
        b"\x02",
        b"\x02\xff",
        b"\x02" + msgspec.msgpack.encode({"a": 1}),
        Evidence(prefixes={"192.0.2.0/24": entry.Entry(1, 2)}).pack()[:-3],
        b"\x02" + msgspec.msgpack.encode([{}, {}, {}, {}, {"c": ["c", float("nan"), 1.0, "r"]}]),
        b"\x02" + msgspec.msgpack.encode([{}, {}, {}, {}, {}, {"d": {"k": [1]}}]),
        b"\x02" + b"\x91" * 4000,
        b"\x02\x91\x81\xa1\xff\x92\x01\x01",
    ],
)
def test_unreadable_bytes_are_empty_and_reported(data: bytes) -> None:
    found, failure = read(data)
    assert found == Evidence()
    assert failure


@pytest.mark.slow
@kit.FIXED
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"\x02" + data))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    """Oracle: what is read can be packed again. Not checked: that garbage is always noticed."""
    found, _ = read(data)
    assert len(found.pack()) <= evidence.MAX_BYTES


def test_no_bytes_are_empty_and_no_failure() -> None:
    assert read(b"") == (Evidence(), "")
    assert Evidence().is_empty


def test_fields_that_a_later_release_appends_are_skipped() -> None:
    kept = Evidence()
    kept.learn(kit.ISP, None, b"", NOW)
    fields = [*msgspec.msgpack.decode(kept.pack()[1:]), {"later": 1}]
    assert read(b"\x02" + msgspec.msgpack.encode(fields)) == (kept, "")


def test_the_entry_that_was_unused_for_longest_goes() -> None:
    kept = Evidence()
    for n in range(learning.MAX_PREFIXES):
        kept.learn(Network(prefix=f"10.0.{n}.0/24"), None, b"", NOW + 100 * n)
    kept.learn(Network(prefix="10.0.0.0/24"), None, b"", NOW + 9000)
    kept.learn(Network(prefix="10.1.0.0/24"), None, b"", NOW + 9000)
    known = kept.known().prefixes
    assert len(known) == learning.MAX_PREFIXES
    assert {"10.0.0.0/24", "10.1.0.0/24"} <= known
    assert "10.0.1.0/24" not in known


def test_the_latest_is_known_even_where_all_came_in_one_second() -> None:
    kept = Evidence()
    for n in range(99, 0, -1):
        kept.learn(Network(prefix=f"10.0.{n}.0/24"), None, b"", NOW)
        assert kept.known().has_prefix(f"10.0.{n}.0/24")


def test_using_a_known_context_again_soon_changes_no_byte() -> None:
    kept = Evidence()
    device = Device(family="Chrome", os="Windows", version=(130, 0))
    kept.learn(kit.ISP, device, b"digest", NOW)
    before = kept.pack()
    kept.learn(kit.ISP, device, b"digest", NOW + 59)
    assert kept.pack() == before
    kept.learn(kit.ISP, device, b"digest", NOW + 60)
    assert kept.pack() != before


def test_what_a_user_knows_has_to_be_a_day_old_or_proven() -> None:
    kept = Evidence()
    device = Device(family="Chrome", os="Windows")
    kept.learn(kit.ISP, device, b"digest", NOW)
    fresh = kept.known(settled_at=NOW + evidence.SETTLED - 1)
    assert fresh == Known()
    old = kept.known(settled_at=NOW + evidence.SETTLED)
    assert old == kept.known()
    assert old.has_prefix(kit.ISP.prefix)
    assert old.has_agent(device, b"other")
    kept.learn(kit.CELL, None, b"", NOW, proven=True)
    assert kept.known(settled_at=NOW).has_network(kit.CELL)


@pytest.mark.parametrize("order", [(False, True), (True, False), (False, True, False)])
def test_what_was_proven_once_is_settled_whatever_was_learned_before_and_after(
    order: tuple[bool, ...],
) -> None:
    kept, network = Evidence(), msgspec.structs.replace(kit.ISP, kind="mobile")
    device = Device(family="Chrome", os="Windows")
    for after, proven in enumerate(order):
        kept.learn(network, device, b"digest", NOW + after, proven=proven)
    known = kept.known(settled_at=NOW)
    assert known == kept.known()
    assert known.has_prefix(network.prefix)
    assert known.has_network(network)
    assert known.has_agent(device, b"other")
    assert (list(known.countries), list(known.kinds)) == (["DE"], ["mobile"])


@pytest.mark.parametrize("continent", ["AS", "EU", ""])
def test_a_continent_comes_back_whether_the_country_says_it_or_not(continent: str) -> None:
    """Turkey's is AS in our own table, which stands in where a network has none."""
    kept = Evidence()
    network = msgspec.structs.replace(kit.ISP, country="TR", continent=continent)
    kept.learn(msgspec.structs.replace(network, continent="OC"), None, b"", NOW)
    kept.learn(network, None, b"", NOW + 1)
    known = read(kept.pack())[0].known()
    needed = "" if continent == "AS" else continent  # what the country says is not kept
    assert [one.continent for one in kept.networks.values()] == [needed]
    assert kept.countries["TR"].continent == needed
    expected = continent or "AS"
    assert known.countries == {"TR": expected}
    (one,) = known.networks
    assert (one.asn, one.country, one.continent) == (network.asn, "TR", expected)


@pytest.mark.parametrize("since", [-(2**63), -1, 2**62, 2**64 - 1])
@pytest.mark.parametrize("span", [-(2**63), 0, 2**63, 2**64 - 1])
def test_times_that_only_damage_can_make_are_learned_over(since: int, span: int) -> None:
    """Not checked: that the entry counts as old or as new, because nobody can say."""
    kept = Evidence(prefixes={kit.ISP.prefix: entry.Entry(since, span)})
    for proven in (False, True):
        kept.learn(kit.ISP, None, b"", NOW, proven=proven)
        assert read(kept.pack()) == (kept, "")


def test_what_is_used_again_is_as_old_as_it_was_and_as_late_as_it_is() -> None:
    kept = Evidence()
    for at in (NOW, NOW + 100, NOW + 50, NOW - 100):
        kept.learn(kit.ISP, None, b"", at)
    one = kept.prefixes[kit.ISP.prefix]
    assert (one.since, one.since + one.span) == (NOW - 100, NOW + 100)
    kept.learn(kit.ISP, None, b"", NOW + 30, proven=True)
    assert (one.since, one.since + one.span) == (0, NOW + 100)


def test_a_signal_halves_with_every_half_life() -> None:
    signal = Remembered("code", 4.0, NOW, "reason")
    assert signal.now(NOW, HALF_LIFE) == 4.0
    assert signal.now(NOW + HALF_LIFE, HALF_LIFE) == 2.0
    assert signal.now(NOW + 2 * HALF_LIFE, HALF_LIFE) == 1.0
    assert signal.now(NOW - 100, HALF_LIFE) == 4.0


def noted(*signals: tuple[float, float]) -> Remembered:
    kept = Evidence()
    for weight, at in signals:
        kept.note(Remembered("code", weight, at, f"reason {weight}"), HALF_LIFE)
    return kept.signals["code"]


def test_a_code_counts_once_at_its_maximum() -> None:
    assert noted((2.0, NOW), (2.0, NOW), (2.0, NOW)).weight == 2.0
    assert noted((1.0, NOW), (3.0, NOW)).weight == 3.0
    weaker = noted((3.0, NOW), (1.0, NOW + 60))
    assert (weaker.weight, weaker.at, weaker.reason) == (3.0, NOW, "reason 3.0")
    renewed = noted((3.0, NOW), (2.0, NOW + HALF_LIFE))
    assert (renewed.weight, renewed.at) == (2.0, NOW + HALF_LIFE)
    late = noted((1.0, NOW), (3.0, NOW - 5))
    assert (late.weight, late.at) == (3.0, NOW)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_what_speaks_for_the_session_or_is_no_number_is_not_remembered(weight: float) -> None:
    kept = Evidence()
    kept.note(Remembered("code", weight, NOW, "reason"), HALF_LIFE)
    assert kept.signals == {}


def test_old_and_faint_signals_are_dropped() -> None:
    kept = Evidence()
    for code, weight, at in (("old", 9.0, NOW - 7201), ("faint", 0.06, NOW - 1800), ("x", 1, NOW)):
        kept.note(Remembered(code, weight, at, "reason"), HALF_LIFE)
    kept.forget(NOW, half_life=HALF_LIFE, window=7200.0)
    assert list(kept.signals) == ["x"]


@pytest.mark.parametrize(
    ("score", "flagged", "recent", "expected"),
    [
        (4.49, False, True, False),
        (4.5, False, False, True),
        (4.49, True, False, True),
        (2.25, True, False, True),
        (2.24, True, False, False),
        (2.24, True, True, True),
        (0.0, True, True, True),
        (0.0, False, True, False),
    ],
)
def test_a_flag_is_left_at_half_of_where_it_is_entered(
    score: float, flagged: bool, recent: bool, expected: bool
) -> None:
    assert next_flag(score, flagged=flagged, enter=4.5, recent=recent) is expected


def test_slots_written_longest_ago_give_way() -> None:
    kept = Evidence()
    for name in ("a", "b", "c", "d", "e"):
        kept.set_slot(name, {"data": bytes(240)})
    kept.set_slot("a", {"data": bytes(240)})
    assert kept.trim() == ("b",)
    assert set(kept.slots) == {"a", "c", "d", "e"}
    kept.set_slot("c", {})
    assert "c" not in kept.slots


def test_what_does_not_fit_gives_way_in_order() -> None:
    wide: dict[str, Any] = {f"2001:db8:{n}:ffff:ffff:ffff:ffff:ffff/128": n for n in range(32)}
    kept = Evidence()
    for prefix, n in wide.items():
        kept.learn(Network(prefix=prefix), None, b"", NOW + 100 * n)
    for n in range(evidence.MAX_SIGNALS):
        kept.note(Remembered(f"code {n}", 1.0 + n, NOW, "r" * 160), HALF_LIFE)
    kept.set_slot("slot", {"data": bytes(200)})
    packed = read(kept.pack())[0]
    assert len(packed.signals) == evidence.MAX_SIGNALS
    assert packed.slots
    assert 8 <= len(packed.prefixes) < 32
    assert f"2001:db8:{31}:ffff:ffff:ffff:ffff:ffff/128" in packed.prefixes


def test_values_of_any_size_fit_in_the_end() -> None:
    kept = Evidence(
        prefixes={"p" * 5000: entry.Entry(1, 1)},
        signals={str(n): Remembered("c" * 900, 1.0 + n, NOW, "r" * 900) for n in range(9)},
        agents={str(n): entry.AgentEntry(1, n, "f" * 900, "", (), b"") for n in range(4)},
        slots={"one": {"k": bytes(900)}},
    )
    assert kept.pack() == Evidence().pack()
    one_too_many = Evidence(
        signals={str(n): Remembered(str(n), 1.0 + n, NOW, "r" * 1500) for n in range(3)},
        slots={"one": {"k": bytes(900)}},
    )
    assert set(read(one_too_many.pack())[0].signals) == {"1", "2"}


def test_the_bound_is_met_to_the_byte() -> None:
    sizes = set()
    for length in range(4040, 4100):
        signal = Remembered("c", 1.0, NOW, "r" * length)
        sizes.add(len(Evidence(signals={"c": signal}).pack()))
    assert max(sizes) == evidence.MAX_BYTES


def test_a_pair_stands_for_prefix_and_agent() -> None:
    agent = digest(kit.CHROME_WINDOWS)
    one = pair(ip_address("192.0.2.1").packed, agent)
    assert len(one) == 6
    assert (
        one
        == pair(ip_address("192.0.2.99").packed, agent)
        == pair(ip_address("192.0.2.255").packed, agent)
    )
    different = {
        one,
        pair(ip_address("192.0.3.1").packed, agent),
        pair(ip_address("192.0.2.1").packed, digest(kit.CURL)),
        pair(None, agent),
        pair(ip_address("192.0.2.1").packed, agent, v4_prefix=32),
    }
    assert len(different) == 5
    assert pair(None, agent) == pair(None, agent)

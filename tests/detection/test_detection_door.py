"""The door itself: which detectors run, those that fail, and what is kept of what they do."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import detection_kit as kit
import pytest
from detection_kit import (
    CELL,
    FRANCE,
    ISP,
    ISP_OTHER,
    NOW,
    V6,
    Story,
    codes,
    detection,
    session,
)
from msgspec.structs import replace

import gatehound.detection
from gatehound._sync import run_sync
from gatehound.detection import (
    Detection,
    DetectionSettings,
    Detector,
    GeoAnomaly,
    Known,
    Networks,
    Observation,
    PolicySettings,
    digest,
)
from gatehound.detection.evidence import Evidence, read
from gatehound.detection.settings import DETECTORS, ReputationSettings
from gatehound.errors import SettingsError, UsageError
from gatehound.model import Action, Network, Signal

# --- which detectors, and what they need ---


def test_built_in_detectors_follow_the_settings(city_database: str, tmp_path: Path) -> None:
    placed = Networks(city=city_database)

    def names(networks: Networks | None = None, **fields: Any) -> list[str]:
        return [one.name for one in detection(networks=networks, **fields).detectors]

    unlisted = [one for one in DETECTORS if one != "reputation"]
    assert names(placed) == unlisted
    assert names() == [one for one in unlisted if one not in ("geo_anomaly", "impossible_travel")]
    risky = tmp_path / "risky.txt"
    risky.write_text("192.0.2.0/24\n")
    listed = ReputationSettings(risky=(str(risky),))
    assert names(placed, reputation=listed) == list(DETECTORS)
    assert names(placed, disable=("ip_shift", "reuse")) == [
        one for one in unlisted if one not in ("ip_shift", "reuse")
    ]
    assert names(placed, disable=DETECTORS) == []
    assert detection(networks=placed).needs == {
        "memory", "user_memory", "siblings", "network", "device", "failed_logins",
    }  # fmt: skip
    assert "siblings" not in detection().needs


def test_strict_detectors_flag_alone(city_database: str) -> None:
    placed = Networks(city=city_database)
    strict = detection(networks=placed, ip_shift="strict", geo_anomaly="strict")
    story = Story(strict)
    story.step()
    moved = story.step(session=session(address=ip_address("192.0.2.9")))
    assert (codes(moved), moved.flag) == (["address_changed"], True)
    abroad = Story(strict)
    judged = abroad.step(siblings=(session("b" * 16, country="FR"),))
    assert (codes(judged), judged.flag) == (["countries_concurrent"], True)
    assert judged.verdict.signals[0].detail["siblings"] == "b" * 16


def test_a_strict_ip_shift_makes_every_address_a_pair_of_its_own() -> None:
    one, two = ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed
    agent = digest(kit.CHROME_WINDOWS)
    graded, strict = detection(), detection(ip_shift="strict")
    assert graded.pair(one, agent) == graded.pair(two, agent)
    assert strict.pair(one, agent) != strict.pair(two, agent)
    wide = detection(networks=Networks(v4_prefix=16))
    assert wide.pair(one, agent) == wide.pair(ip_address("192.0.77.1").packed, agent)


def test_wrong_settings_are_named_all_at_once() -> None:
    settings = DetectionSettings(mode="on")  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(SettingsError) as caught:
        Detection(settings, PolicySettings(record=0.0), Networks())
    assert len(caught.value.problems) == 2


# --- detectors of other people ---


class Sparse(Detector):
    name = "sparse"
    needs = frozenset({"memory"})

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        count = observation.memory.get("count", 0)
        assert isinstance(count, int)
        observation.memory["count"] = count + 1
        observation.user_memory["last"] = observation.now
        if count == 2:
            yield Signal("third_time", 2.0, "Third time", {"count": count})


def test_a_detector_keeps_a_slot_of_its_own() -> None:
    story = Story(detection(detectors=[Sparse(), silent]))
    assert [codes(story.step()) for _ in range(4)] == [[], [], ["third_time"], []]
    assert read(story.memory)[0].slots == {"sparse": {"count": 4}}
    assert read(story.user_memory)[0].slots == {"sparse": {"last": NOW + 240}}


async def later(_: Observation) -> list[Signal]:
    return [Signal("awaited", 1.0, "Awaited")]


async def stream(_: Observation) -> AsyncIterator[Signal]:
    for n in range(99):
        yield Signal(f"streamed_{n}", 0.1, "Streamed")


async def short_stream(_: Observation) -> AsyncIterator[Signal]:
    yield Signal("short", 0.1, "Streamed")


def endless(_: Observation) -> Iterator[Signal]:
    while True:
        yield Signal("endless", 0.1, "Endless")


def single(_: Observation) -> Signal:
    return Signal("single", 1, "Single")


def silent(_: Observation) -> None:
    return None


def test_detectors_of_every_kind_are_called() -> None:
    story = Story(detection(detectors=[later, stream, short_stream, endless, single, silent]))
    judged = story.step()
    assert judged.failures == ()
    found = codes(judged)
    assert (found.count("awaited"), found.count("single"), found.count("endless")) == (1, 1, 16)
    assert found.count("short") == 1
    assert sum(code.startswith("streamed") for code in found) == 16
    signed = {signal.code: (signal.detector, signal.at) for signal in judged.fresh}
    assert signed["awaited"] == ("later", NOW + 60)


def test_a_detector_that_waits_works_with_a_loop_and_is_named_without() -> None:
    async def patient(_: Observation) -> list[Signal]:
        await asyncio.sleep(0)
        return [Signal("waited", 1.0, "Waited")]

    judge = detection(detectors=[patient]).judge
    assert codes(asyncio.run(judge(kit.observe()))) == ["waited"]
    with pytest.raises(UsageError, match="suspended"):
        run_sync(judge(kit.observe()))


def raises(_: Observation) -> None:
    raise ValueError("no data\nfor you")


def half_way(observation: Observation) -> Iterator[Signal]:
    observation.memory["half"] = True
    yield Signal("half", 9.0, "Half")
    raise KeyError("gone")


async def raises_later(_: Observation) -> None:
    raise LookupError("later")


def imports_what_is_missing(_: Observation) -> None:
    import no_such_module  # type: ignore[import-not-found] # noqa: F401 - missing on purpose


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def unspeakable(_: Observation) -> None:
    raise Unspeakable


def returns(value: Any) -> Any:
    def returns_it(_: Observation) -> Any:
        return value

    return returns_it


FAILURES: list[tuple[Any, str]] = [
    (raises, "ValueError: no data\nfor you"),
    (half_way, "KeyError: 'gone'"),
    (raises_later, "LookupError: later"),
    (imports_what_is_missing, "ModuleNotFoundError: No module named 'no_such_module'"),
    (unspeakable, "Unspeakable"),
    (returns(7), "TypeError: 'int' object is not iterable"),
    (returns(["text"]), "TypeError: a detector returns signals, and not str"),
    (
        returns(Signal("x", float("nan"), "r")),
        (
            "ValueError: the weight of 'x' is nan; it is a number of points, at most 1000 for "
            "or against"
        ),
    ),
    (returns(Signal("x", "heavy", "r")), "ValueError: could not convert string to float: 'heavy'"),  # type: ignore[arg-type] # wrong on purpose
    (returns(Signal("x", 1.0, "r", "text")), "TypeError: the detail of 'x' is no mapping"),  # type: ignore[arg-type] # wrong on purpose
    (returns(Signal("", 1.0, "r")), "TypeError: a signal has a code and a reason, both text"),
]


@pytest.mark.parametrize(("detector", "told"), FAILURES, ids=[row[1][:20] for row in FAILURES])
def test_a_failing_detector_is_reported_and_the_others_go_on(detector: Any, told: str) -> None:
    story = Story(detection(detectors=[detector, single]))
    judged = story.step()
    assert [text for _, text in judged.failures] == [told]
    assert judged.failures[0][0] == detector.__name__
    assert codes(judged) == ["single"]
    assert read(story.memory)[0].slots == {}


def test_a_failure_is_clipped() -> None:
    def verbose(_: Observation) -> None:
        raise ValueError("x" * 5000)

    assert len(Story(detection(detectors=[verbose])).step().failures[0][1]) == 200


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_comes_through(error: type[BaseException]) -> None:
    def leave(_: Observation) -> None:
        raise error

    with pytest.raises(error):
        Story(detection(detectors=[leave])).step()


def test_slots_over_their_common_size_are_reported() -> None:
    def greedy(name: str) -> Any:
        def take(observation: Observation) -> None:
            observation.memory["data"] = bytes(240)

        take.__name__ = name
        return take

    judged = Story(detection(detectors=[greedy(f"d{n}") for n in range(5)])).step()
    (failure,) = judged.failures
    assert failure[0] == "d0"
    assert "1024 bytes" in failure[1]


def test_a_user_memory_that_was_not_loaded_is_not_written() -> None:
    judged = Story(detection(detectors=[Sparse()])).step(user_memory=b"as stored")
    assert judged.user_memory == b"as stored"


def test_the_memory_of_the_session_is_always_needed() -> None:
    assert detection(detectors=[]).needs == {"memory"}


def test_unreadable_memories_are_reported_and_made_anew() -> None:
    story = Story(detection())
    judged = story.step(memory=b"\x09later", user_memory=b"\x02\xff")
    assert [name for name, _ in judged.failures] == ["memory", "user_memory"]
    assert "version 9" in judged.failures[0][1]
    assert read(judged.memory)[0].known().has_prefix(ISP.prefix)
    assert story.step().failures == ()


def test_every_detector_sees_what_was_known_before_this_request() -> None:
    seen: list[Observation] = []

    def look(observation: Observation) -> None:
        seen.append(observation)

    story = Story(detection(detectors=[look]))
    story.step(ISP)
    story.step(CELL)
    first, second = seen
    assert first.known == Known()
    assert second.known.prefixes == {ISP.prefix}
    assert second.agent_digest == digest(kit.CHROME_WINDOWS)
    assert second.user_known == Known()
    with pytest.raises(AttributeError):
        second.now = 0.0  # type: ignore[misc] # frozen is what is tested


def test_the_loser_of_a_compare_and_swap_is_judged_again_on_what_the_winner_wrote() -> None:
    """Two requests of one session are judged at once, from the same stored memory."""

    def count(observation: Observation) -> None:
        seen = observation.memory.get("seen", 0)
        observation.memory["seen"] = seen + 1 if isinstance(seen, int) else 0

    story = Story(detection(detectors=[*detection().detectors, count]))
    story.step()
    stored = story.memory
    winner = story.step(CELL).memory
    lost = story.step(FRANCE, memory=stored)
    again = story.step(FRANCE, memory=winner, after=0)
    assert codes(again) == codes(lost) == ["network_changed"]
    kept = read(again.memory)[0]
    assert kept.signals["network_changed"].weight == pytest.approx(2.6)
    assert kept.known().prefixes == {ISP.prefix, CELL.prefix, FRANCE.prefix}
    assert kept.slots == {"count": {"seen": 3}}


def test_unresolved_addresses_are_no_evidence_and_teach_nothing() -> None:
    story = Story(detection())
    story.step(Network())
    assert story.step(ISP).fresh == ()
    hidden = story.step(Network())
    assert (codes(hidden), hidden.verdict.action) == (["address_hidden"], Action.ALLOW)
    assert read(story.memory)[0].known().prefixes == {ISP.prefix}


def test_a_known_prefix_follows_the_database() -> None:
    """N24: an update moves the prefix to another country; nothing is found, both are known."""
    story = Story(detection())
    story.step(ISP)
    moved = replace(ISP, country="AT", build=8)
    assert story.step(moved).fresh == ()
    assert codes(story.step(replace(ISP_OTHER, country="AT", build=8))) == ["network_changed"]
    assert story.step(replace(ISP_OTHER, country="AT", build=8)).fresh == ()


def test_real_look_ups_end_to_end(networks: Networks) -> None:
    story = Story(detection(networks=networks))
    home, paris = (networks.lookup(ip_address(text)) for text in ("192.0.2.1", "198.51.100.7"))
    story.step(home)
    judged = story.step(paris)
    assert [signal.reason for signal in judged.fresh] == [
        "Network in a neighbouring country (FR), browser unchanged"
    ]


def test_memories_stay_small_for_ordinary_sessions() -> None:
    story = Story(detection())
    for network in (ISP, CELL, V6, ISP_OTHER):
        story.step(network)
    assert len(story.memory) < 400
    assert Evidence().pack()[0] == 2


PACKAGE = Path(gatehound.detection.__file__).parent


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_judging_needs_no_loop_thread_or_socket(path: Path) -> None:
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    clock = {"time"} if path.name == "reload.py" else set()  # when a file is looked at again
    assert not (names - clock) & {"asyncio", "threading", "socket", "time"}


@pytest.mark.parametrize("detector", [GeoAnomaly, *(type(one) for one in detection().detectors)])
def test_docstrings_have_their_four_parts(detector: type[Detector]) -> None:
    for part in ("Sees:", "Is fooled by:", "False alarms:", "Tunables:"):
        assert part in (detector.__doc__ or "")


def test_public_names_are_sorted_and_there() -> None:
    names = gatehound.detection.__all__
    assert names == sorted(names)
    assert all(hasattr(gatehound.detection, name) for name in names)


@pytest.mark.slow
def test_extras_are_imported_where_they_are_used_and_not_before() -> None:
    code = (
        "import sys, gatehound.detection as d; d.Networks(); d.Activities(); "
        "print(*{'geoip2', 'maxminddb', 'user_agents', 'ua_parser'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

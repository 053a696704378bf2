"""What is noted from outside, what clears it, and which of those learn."""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, ISP, NOW, Story, detection
from msgspec.structs import replace

from gatehound.detection import describe
from gatehound.detection.evidence import read
from gatehound.model import Action, Device, Signal

REUSED = Signal("secret_reused", 5.0, "An old secret of this session was used")


def test_what_is_noted_from_outside_counts_in_the_next_judgement_and_decays() -> None:
    story = Story(detection())
    story.step()
    known = read(story.memory)[0].known()
    story.memory = story.detection.note(story.memory, REUSED, story.now)
    assert story.detection.reasons(story.memory) == (REUSED.reason,)
    assert read(story.memory)[0].known() == known
    calm: dict[str, Any] = {"is_new_context": False}
    judged = story.step(after=0, **calm)
    assert (judged.verdict.score, judged.flag, judged.fresh) == (5.0, True, ())
    (counted,) = judged.verdict.signals
    assert (counted.code, counted.reason) == (REUSED.code, REUSED.reason)
    assert story.step(after=1800, **calm).verdict.score == pytest.approx(2.5)
    assert story.step(after=7200, **calm).verdict.signals == ()
    assert story.detection.reasons(story.memory) == ()


def test_a_note_counts_once_at_its_greatest_weight_and_adds_to_other_evidence() -> None:
    story = Story(detection())
    story.step()
    story.step(AMERICA)
    for weight in (5.0, 5.0, 1.0):
        signal = replace(REUSED, weight=weight)
        story.memory = story.detection.note(story.memory, signal, story.now)
    judged = story.step(AMERICA, after=0, is_new_context=False)
    assert judged.verdict.score == pytest.approx(9.0)


@pytest.mark.parametrize("memory", [b"", b"\x09later"])
def test_a_note_needs_no_memory_that_can_be_read(memory: bytes) -> None:
    for mode in ("off", "flag"):
        door = detection(mode)
        assert door.reasons(door.note(memory, REUSED, NOW)) == (REUSED.reason,)


@pytest.mark.parametrize("weight", [0.0, -3.0, float("inf"), float("nan")])
def test_a_note_that_weighs_nothing_leaves_the_others(weight: float) -> None:
    door = detection()
    memory = door.note(door.note(b"", REUSED, NOW), Signal("odd", weight, "Odd"), NOW)
    assert door.reasons(memory) == (REUSED.reason,)


def test_clear_takes_the_signals_away_and_learns_nothing() -> None:
    story = Story(detection())
    story.step()
    known = read(story.memory)[0].known()
    story.step(AMERICA, kit.SAFARI_MAC)
    assert story.detection.reasons(story.memory)
    story.memory = story.detection.clear(story.memory)
    story.flagged = False
    assert story.detection.reasons(story.memory) == ()
    assert read(story.memory)[0].known() == known
    assert story.step(AMERICA, kit.SAFARI_MAC).flag is True


def test_clear_changes_no_byte_where_no_signal_is() -> None:
    door = detection()
    quiet = Story(door).step().memory
    for memory in (b"", b"\x09later", quiet):
        assert door.clear(memory) == memory


def test_confirm_clears_and_learns_at_once() -> None:
    story = Story(detection())
    story.step()
    story.step(AMERICA, kit.SAFARI_MAC)
    story.memory, story.user_memory = story.detection.confirm(
        story.memory,
        story.user_memory,
        network=AMERICA,
        device=describe(kit.SAFARI_MAC),
        now=story.now,
        agent=kit.SAFARI_MAC,
    )
    story.flagged = False
    assert story.detection.reasons(story.memory) == ()
    judged = story.step(AMERICA, kit.SAFARI_MAC)
    assert (judged.fresh, judged.verdict.action) == ((), Action.ALLOW)
    other = Story(detection(), user_memory=story.user_memory)
    other.step()
    assert other.step(AMERICA).verdict.score == pytest.approx(2.8)


def test_confirm_without_a_known_agent_learns_the_network_alone() -> None:
    memory, _ = detection().confirm(b"", b"", network=ISP, device=Device(), now=NOW)
    known = read(memory)[0].known()
    assert (known.has_prefix(ISP.prefix), known.agents) == (True, ())

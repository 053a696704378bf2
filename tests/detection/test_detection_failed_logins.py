"""A sign-in while an attack on passwords is under way: what it weighs, alone and with others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, combinations
from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, CELL, DAY, FRANCE, ISP, Story, codes, observe
from msgspec.structs import replace

from gatehound._sync import run_sync
from gatehound.detection import AmidAttack, Detection, NewDevice
from gatehound.detection.detectors.failed_logins import ATTACK, BOTH
from gatehound.detection.policy import STRICT_FLAG, PolicySettings
from gatehound.model import Action, Network

NETWORK, USER = frozenset({"network"}), frozenset({"user"})
MORE = frozenset({"more"})
POLICY = PolicySettings()
CODE = "signed_in_amid_attack"
BOTH_REASON = (
    "Signed in after many failed attempts at this account, "
    "from a network where sign-ins to many other accounts have just failed"
)


@pytest.mark.parametrize(
    ("attacked", "weight", "reason"),
    [
        (frozenset(), 0, ""),
        (NETWORK, ATTACK,
         "Signed in from a network where sign-ins to many other accounts have just failed"),
        (USER, ATTACK, "Signed in after many failed attempts at this account"),
        (NETWORK | USER, BOTH, BOTH_REASON),
        (frozenset({"moon"}), 0, ""),
        (MORE, ATTACK,
         "Signed in while sign-ins fail of more accounts or networks than are told apart"),
        (MORE | USER, ATTACK, "Signed in after many failed attempts at this account"),
        (MORE | NETWORK | USER, BOTH, BOTH_REASON),
    ],
)  # fmt: skip
def test_what_is_found(attacked: frozenset[str], weight: float, reason: str) -> None:
    found = AmidAttack().inspect(observe(is_login=True, failed_logins=attacked))
    assert [(one.code, one.weight, one.reason) for one in found] == (
        [(CODE, weight, reason)] if weight else []
    )
    for one in found:
        assert one.detail == {"network": "network" in attacked, "user": "user" in attacked}


@pytest.mark.parametrize(
    "changes", [{"is_login": False}, {"is_login": True, "known_device": True}, {}]
)
def test_only_a_sign_in_on_no_known_device(changes: dict[str, Any]) -> None:
    assert AmidAttack().inspect(observe(failed_logins=NETWORK | USER, **changes)) == []


def test_alone_it_is_recorded_and_no_flag() -> None:
    assert POLICY.record < ATTACK < BOTH < POLICY.flag_at
    assert ATTACK < STRICT_FLAG


def settled() -> Story:
    """A user who has signed in at home for longer than a day."""
    story = Story(kit.detection(detectors=[NewDevice(), AmidAttack()]))
    for after in (60.0, DAY + 3600):
        story.memory = b""
        story.step(ISP, after=after, is_login=True, known_device=True)
    story.memory = b""
    return story


HOSTING = replace(CELL, kind="hosting")
VPN = replace(CELL, kind="vpn")


@pytest.mark.parametrize(
    ("network", "agent", "attacked", "action"),
    [
        # What a guessed account's owner may do.
        (ISP, kit.CHROME_WINDOWS, NETWORK | USER, Action.RECORD),  # cookies were cleared: 3.6
        (ISP, kit.SAFARI_IPHONE, USER, Action.RECORD),  # a new phone at home: 3.1
        (ISP, kit.SAFARI_IPHONE, NETWORK | USER, Action.RECORD),  # beside the attacker: 4.1
        (CELL, kit.SAFARI_IPHONE, NETWORK, Action.RECORD),  # and on cellular: 3.6
        (CELL, kit.SAFARI_IPHONE, USER, Action.RECORD),
        (CELL, kit.SAFARI_IPHONE, frozenset(), Action.RECORD),
        # What a thief does who has guessed it.
        (CELL, kit.SAFARI_IPHONE, NETWORK | USER, Action.FLAG),  # 4.6
        (VPN, kit.CHROME_WINDOWS, USER, Action.FLAG),  # 4.6
        (FRANCE, kit.CHROME_WINDOWS, USER, Action.FLAG),  # 5.8
        (FRANCE, kit.CHROME_WINDOWS, NETWORK, Action.FLAG),
        (FRANCE, kit.CHROME_WINDOWS, frozenset(), Action.RECORD),  # a traveller
        (AMERICA, kit.CHROME_WINDOWS, NETWORK | USER, Action.STEP_UP),  # 6.8
        (HOSTING, kit.CHROME_WINDOWS, USER, Action.STEP_UP),  # 7.0
        (HOSTING, kit.CHROME_WINDOWS, frozenset(), Action.RECORD),  # 4.4
    ],
)
def test_what_it_comes_to_with_a_new_device(
    network: Network, agent: str, attacked: frozenset[str], action: Action
) -> None:
    story = settled()
    story.detection = kit.detection(mode="step-up", detectors=[NewDevice(), AmidAttack()])
    judged = story.step(network, agent, is_login=True, failed_logins=attacked)
    assert judged.verdict.action is action
    assert (CODE in codes(judged)) is bool(attacked)


def powerset(items: Iterable[str]) -> list[frozenset[str]]:
    items = list(items)
    sizes = range(len(items) + 1)
    return [frozenset(one) for one in chain.from_iterable(combinations(items, n) for n in sizes)]


def test_more_attacked_is_never_weighed_less() -> None:
    found = {
        one: sum(s.weight for s in AmidAttack().inspect(observe(is_login=True, failed_logins=one)))
        for one in powerset(["network", "user"])
    }
    assert all(found[a] <= found[b] for a in found for b in found if a <= b)


def test_it_fades_as_other_evidence_does() -> None:
    story = Story(kit.detection(detectors=[AmidAttack()]))
    first = story.step(is_login=True, failed_logins=USER)
    later = story.step(after=1800)
    assert first.verdict.score == ATTACK
    assert later.verdict.score == pytest.approx(ATTACK / 2)
    assert story.step(after=DAY).verdict.score == 0


def test_who_asks_for_it() -> None:
    def needs(**fields: Any) -> bool:
        return "failed_logins" in kit.detection(**fields).needs

    assert needs()
    assert needs(detectors=[lambda observation: None])  # given everything
    assert not needs(disable=("failed_logins",))
    assert not needs(mode="off")
    assert not needs(detectors=[NewDevice()])


def test_others_may_look_at_it_too() -> None:
    seen: list[frozenset[str]] = []
    judging: Detection = kit.detection(detectors=[lambda one: seen.append(one.failed_logins)])
    run_sync(judging.judge(observe(is_login=True, failed_logins=USER)))
    assert seen == [USER]

"""What is counted of a run: session-days, false positives with their reasons, and detections.

A session-day is a device on one of its user's days with at least one request. It is a false
positive if one of its requests saw `action >= FLAG` before any attack on its user; from the
beginning of an attack on, nothing of that user counts. Figures are integers, so that those of
several seeds add up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from attacks import Attack
from people import Device, Person

from gatehound.model import Signal

OURS: Final = "gatehound"


class Tally:
    """The counts of one run with one seed; rules are by name, gatehound's among them."""

    def __init__(self, people: Sequence[Person], rules: Sequence[str]) -> None:
        self._people = people
        self._days: set[tuple[int, int]] = set()
        self._hits: dict[str, set[tuple[int, int]]] = {name: set() for name in (OURS, *rules)}
        self._users: dict[str, set[int]] = {name: set() for name in (OURS, *rules)}
        self._owners = {one.number: person for person in people for one in person.devices}
        self._reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self._examples: dict[str, str] = {}
        self.attacks: list[Attack] = []

    def saw(self, device: Device, day: int, fired: Sequence[str]) -> None:
        """Count a request of an owner, and the baselines that flagged it."""
        key = (device.number, day)
        self._days.add(key)
        for name in fired:
            self._hits[name].add(key)
            self._users[name].add(device.person.number)

    def flagged(self, device: Device, day: int, signals: Sequence[Signal]) -> None:
        """Count a flag that gatehound raised against an owner."""
        key = (device.number, day)
        if key in self._hits[OURS]:
            return
        self._hits[OURS].add(key)
        self._users[OURS].add(device.person.number)
        codes = " + ".join(f"{one.code} {one.weight:.1f}" for one in signals)
        names = " + ".join(sorted(one.code for one in signals)) or "(still flagged, no signals)"
        persona = device.person.persona
        self._reasons[persona][names] += 1
        told = "; ".join(one.reason for one in signals)
        self._examples.setdefault(f"{persona}: {names}", f"{codes}: {told}")

    def result(self) -> dict[str, Any]:
        """Return all counts."""
        return {
            "users": len(self._people),
            "session_days": len(self._days),
            "rules": {name: self._rule(name) for name in self._hits},
            "personas": self._personas(),
            "reasons": {name: dict(found) for name, found in sorted(self._reasons.items())},
            "examples": self._examples,
            "attacks": self._attacks(),
        }

    def _rule(self, name: str) -> dict[str, int]:
        return {"flagged": len(self._hits[name]), "users_hit": len(self._users[name])}

    def _personas(self) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for person in self._people:
            row = rows.setdefault(
                person.persona,
                {"users": 0, "session_days": 0, "flagged": dict.fromkeys(self._hits, 0)},
            )
            row["users"] += 1
        for number, _ in self._days:
            rows[self._owners[number].persona]["session_days"] += 1
        for name, hits in self._hits.items():
            for number, _ in hits:
                rows[self._owners[number].persona]["flagged"][name] += 1
        return rows

    def _attacks(self) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for attack in self.attacks:
            row = rows.setdefault(
                attack.kind.name,
                {
                    "group": attack.kind.group,
                    "must": attack.kind.must,
                    "count": 0,
                    "void": {},
                    "detected": dict.fromkeys(self._hits, 0),
                    "requests": [],
                    "missed": {},
                },
            )
            _add(row, attack)
        return rows


def _add(row: dict[str, Any], attack: Attack) -> None:
    if attack.void or not attack.seen:
        why = attack.void or "no request of the victim"
        row["void"][why] = row["void"].get(why, 0) + 1
        return
    row["count"] += 1
    for name in attack.baselines:
        row["detected"][name] += 1
    if attack.detected:
        row["detected"][OURS] += 1
        row["requests"].append(attack.detected)
    else:
        persona = attack.device.person.persona
        row["missed"][persona] = row["missed"].get(persona, 0) + 1


def merged(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add up the counts of several seeds."""
    total: dict[str, Any] = {}
    for result in results:
        total = _sum(total, result)
    return total


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    total = dict(one)
    for key, value in other.items():
        before = total.get(key)
        if before is None or isinstance(value, str) or key == "must":  # no counts
            total[key] = value
        elif isinstance(value, dict):
            total[key] = _sum(before, value)
        else:
            total[key] = before + value
    return total

"""Where users lie: tags, buckets, slots and shards, and how evenly each is loaded.

Names of keys and their slots are the library's own; the users are made up.
"""

from __future__ import annotations

import math
import random
import statistics
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from redis.crc import key_slot

from gatehound.stores.redis.keys import BUCKETS, Keys
from gatehound.stores.redis.topology import SLOTS

KEYS: Final = Keys("default")
ALIAS_BYTES: Final = 12
ZIPF: Final = (0.8, 1.0, 1.2)
ROBOTS: Final = (0.0, 0.01, 0.05)
HAVING: Final = (60, 20, 10, 6, 4)
"""Of a hundred users, how many have 1 to 5 sessions: made up."""

SCHEMES: Final = {
    "our tags": ("bucket", [key_slot(bucket + b"u") for bucket in KEYS.buckets]),
    "tags 0-255": ("bucket", [key_slot(b"gh:default:{%d}u" % n) for n in range(BUCKETS)]),
    "slot per user": ("slot", list(range(SLOTS))),
}


def starts_of(shards: int) -> list[int]:
    """Return the first slot of each shard; redis-cli's clusterManagerCommandCreate."""
    share = SLOTS / shards
    return [0, *(math.floor(n * share - 1 + 0.5) + 1 for n in range(1, shards))]


def fold(scheme: str, loads: Sequence[float], shards: int) -> list[float]:
    """Sum what lies in buckets, or slots, by shard."""
    starts, result = starts_of(shards), [0.0] * shards
    for slot, load in zip(SCHEMES[scheme][1], loads, strict=True):
        result[bisect_right(starts, slot) - 1] += load
    return result


def skew(loads: Sequence[float]) -> float:
    """The largest over the mean."""
    return max(loads) * len(loads) / sum(loads)


def p99(loads: Sequence[float]) -> float:
    """The 99th percentile over the mean, by nearest rank."""
    return sorted(loads)[math.ceil(0.99 * len(loads)) - 1] * len(loads) / sum(loads)


class Population:
    """The users of an app under one identity key, which decides where they lie.

    The alias of a user is a keyed hash, so random bytes are as good. The user of rank n makes
    n ** -s of the requests of the first; the robot is the last of them.
    """

    def __init__(self, users: int, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - the same in every run, no secret
        blob = self.chance.randbytes(ALIAS_BYTES * users)
        self.aliases = [blob[n : n + ALIAS_BYTES] for n in range(0, len(blob), ALIAS_BYTES)]
        number = {bucket: n for n, bucket in enumerate(KEYS.buckets)}
        self.places = {
            "bucket": array("H", (number[KEYS.bucket(alias)] for alias in self.aliases)),
            "slot": array("H", (key_slot(b"{%s}" % a.hex().encode()) for a in self.aliases)),
        }

    def loads(self, kind: str, weights: Sequence[float]) -> list[float]:
        """Return the share of each bucket or slot where users weigh so much."""
        result, whole = [0.0] * (BUCKETS if kind == "bucket" else SLOTS), sum(weights)
        for place, weight in zip(self.places[kind], weights, strict=True):
            result[place] += weight
        return [load / whole for load in result]


@dataclass
class Survey:
    """Loads by what is weighed and kind of place, one list for each identity key."""

    loads: dict[tuple[str, str], list[list[float]]] = field(default_factory=dict)
    robots: dict[str, list[int]] = field(default_factory=lambda: {"bucket": [], "slot": []})
    busiest: dict[float, float] = field(default_factory=dict)
    first: Population | None = None

    def add(self, people: Population) -> None:
        """Weigh the users of one identity key in every way, and forget them."""
        users = len(people.aliases)
        weights: dict[str, Sequence[float]] = {"users": array("d", [1.0]) * users}
        weights["sessions"] = people.chance.choices((1, 2, 3, 4, 5), HAVING, k=users)
        for s in ZIPF:
            weights[f"{s}"] = array("d", (rank**-s for rank in range(1, users + 1)))
            self.busiest[s] = 1 / sum(weights[f"{s}"])
        for kind, (name, weight) in product(people.places, weights.items()):
            self.loads.setdefault((name, kind), []).append(people.loads(kind, weight))
        for kind, places in people.places.items():
            self.robots[kind].append(places[-1])
        self.first = self.first or people

    def shards(self, scheme: str, name: str, shards: int) -> list[list[float]]:
        """Return the loads of the shards for each identity key."""
        every = self.loads[name, SCHEMES[scheme][0]]
        return [fold(scheme, loads, shards) for loads in every]

    def with_robot(self, s: float, robot: float, kind: str) -> list[list[float]]:
        """Return loads by requests, `robot` of which come from one user."""
        every = []
        for loads, place in zip(self.loads[f"{s}", kind], self.robots[kind], strict=True):
            every.append([load * (1 - robot) for load in loads])
            every[-1][place] += robot
        return every


def balance(survey: Survey, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """How evenly buckets, users and sessions lie, by scheme and number of shards."""
    for shards, (scheme, (kind, _)) in product(counts, SCHEMES.items()):
        buckets = fold(scheme, [1.0] * BUCKETS, shards) if kind == "bucket" else []
        row: dict[str, Any] = {"shards": shards, "scheme": scheme}
        row["bucket_skew"] = skew(buckets) if buckets else None
        row["empty"] = buckets.count(0)
        for name in ("users", "sessions"):
            every = survey.shards(scheme, name, shards)
            row[f"{name}_skew"] = statistics.median(map(skew, every))
            row[f"{name}_worst"] = max(map(skew, every))
        row["shares"] = survey.shards(scheme, "users", shards)[0]
        yield row


def hot(survey: Survey, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """How evenly requests lie, by law and robot: medians over identity keys, and the worst."""
    for s, robot in product(ZIPF, ROBOTS):
        every = {kind: survey.with_robot(s, robot, kind) for kind in ("bucket", "slot")}
        row: dict[str, Any] = {"s": s, "robot": robot, "busiest": survey.busiest[s] * (1 - robot)}
        row["bucket_skew"] = statistics.median(map(skew, every["bucket"]))
        row["bucket_p99"] = statistics.median(map(p99, every["bucket"]))
        row["shards"] = {}
        for shards, scheme in product(counts, ("our tags", "slot per user")):
            folded = [fold(scheme, loads, shards) for loads in every[SCHEMES[scheme][0]]]
            cell = {"skew": statistics.median(map(skew, folded)), "worst": max(map(skew, folded))}
            cell["p99"] = statistics.median(map(p99, folded))
            row["shards"].setdefault(str(shards), {})[scheme] = cell
        yield row

"""What a session and a user remember, between requests, in at most 4096 bytes.

Rules
  1. Sets, not last values: a known network stays known when another one is used.
  2. Every set has a bound; the entry that was not used for the longest goes.
  3. Each signal code counts once, at its maximum, and halves with every half-life. Adding equal
     findings up turns harmless churn into flags.
  4. A negative weight is not remembered: it speaks for the request that brought it, and a thief
     could otherwise visit a friendly network once and spend the credit later.
  5. What is learned while a session is flagged would be taught by whoever caused the flag, so
     callers learn nothing then; a proof (`confirm`) learns at once.
  6. Bytes that cannot be read are empty evidence and a reported failure, never an exception.
  7. The first byte is the version. Within a version fields are only appended: readers skip what
     they do not know, and fill in what is not there. Anything else needs a new version.

The bytes are msgpack (msgspec), written by us alone into our own store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from gatehound.detection.entry import (
    AgentEntry,
    CountryEntry,
    Entry,
    NetworkEntry,
    country_in,
)
from gatehound.detection.known import Known, KnownAgent, KnownNetwork
from gatehound.detection.learning import clip, drop_oldest, learn
from gatehound.detection.neighbours import continent as continent_of
from gatehound.model import Device, Network, Signal

VERSION: Final = 2
MAX_BYTES: Final = 4096  # what stores keep of one session or one user
MAX_SIGNALS: Final = 12
SLOT_BYTES: Final = 256  # of one detector
SLOTS_BYTES: Final = 1024  # of all: a quarter, so that sets and signals always have room

# Requests of one burst overtake each other, so what was found is not taken back sooner.
REORDER: Final = 30.0
# What a user's sets must be old to count as familiar: who steals a session could otherwise
# teach them his own network in a minute and use it in the next session.
SETTLED: Final = 86_400
_NEGLIGIBLE: Final = 0.05

Value: TypeAlias = bytes | str | int | float | bool | None


class Remembered(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A signal as it is kept: its weight in points at the time `at`."""

    code: str
    weight: float
    at: float
    reason: str
    detector: str = ""

    def now(self, now: float, half_life: float) -> float:
        """Return what the weight has decayed to; a clock behind ours changes nothing."""
        age = now - self.at
        return self.weight * math.pow(0.5, age / half_life) if age > 0 else float(self.weight)


class Evidence(msgspec.Struct, array_like=True, gc=False):
    """The evidence of one session or one user, in memory during one judgement."""

    prefixes: dict[str, Entry] = msgspec.field(default_factory=dict)
    networks: dict[str, NetworkEntry] = msgspec.field(default_factory=dict)
    countries: dict[str, CountryEntry] = msgspec.field(default_factory=dict)
    agents: dict[str, AgentEntry] = msgspec.field(default_factory=dict)
    signals: dict[str, Remembered] = msgspec.field(default_factory=dict)
    # Value, checked by `read`: msgspec has no union of bytes and text.
    slots: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    kinds: dict[str, Entry] = msgspec.field(default_factory=dict)
    # Bits of the actions that would have been taken in other modes, see gatehound.detection.would.
    would: int = 0

    @property
    def is_empty(self) -> bool:
        """True before the first context was learned."""
        return not (self.prefixes or self.networks or self.agents)

    def known(self, *, settled_at: float | None = None) -> Known:
        """Return the frozen view; with `settled_at` only what was proven or is a day old then."""
        if self.is_empty:
            return _NOTHING_KNOWN
        limit = math.inf if settled_at is None else settled_at - SETTLED
        prefixes = [key for key, one in self.prefixes.items() if one.since <= limit]
        countries = known_countries(self.countries, limit)
        kinds = [key for key, one in self.kinds.items() if one.since <= limit]
        networks = known_networks(self.networks, limit)
        agents = known_agents(self.agents.values(), limit)
        if not (prefixes or networks or countries or agents or kinds):
            return _NOTHING_KNOWN  # every user's first day
        shown = MappingProxyType(countries)
        return Known(frozenset(prefixes), networks, shown, agents, frozenset(kinds))

    def learn(
        self,
        network: Network,
        device: Device | None,
        digest: bytes,
        now: float,
        *,
        proven: bool = False,
    ) -> None:
        """Remember a context; a `device` of None leaves the agent out."""
        learn((self,), network, device, digest, now, proven=proven)

    def note(self, signal: Remembered | Signal, half_life: float) -> None:
        """Remember a finding: the code counts at the greater of its old and new weight."""
        weight, at = signal.weight, signal.at
        if not 0 < weight < math.inf:  # `read` refuses a memory with anything else
            return
        code = clip(signal.code)
        old = self.signals.get(code)
        if old is not None:
            if weight < old.now(at, half_life):
                return
            at = max(at, old.at)
        reason, detector = clip(signal.reason), clip(signal.detector)
        self.signals[code] = Remembered(code, weight, at, reason, detector)

    def score(self, now: float, half_life: float) -> float:
        """Return the points that all signals have left."""
        return sum(one.now(now, half_life) for one in self.signals.values())

    def forget(
        self, now: float, *, half_life: float, window: float
    ) -> list[tuple[Remembered, float]]:
        """Drop signals that are older than the window or have decayed to almost nothing.

        Return the others, and how many points each has left.
        """
        left = []
        for code, one in list(self.signals.items()):
            points = float(one.weight) if one.at == now else one.now(now, half_life)
            if now - one.at <= window and points >= _NEGLIGIBLE:
                left.append((one, points))
            else:
                del self.signals[code]
        return left

    def set_slot(self, name: str, values: dict[str, Value]) -> None:
        """Put a detector's slot last in the order in which slots were written."""
        self.slots.pop(name, None)
        if values:
            self.slots[name] = values

    def trim(self) -> tuple[str, ...]:
        """Bring everything within its bounds; return the detectors whose slots had to go."""
        dropped = []
        while self.slots and len(_ENCODE(self.slots)) > SLOTS_BYTES:
            dropped.append(name := next(iter(self.slots)))
            del self.slots[name]
        while len(self.signals) > MAX_SIGNALS:
            del self.signals[_weakest(self.signals)]
        return tuple(dropped)

    def pack(self) -> bytes:
        """Return the stored form, at most MAX_BYTES; what is oldest and weakest gives way."""
        if self.slots or len(self.signals) > MAX_SIGNALS:
            self.trim()
        while len(data := _ENCODE(self)) >= MAX_BYTES:
            self._shrink()
        return _HEAD + data

    def _shrink(self) -> None:
        """Drop one thing: a prefix matters less than a signal, and a signal than all of them."""
        for entries, least in ((self.prefixes, 8), (self.agents, 2), (self.networks, 2)):
            if len(entries) > least:
                return drop_oldest(entries)
        if self.slots:
            del self.slots[next(iter(self.slots))]
        elif len(self.signals) > 2:
            del self.signals[_weakest(self.signals)]
        else:  # only values that no caller of ours makes get here
            self.prefixes, self.networks, self.countries = {}, {}, {}
            self.agents, self.signals = {}, {}
        return None


_NOTHING_KNOWN: Final = Known()
_HEAD: Final = bytes((VERSION,))
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Evidence).decode


def read(data: bytes) -> tuple[Evidence, str]:
    """Return the evidence and "", or empty evidence and what is wrong with the bytes."""
    if not data:
        return Evidence(), ""
    if data[0] != VERSION:
        return Evidence(), f"evidence of version {data[0]}; this release reads {VERSION}"
    try:
        evidence = _DECODE(data[1:])
    except _UNREADABLE as error:
        return Evidence(), f"evidence of {len(data)} bytes cannot be read: {error}"
    for one in evidence.signals.values():
        if not math.isfinite(one.weight + one.at):
            return Evidence(), "evidence with a weight or time that is no number"
    if evidence.slots and not all(
        is_value(value) for slot in evidence.slots.values() for value in slot.values()
    ):
        return Evidence(), "evidence with a slot value that no detector can have written"
    return evidence, ""


def next_flag(score: float, *, flagged: bool, enter: float, recent: bool) -> bool:
    """Say whether a session is flagged from now on: in at `enter`, out below half of it.

    `recent` holds a flag for the 30 s in which late requests may still arrive.
    """
    if score >= enter:
        return True
    return flagged and (recent or score >= enter / 2)


def pair(
    packed: bytes | None, agent_digest: bytes, v4_prefix: int = 24, v6_prefix: int = 64
) -> bytes:
    """Return 6 bytes that stand for one network prefix and one agent.

    `packed` is an address of 4 or 16 bytes, None an unresolved one, which is a network of its
    own. Use `Detection.pair`, which knows the lengths that the settings ask for.
    """
    network = b""
    if packed is not None:
        size = len(packed)
        if size == 4 and v4_prefix == 24:  # nearly all
            return blake2b(agent_digest + b"\4" + packed[:3] + b"\0", digest_size=6).digest()
        rest = size * 8 - (v4_prefix if size == 4 else v6_prefix)
        network = bytes([size]) + (int.from_bytes(packed) >> rest << rest).to_bytes(size)
    # The digest has a fixed length, so that no two pairs are written alike.
    return blake2b(agent_digest + network, digest_size=6).digest()


def is_value(value: object) -> bool:
    """True for what a slot may hold: bytes, text, 64-bit integers, finite floats, bool, None."""
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bytes, str))


def slot_size(values: dict[str, Value]) -> int:
    """Return the bytes that a slot takes; TypeError for what cannot be packed."""
    return len(_ENCODE(values))


def known_networks(entries: Mapping[str, NetworkEntry], limit: float) -> tuple[KnownNetwork, ...]:
    """Show the entries that were first seen at `limit` or before, the latest first."""
    kept = [item for item in entries.items() if item[1].since <= limit]
    if len(kept) > 1:
        kept.sort(key=_last_of, reverse=True)
    return tuple([_known_network(key, one) for key, one in kept])


def _known_network(key: str, one: NetworkEntry) -> KnownNetwork:
    country = country_in(key, one.asn)
    continent = one.continent or continent_of(country)
    return KnownNetwork(one.asn, country, continent, one.build, one.kind)


def _last_of(item: tuple[str, NetworkEntry]) -> int:
    return item[1].since + item[1].span


def known_countries(entries: Mapping[str, CountryEntry], limit: float) -> dict[str, str]:
    """Show each country with its continent, in the order in which they were learned."""
    return {
        country: one.continent or continent_of(country)
        for country, one in entries.items()
        if one.since <= limit
    }


def known_agents(entries: Iterable[AgentEntry], limit: float) -> tuple[KnownAgent, ...]:
    """Show browsers in the same way."""
    kept = [one for one in entries if one.since <= limit]
    if len(kept) > 1:
        kept.sort(key=lambda one: one.since + one.span, reverse=True)
    return tuple(
        [KnownAgent(o.family, o.os, o.version, o.digest, o.is_script, o.is_app) for o in kept]
    )


def _weakest(signals: dict[str, Remembered]) -> str:
    return min(signals, key=lambda code: (signals[code].weight, signals[code].at, code))

"""One judgement: run the detectors, weigh what they found, decide, and learn.

The order of steps is the security argument:
  1. read what is remembered; what cannot be read is empty and reported
  2. every detector looks at what was known *before* this request
  3. findings are noted, saturated and decayed; the score decides action and flag
  4. only a session that was not flagged before and is not now learns the present context, so
     that nobody can teach it his own
Here is no I/O and no clock. Detectors may wait; they run one after the other, because most never
wait, and gathering them would need an event loop and a task for each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gatehound.detection.built_in import built_in
from gatehound.detection.detectors import (
    Detector,
    GeoAnomaly,
    IPShift,
    Observation,
    Reputation,
    Reuse,
    as_detectors,
)
from gatehound.detection.device import MAX_AGENT, digest
from gatehound.detection.evidence import (
    Evidence,
    pair,
    read,
)
from gatehound.detection.findings import look, look_at_once
from gatehound.detection.learning import learn
from gatehound.detection.network import Networks
from gatehound.detection.novelty import level_of
from gatehound.detection.policy import Policy, PolicySettings
from gatehound.detection.population import Population
from gatehound.detection.recall import Recalled
from gatehound.detection.scale import Scale
from gatehound.detection.settings import DetectionSettings
from gatehound.detection.situation import is_built_in, looks, situation_of
from gatehound.detection.turns import Turns
from gatehound.errors import SettingsError
from gatehound.model import (
    Action,
    Activity,
    Device,
    Network,
    Signal,
    Verdict,
)

# Pairs of an address and an agent whose digests are remembered, at most 1 KB each.
_CACHED_CONTEXTS: Final = 4096
_WEIGHT: Final = attrgetter("weight")
# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_FLAG: Final = Action.FLAG
_ASSET: Final = Activity.ASSET


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What came out, and what to store.

    `verdict.signals` are all that count now, decayed, strongest first; `fresh` those that this
    call found. `memory` and `user_memory` are to be written if they differ from what was given.
    `flag` is True for newly flagged, False for newly cleared, None for no change. `failures` are
    (detector or memory, what went wrong): make events of them, never a 500.

    `keep_pair` False means: do not store this (network, agent) pair as seen. A media player that
    loads an asset is not compared, so a pair that was stored for it would let it in everywhere.

    `reached` names what the session would newly be in other modes, see gatehound.detection.would.
    `is_here` is True where it is this sensitive route alone that asks a flagged session for proof.
    """

    verdict: Verdict
    memory: bytes
    user_memory: bytes
    flag: bool | None = None
    fresh: tuple[Signal, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    keep_pair: bool = True
    reached: tuple[str, ...] = ()
    is_here: bool = False


class Detection:
    """All that judges, behind one door. Callable from any thread.

    `detectors` None means the built-in ones as the settings say; anything else is used as given:
    Detector objects or functions of an Observation. `enabled` is False in mode `off`, and then
    `judge` answers ALLOW and changes nothing. `needs` is what has to be loaded for it.
    SettingsError names every problem in settings and detectors.
    """

    def __init__(
        self,
        settings: DetectionSettings,
        policy: PolicySettings,
        networks: Networks,
        detectors: Sequence[Detector | Callable[[Observation], Any]] | None = None,
    ) -> None:
        if problems := [*settings.problems(), *policy.problems()]:
            raise SettingsError(problems)
        self.settings = settings
        self.policy = Policy(policy, settings.mode)
        self.networks = networks
        self.population = Population(settings.shared_networks)
        self.turns = Turns()
        if detectors is None:
            detectors = built_in(settings, networks, self.population)
        self.detectors = tuple(
            one for one in as_detectors(detectors) if one.name not in settings.disable
        )
        # All but the one that looks at what a store refuses, and at no request.
        self._lookers = tuple(one for one in self.detectors if type(one) is not Reuse)
        self._asked: dict[int, tuple[tuple[Detector, ...], bool]] = {}
        self._has_own = not all(map(is_built_in, self._lookers))
        self._scale = Scale(settings, self.policy)
        self.enabled = settings.mode != "off"
        # Scores and flags live in the session's memory, whatever the detectors want.
        needs = frozenset({"memory"}).union(*(detector.needs for detector in self.detectors))
        self.needs = needs if self.enabled else frozenset()
        self._wants_user = "user_memory" in self.needs
        # A graded geo_anomaly asks where the country is new; who else asks may have other reasons.
        self.wants_all_siblings = any(
            "siblings" in one.needs and not (isinstance(one, GeoAnomaly) and not one.strict)
            for one in self.detectors
        )
        # A strict ip_shift has to see changes within a prefix too, and so has a list of addresses.
        exact = any(
            isinstance(one, Reputation) or (isinstance(one, IPShift) and one.strict)
            for one in self.detectors
        )
        self._lists = tuple(one for one in self.detectors if isinstance(one, Reputation))
        self._know_no_contexts()
        for one in self._lists:
            one.tell(self._know_no_contexts)
        self._lengths = (32, 128) if exact else (networks.v4_prefix, networks.v6_prefix)

    def context(self, packed: bytes | None, agent: str) -> tuple[bytes, bytes]:
        """Return the digest of a User-Agent text, and its pair with an address."""
        return self.contexts(packed, agent[:MAX_AGENT])

    def _context(self, packed: bytes | None, agent: str) -> tuple[bytes, bytes]:
        agent_digest = digest(agent)
        if self._lists:
            return agent_digest, self.pair(packed, agent_digest)
        return agent_digest, pair(packed, agent_digest, *self._lengths)

    def pair(self, packed: bytes | None, agent_digest: bytes) -> bytes:
        """Return the 6 bytes to compare with a session's recent pairs; equal is unchanged.

        `packed` is `ClientIP.packed`. An address that comes onto a list of reputation, or leaves
        it, makes another pair, so that a session which stays there is looked at once more.
        """
        v4_prefix, v6_prefix = self._lengths
        if self._lists and packed is not None:
            agent_digest += self._standing(packed)
        return pair(packed, agent_digest, v4_prefix, v6_prefix)

    def _standing(self, packed: bytes) -> bytes:
        """Return what the lists say of an address; a damaged one, which is told of, nothing."""
        asn = self.networks.lookup_packed(packed).asn
        with contextlib.suppress(Exception):
            return b"".join(one.standing(packed, asn) for one in self._lists)
        return b""

    def _know_no_contexts(self) -> None:
        """Work every context out anew: a cache of its own, which nobody fills from old lists."""
        self.contexts = lru_cache(_CACHED_CONTEXTS)(self._context)

    async def judge(
        self,
        observation: Observation,
        *,
        memory: bytes = b"",
        user_memory: bytes = b"",
        flagged: bool = False,
    ) -> Judgement:
        """Judge one request of a session; never raises for what a client or detector does.

        `observation` is what is known of the request; what is remembered is filled in here.
        `memory` is empty for a session that is being created. `memory` and `user_memory` are as
        stored, b"" where nothing is; `flagged` as stored. Only what `needs` names has to be given.
        """
        if not self.enabled:
            return Judgement(Verdict(), memory, user_memory)
        own, user, failures = _recall(memory, user_memory)
        seen = self._seen(observation, own, user)
        asked, waits = self._asked.get(situation := situation_of(seen)) or self._ask_in(situation)
        if waits:
            fresh = await look(asked, seen, own, user, failures)
        else:
            fresh = look_at_once(asked, seen, failures)
        return self._judged(seen, own, user, fresh, failures, user_memory, flagged=flagged)

    def _seen(self, observation: Observation, own: Evidence, user: Evidence) -> Observation:
        """Fill in what was known before this request."""
        known: Any = Recalled(own)
        user_known: Any = Recalled(user, observation.now)
        if self._has_own:
            known, user_known = known.whole(), user_known.whole()
        level = level_of(observation.network, known, user_known, observation.previous)
        return replace(observation, known=known, user_known=user_known, level=level)

    def _judged(
        self,
        seen: Observation,
        own: Evidence,
        user: Evidence,
        fresh: list[Signal],
        failures: list[tuple[str, str]],
        user_memory: bytes,
        *,
        flagged: bool,
    ) -> Judgement:
        """Weigh what was found, decide, and learn where nothing speaks against it."""
        now, scale, request, policy = seen.now, self._scale, seen.request, self.policy
        before = scale.left(own, now) if own.would else 0.0  # what was reached may have faded
        weighed, score = scale.weigh(own, fresh, now)
        roles = seen.session.roles if seen.session else ()
        varies = roles or policy.has_paths
        caution = policy.caution(request.method, request.path, roles) if varies else 0.0
        action, flag = scale.decide(weighed, score, now, flagged=flagged, caution=caution)
        is_here = action >= _FLAG and policy.asks_here(action, request.method, request.path)
        action = Action.STEP_UP if is_here else action
        reached = scale.would(own, before, score, caution)
        is_learned = _may_learn(seen)
        is_agent_known = seen.known.has_agent(seen.device, seen.agent_digest)
        is_passing = caution < 0 and scale.flags_elsewhere(request, score, roles)
        if not (flagged or flag or is_passing):
            _learn(seen, own, user, is_learned, is_agent_known)
        if own.slots or user.slots:
            failures += [
                (name, "slot dropped: all slots together take over 1024 bytes")
                for name in (*own.trim(), *user.trim())
            ]
        return Judgement(  # by position: keywords of so many fields take as long as a detector
            Verdict(action, score, weighed),
            own.pack(),
            # What was not asked for was not loaded: writing it would erase what is stored.
            user.pack() if self._wants_user else user_memory,
            flag,
            tuple(filter(_WEIGHT, fresh)),
            tuple(failures),
            (is_agent_known or is_learned) and not is_passing,
            reached,
            is_here,
        )

    def _ask_in(self, situation: int) -> tuple[tuple[Detector, ...], bool]:
        """Choose who is asked in a situation, and whether any may wait or has slots.

        Once for each situation: there are some hundred.
        """
        asked = tuple([one for one in self._lookers if looks(one, situation)])
        found = asked, any(one.has_slots or not is_built_in(one) for one in asked)
        self._asked[situation] = found
        return found

    def confirm(
        self,
        memory: bytes,
        user_memory: bytes,
        *,
        network: Network,
        device: Device,
        now: float,
        agent: str = "",
    ) -> tuple[bytes, bytes]:
        """Return both memories after a passed proof that the user is here; else use `clear`.

        Signals are cleared and the present context is learned as proven, for the session and for
        the user. `agent` is the User-Agent text; without it and without a known browser family
        only the network is learned. Clear the flag in the same write; where that write loses a
        compare-and-swap, read again and confirm again.
        """
        own, user = read(memory)[0], read(user_memory)[0]
        own.signals, own.would = {}, 0
        learned = device if agent or device.family else None
        learn((own, user), network, learned, digest(agent), now, proven=True)
        return own.pack(), user.pack()

    def clear(self, memory: bytes) -> bytes:
        """Return the session's memory without its signals, after "this was me" or by an admin.

        Nothing is learned: neither shows that the context of this very request is the user's.
        Clear the flag in the same write. Bytes that hold no signal come back as they are.
        """
        own = read(memory)[0]
        if not own.signals:
            return memory
        own.signals, own.would = {}, 0
        return own.pack()

    def note(self, memory: bytes, signal: Signal, now: float) -> bytes:
        """Return the session's memory with one more signal, which no detector found.

        It counts from `now` (seconds since 1970) like those of detectors: once per code, at its
        greatest weight, halving with every half-life; a weight of 0 or less is not remembered.
        No flag is set here, and mode `off` makes no difference. Bytes that cannot be read count
        as empty.
        """
        own = read(memory)[0]
        self._scale.note(own, replace(signal, at=now))
        return own.pack()

    def refresh(self) -> bool:
        """Read databases and lists that changed, now; True where something else is in use then."""
        changed = [one.refresh() for one in self._files()]
        return any(changed)

    def findings(self) -> list[str]:
        """Say which databases and lists changed into something that cannot be used, a line each."""
        return [line for one in self._files() for line in one.findings()]

    def _files(self) -> list[Networks | Reputation]:
        return [self.networks, *self._lists]

    def reasons(self, memory: bytes) -> tuple[str, ...]:
        """Return what is remembered against a session in plain words, strongest first."""
        signals = read(memory)[0].signals.values()
        ordered = sorted(signals, key=lambda one: (-one.weight, one.code))
        return tuple(one.reason for one in ordered)


def _recall(memory: bytes, user_memory: bytes) -> tuple[Evidence, Evidence, list[tuple[str, str]]]:
    """Read both, and say what is wrong with which; what cannot be read is empty."""
    own, failure = read(memory)
    user, user_failure = read(user_memory)
    if not (failure or user_failure):
        return own, user, []
    told = (("memory", failure), ("user_memory", user_failure))
    return own, user, [(name, text) for name, text in told if text]


def _may_learn(seen: Observation) -> bool:
    """True for an agent that may be learned.

    Both properties begin with what is asked before them, which spares most requests the call.
    """
    if seen.activity is _ASSET and not seen.is_agent_comparable:
        return False
    return not (seen.device.os == "iOS" and seen.may_be_emulated)


def _learn(
    seen: Observation, own: Evidence, user: Evidence, is_learned: bool, is_agent_known: bool
) -> None:
    """Learn the present context, or refresh it where it is not new.

    A pair that is not new and yet not known came while the session was flagged: it stays unknown
    when the flag has faded, or a thief had only to wait.
    """
    network: Network = seen.network
    device = seen.device if is_learned else None
    if not (seen.is_new_context or own.is_empty):
        if not seen.known.has_prefix(network.prefix):
            network = Network()
        if not is_agent_known:
            device = None
    learn((own, user), network, device, seen.agent_digest, seen.now)

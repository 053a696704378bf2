"""What a detector is, and all that one may look at.

The built-in detectors use nothing but this file, gatehound.model and gatehound.detection.known.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Final, TypeAlias, cast

import msgspec

from gatehound.clientip import ClientIP
from gatehound.detection.device import CHROMIUMS, may_browse
from gatehound.detection.evidence import SLOT_BYTES, Value, is_value, slot_size
from gatehound.detection.known import Known
from gatehound.detection.novelty import Level, level_of
from gatehound.errors import SettingsError
from gatehound.model import Activity, Device, Network, Request, Session, Signal

NEEDS: Final = frozenset(
    {"memory", "user_memory", "siblings", "network", "device", "failed_logins"}
)

Findings: TypeAlias = Iterable[Signal] | AsyncIterable[Signal] | Signal | None
Inspect: TypeAlias = Callable[["Observation"], Findings | Awaitable[Findings]]


class Slot(MutableMapping[str, Value]):
    """A detector's own small memory: a dict that outlives the request.

    Keys are text; values are bytes, text, integers of 64 bits, finite floats, bool or None:
    anything else is a TypeError. All of them take at most 256 bytes packed: more is a
    ValueError. What is assigned is kept if the detector returns and the write to the store
    wins: of two requests judged at once the later is judged again on what the first wrote. All
    detectors share 1024 bytes; where that is not enough, the slots that were not written for
    longest are dropped, which is reported.
    """

    __slots__ = ("_values", "is_changed")

    def __init__(self, values: dict[str, Value] | None = None) -> None:
        self._values = dict(values) if values else {}
        self.is_changed = False

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __setitem__(self, key: str, value: Value) -> None:
        _check_value(key, value)
        changed = {**self._values, key: value}
        size = slot_size(changed)
        if size > max(SLOT_BYTES, slot_size(self._values)):
            raise ValueError(
                f"slot of {size} bytes after {key!r}: at most {SLOT_BYTES} are kept; "
                "store digests or counters, not texts"
            )
        self._values, self.is_changed = changed, True

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self.is_changed = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Slot({self._values!r})"

    def copy(self) -> dict[str, Value]:
        """Return the values as a dict of their own."""
        return dict(self._values)


class _NoSlot(Slot):
    """The slot of who has none: it stays empty, so that one does for all."""

    __slots__ = ()

    def __setitem__(self, key: str, value: Value) -> None:
        _check_value(key, value)


NO_SLOT: Final = _NoSlot()
NOTHING_KNOWN: Final = Known()


class Observation(msgspec.Struct, frozen=True):
    """What a detector may look at; only `memory` and `user_memory` may be changed.

    `session` is the session as it was stored before this request; at login, as it was created.
    `is_new_context` is False where this network and agent are one of the two that the session used
    last, and the lists of reputation say the same of the address as then. `siblings` are the user's
    other living sessions. `known` is what this session has learned; `user_known` what all sessions
    of the user have, once it is a day old or was proven. While a session is flagged neither grows;
    a detector that learns in its slot should look at `session.flagged` and do the same.
    `agent_digest` stands for the User-Agent text. `now` is seconds since 1970.

    `is_login` is True at a sign-in, and `known_device` where the browser brought the cookie that
    an earlier sign-in of this user left. `previous` is the network that the session was last
    judged on, empty at login and where addresses are not kept; `last_used` when a person last
    used the session before this request, or this process heard of it at all, in seconds since
    1970, 0 at login. `sibling_networks`
    are the networks of `siblings`, in their order. `alternations` says how often, in the last
    15 minutes and as far as this process saw, the session went back and forth between the two
    contexts that it used last, and `previous_agent` is the digest of the other one's User-Agent.
    `network_unusable` is True while addresses are those of a proxy that is set wrong; `network` is
    empty then. `level` is what `novelty` says, worked out once; None leaves that to it.
    `failed_logins` says at a sign-in what was attacked with wrong passwords within the hour: its
    `network`, its `user`, or both; and `more` where so much is that these may be too. `recent` are
    the networks where this process saw the session before, in the contexts that it has, and when
    last, in seconds since 1970; latest last, and empty while it saw one alone.

    What is not named in the detector's `needs` may be empty.
    """

    request: Request
    activity: Activity
    client_ip: ClientIP
    now: float
    network: Network = Network()
    device: Device = Device()
    agent_digest: bytes = b""
    session: Session | None = None
    is_new_context: bool = True
    siblings: tuple[Session, ...] = ()
    sibling_networks: tuple[Network, ...] = ()
    previous: Network = Network()
    previous_agent: bytes = b""
    last_used: float = 0.0
    is_login: bool = False
    known_device: bool = False
    alternations: int = 0
    network_unusable: bool = False
    level: Level | None = None
    known: Known = Known()
    user_known: Known = Known()
    memory: Slot = msgspec.field(default_factory=Slot)
    user_memory: Slot = msgspec.field(default_factory=Slot)
    failed_logins: frozenset[str] = frozenset()
    recent: tuple[tuple[Network, float], ...] = ()

    @property
    def novelty(self) -> Level:
        """How new the network is to the session, "" for not at all: gatehound.detection.novelty."""
        if self.level is not None:
            return self.level
        return level_of(self.network, self.known, self.user_known, self.previous)

    @property
    def is_agent_comparable(self) -> bool:
        """False for the agent of a player or download manager that loads an asset.

        The class alone MUST NOT decide: any client can claim it with one header, and a thief's
        browser would pass unseen. Browsers and scripts are comparable whatever they load.
        """
        return (
            self.activity is not Activity.ASSET
            or self.device.is_script
            or may_browse(self.request.agent, self.device)
        )

    @property
    def may_be_emulated(self) -> bool:
        """True for an iPhone's text, not on a page load, where the session's browser is Chromium.

        The developer tools of Chromium play one without a word in other headers, until a page load
        says what the browser accepts. It is weighed, and not learned.
        """
        device = self.device
        if device.family != "Safari" or device.os != "iOS":
            return False
        if not may_browse(self.request.agent, device):
            return False
        if "text/html" in self.request.header("accept"):
            return False
        return any(one.family in CHROMIUMS for one in self.known.agents)


class Detector:
    """Look at one request and say what was found.

    `name` is unique among the detectors of a guard. `needs` says what has to be loaded: any of
    `memory` (`known` and the slot), `user_memory` (`user_known` and that slot), `siblings`,
    `network`, `device`, `failed_logins`. Under WSGI an `inspect` that really waits fails, naming
    the detector's code. An exception is reported as an event, and the other detectors go on.
    `has_slots` False says that it leaves `memory` and `user_memory` of the observation alone,
    which saves making them; then both are empty, and what is written there is lost.
    """

    name: str = ""
    needs: frozenset[str] = frozenset()
    has_slots: bool = True

    def inspect(self, observation: Observation) -> Findings | Awaitable[Findings]:
        """Return the signals that were found; None means nothing. May be `async def`."""
        raise NotImplementedError


class _Function(Detector):
    """A plain callable as a detector; without a `needs` attribute it is given everything."""

    def __init__(self, function: Inspect) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self.needs = getattr(function, "needs", NEEDS)
        self._function = function

    def inspect(self, observation: Observation) -> Findings | Awaitable[Findings]:
        return self._function(observation)


def as_detectors(given: Iterable[Detector | Callable[[Observation], Any]]) -> tuple[Detector, ...]:
    """Wrap plain callables and check names and needs; SettingsError names every problem."""
    problems: list[str] = []
    detectors: list[Detector] = []
    for one in given:
        if isinstance(one, Detector):
            detectors.append(one)
        elif callable(one) and not isinstance(one, type):
            detectors.append(_Function(cast("Inspect", one)))
        else:
            problems.append(
                f"detectors: {one!r} was given; a detector is an object of a class that extends "
                "gatehound.Detector, or a function of one observation"
            )
    names = [detector.name for detector in detectors]
    for detector in detectors:
        problems.extend(_problems(detector, names))
    if problems:
        raise SettingsError(problems)
    return tuple(detectors)


def _problems(detector: Detector, names: list[str]) -> Iterator[str]:
    given = f"detectors: {detector.name!r} of {type(detector).__name__}"
    if not detector.name or names.count(detector.name) > 1:
        yield f"{given}: the name has to be there and unique; set another `name`"
    if unknown := sorted(set(detector.needs) - NEEDS):
        yield (
            f"{given} needs {', '.join(map(repr, unknown))}; allowed are {', '.join(sorted(NEEDS))}"
        )


def _check_value(key: object, value: object) -> None:
    if not isinstance(key, str):
        raise TypeError(f"slot key {key!r}: keys are text")
    if not is_value(value):
        raise TypeError(
            f"slot value {value!r:.80} for {key!r}: "
            "use bytes, text, an integer of 64 bits, a finite float, a bool or None"
        )

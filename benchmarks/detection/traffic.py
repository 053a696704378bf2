"""What a device sends while it is used: bursts of page loads, polls, editing, and their timing.

About ten bursts of six requests a person and day, half of them polls that no person sees. Each
connection asks the network for an address, so that dual stack and pools flip as they do; where a
device changes networks, a burst may straddle the change, and requests arrive old, new, old, new.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from chance import chance
from clients import Client, desktop_site
from people import Device, Person, Stay

# (seconds, device, where it is, where it goes meanwhile)
Moment: TypeAlias = tuple[float, Device, Stay, Stay | None]
# (milliseconds, serial, device, address, client, kind, day, attack or None)
Request: TypeAlias = tuple[int, int, Device, str, Client, str, int, object]

BURSTS: Final = 10.0
STRADDLES: Final = 0.4  # of the changes of network happen while requests are under way
DESKTOP_SITE: Final = 0.0015  # of a phone's bursts: somebody wants the page as desktops get it
IDLE: Final = 30.0  # seconds after which a connection may be closed
REOPENS: Final = 0.25

# kind of burst: (weight, [(kind, seconds after the one before, on a new connection)])
Step = tuple[str, float, bool]
_PAGE: Final[list[Step]] = [
    ("page", 0, True),
    ("style", 0.12, False),
    ("script", 0.02, False),
    ("image", 0.1, True),
    ("fetch", 0.3, False),
    ("fetch", 0.05, False),
]
BURST: Final[dict[str, tuple[float, list[Step]]]] = {
    "page": (20, _PAGE),
    "poll": (38, [("poll", 0, True), *[("poll", 30.0, False)] * 5]),
    "beats": (12, [("heartbeat", 0, True), *[("heartbeat", 15.0, False)] * 5]),
    "form": (9, [*_PAGE[:3], ("form", 25.0, False), ("page", 0.2, False), ("beacon", 8, False)]),
    "save": (6, [("fetch", 0, True), ("save", 12.0, False), ("fetch", 0.2, False)]),
    "editor": (
        5,
        [
            *[("editor", 0, True), ("script", 0.2, False), ("heartbeat", 15.0, False)],
            *[("autosave", 45.0, False), ("heartbeat", 15.0, False), ("autosave", 45.0, False)],
            *[("upload", 20.0, True), ("upload", 0.004, True), ("upload", 0.003, True)],
            *[("heartbeat", 15.0, False), ("autosave", 40.0, False), ("form", 10.0, False)],
        ],
    ),
    "ahead": (4, [*_PAGE[:3], ("prefetch", 1.5, False), ("prerender", 0.5, True)]),
    "worker": (1.5, [("worker", 0, True), ("fetch", 0.1, False)]),
    "stream": (1.5, [("stream", 0, True), ("stream", 120.0, True), ("poll", 1.0, False)]),
    "media": (3, [*_PAGE[:2], ("media", 0.5, True), ("media", 4.0, False)]),
    "restore": (1, [("page", 0, True), *[("page", 0.03, True)] * 7]),
}
_NAMES: Final = list(BURST)
_WEIGHTS: Final = [weight for weight, _ in BURST.values()]
_SCRIPTED: Final[list[Step]] = [
    ("fetch", 0, True),
    *[("fetch", 2.0, False)] * 4,
    ("save", 1, False),
]


class Traffic:
    """Makes the requests of people, a day at a time."""

    def __init__(self, seed: int, *, mild: bool = False) -> None:
        self._seed = seed
        self._straddles = STRADDLES / 2 if mild else STRADDLES
        self._desktop_site = DESKTOP_SITE / 2 if mild else DESKTOP_SITE
        self.serial = itertools.count()

    def day(self, person: Person, day: int) -> list[Request]:
        """Return all requests of one person's day; bursts may overlap."""
        rng = chance(f"day {self._seed} {person.number} {day}")
        plans = person.plan(person, day)
        weight = sum(device.share for device in person.devices)
        moments: list[Moment] = []
        for device, stays in zip(person.devices, plans, strict=False):
            count = rng.gauss(BURSTS, BURSTS / 4) * device.share / weight
            moments += self._moments(rng, device, stays, max(1, round(count)))
        moments.sort(key=lambda one: one[0])  # devices share networks, whose time goes one way
        made: list[Request] = []
        for start, device, stay, after in moments:
            if device.rests and device.rests[0] <= start < device.rests[1]:
                continue
            if after is None:
                made += self._burst(rng, device, start, stay, day)
            else:
                made += self._straddle(rng, device, start, stay, after, day)
        return made

    def _moments(
        self, rng: random.Random, device: Device, plan: Sequence[Stay], count: int
    ) -> list[Moment]:
        """Choose when the device is used, and which changes of network happen meanwhile."""
        stays = [one for one in plan if one.end > one.start]
        if not stays:
            return []
        used = rng.choices(stays, [one.end - one.start for one in stays], k=count)
        # Who pretends to have another device does so to look at pages.
        used += [stay for stay in stays if stay.client is not None]
        moments: list[Moment] = [
            (rng.uniform(stay.start, stay.end), device, stay, None) for stay in used
        ]
        for old, new in itertools.pairwise(stays):
            if new.start - old.end < 300 and rng.random() < self._straddles:
                moments.append((old.end, device, old, new))
        return moments

    def _burst(
        self, rng: random.Random, device: Device, start: float, stay: Stay, day: int
    ) -> Iterator[Request]:
        client = stay.client or device.client_at(start)
        if device.switches is not None:
            client = device.switches(rng)
        elif client.system in ("Android", "iOS") and rng.random() < self._desktop_site:
            client = desktop_site(client)
        steps = _SCRIPTED if client.engine == "script" else _steps(rng)
        now, address = start, ""
        for kind, pause, opens in steps:
            now += pause * rng.uniform(0.8, 1.2)
            reopens = opens or (pause >= IDLE and rng.random() < REOPENS)
            if not address or reopens:
                address = connect(rng, device, stay, now)
            yield (round(now * 1000), next(self.serial), device, address, client, kind, day, None)

    def _straddle(
        self, rng: random.Random, device: Device, at: float, old: Stay, new: Stay, day: int
    ) -> Iterator[Request]:
        """Requests of one moment over two networks, in the order in which they arrive."""
        client = new.client or device.client_at(at)
        if old.client is not new.client:
            return
        first, second = connect(rng, device, old, at), connect(rng, device, new, new.start)
        now = new.start
        for number, (kind, _, _) in enumerate(_PAGE):
            now += rng.uniform(0.005, 1.5)
            address = first if number % 2 == 0 and now < new.start + 25 else second
            yield (round(now * 1000), next(self.serial), device, address, client, kind, day, None)


def connect(rng: random.Random, device: Device, stay: Stay, now: float) -> str:
    """Open a connection and return the address it comes from."""
    return stay.net.at(now, device.has_v6 and rng.random() < stay.net.v6_share)


def _steps(rng: random.Random) -> list[Step]:
    return BURST[rng.choices(_NAMES, _WEIGHTS)[0]][1]

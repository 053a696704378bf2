"""A person, their devices and where each is at what time; personas build these.

Times are seconds from the start of the run. A person's day begins at their own midnight, and the
run starts half a day before the first midnight of the world, so that no time is negative.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chance import chance
from clients import Client, app, browser, updated
from networks import DAY, Cellular, Line, Net, SharedPool
from places import CODES, COUNTRIES
from world import Block, World

HOUR: Final = 3600.0
LEAD: Final = 12 * HOUR  # the farthest place is ten hours ahead
DUAL_STACK: Final = 0.45
SECOND_DEVICE: Final = 0.55
DAILY_LOGIN: Final = 0.15  # of the devices sign in each day, and not with "remember me"
APPS: Final = 0.08  # of the phones use the site through its own app
UPDATES: Final = {"Chrome": 0.75, "Edge": 0.7, "Firefox": 0.6, "Safari": 0.1}  # in a week

# What people browse with; shares are round numbers near published ones.
DESKTOPS: Final = (
    (("Chrome", "Windows"), 42),
    (("Edge", "Windows"), 13),
    (("Chrome", "macOS"), 12),
    (("Safari", "macOS"), 12),
    (("Firefox", "Windows"), 8),
    (("Firefox", "macOS"), 4),
    (("Firefox", "Linux"), 5),
    (("Chrome", "Linux"), 4),
)
PHONES: Final = (
    (("Chrome", "Android"), 52),
    (("Safari", "iOS"), 43),
    (("Firefox", "Android"), 5),
)


@dataclass(frozen=True, slots=True)
class Stay:
    """A device is on one network for a while; `client` is what it pretends to be, if anything."""

    start: float
    end: float
    net: Net
    client: Client | None = None


@dataclass(slots=True, eq=False)
class Device:
    """A browser with a cookie jar of its own; `share` is its part of the person's requests."""

    number: int
    person: Person
    client: Client
    has_v6: bool
    remember: bool
    share: float = 1.0
    jar: dict[bytes, bytes] = field(default_factory=dict)
    cookie: bytes = b""  # the header that the jar makes
    updates_at: float = float("inf")
    rests: tuple[float, float] | None = None  # switched off, from and until
    switches: Callable[[random.Random], Client] | None = None  # another agent for each burst

    def client_at(self, now: float) -> Client:
        """Return the browser as it is now: it updates itself once."""
        return updated(self.client) if now >= self.updates_at else self.client


@dataclass(slots=True, eq=False)
class Person:
    """A user: where they live, what they have, and how their days go."""

    number: int
    persona: str
    world: World
    country: str
    city: int
    rng: random.Random
    has_v6: bool
    plan: Callable[[Person, int], Sequence[Sequence[Stay]]]
    devices: list[Device] = field(default_factory=list)
    nets: dict[str, Any] = field(default_factory=dict)  # rules of networks, by what they are here
    facts: dict[str, Any] = field(default_factory=dict)
    attacked_at: float = float("inf")

    def seed(self, what: str) -> str:
        """Return a seed of this person's own."""
        return f"{self.world.seed} {self.number} {what}"

    def clock(self, day: int, hour: float) -> float:
        """Return the time of an hour of this person's day."""
        return LEAD + day * DAY + (hour - COUNTRIES[self.country].zone) * HOUR

    def stay(
        self, day: int, start: float, end: float, net: Net, client: Client | None = None
    ) -> Stay:
        """Make a stay from hours of the day."""
        return Stay(self.clock(day, start), self.clock(day, end), net, client)


Setup = Callable[[Person], None]
Plan = Callable[[Person, int], Sequence[Sequence[Stay]]]


@dataclass(frozen=True, slots=True)
class Persona:
    """A kind of person: `weight` is its part of the users."""

    name: str
    weight: float
    setup: Setup
    plan: Plan


def home_blocks(person: Person) -> list[Block]:
    """Choose a consumer ISP; its blocks in the person's city, or else all in the country."""
    operator = person.world.pick(person.rng, "isp", person.country)
    found = operator.within(person.country)
    return [block for block in found if block.city == person.city] or found


def move_in(person: Person, *, period: float | None = None, shared: bool = False) -> None:
    """Give the person a line at home and a phone's contract."""
    blocks = home_blocks(person)
    home: Net = (
        SharedPool(person.seed("home"), blocks)
        if shared
        else Line(person.seed("home"), blocks, period=period)
    )
    operator = person.world.pick(person.rng, "mobile", person.country)
    person.nets["home"] = home
    person.nets["cell"] = Cellular(person.seed("cell"), operator, person.country)


def choose(rng: random.Random, shares: Sequence[tuple[tuple[str, str], int]], lang: str) -> Client:
    """Choose a browser by its share."""
    names = [name for name, _ in shares]
    family, system = rng.choices(names, [weight for _, weight in shares])[0]
    return browser(family, system, 0, lang)


def add_device(person: Person, client: Client, share: float = 1.0, *, v6: bool = True) -> Device:
    """Give the person one more device; its number is set when all people are there."""
    rng = person.rng
    device = Device(
        number=0,
        person=person,
        client=client,
        has_v6=v6 and person.has_v6,
        remember=rng.random() >= DAILY_LOGIN,
        share=share,
    )
    if rng.random() < UPDATES.get(client.family, 0.0) and client.engine != "script":
        device.updates_at = (
            LEAD + rng.uniform(1.5, 6.0) * DAY
        )  # a release reaches people bit by bit
    person.devices.append(device)
    return device


def equip(person: Person, *, first: str = "desktop", second: float = SECOND_DEVICE) -> None:
    """Give the person a first device, and perhaps one of the other kind."""
    lang = COUNTRIES[person.country].language
    kinds = {"desktop": DESKTOPS, "phone": PHONES}
    has_second = person.rng.random() < second
    add_device(person, choose(person.rng, kinds[first], lang), 0.65 if has_second else 1.0)
    if has_second:
        other = "phone" if first == "desktop" else "desktop"
        add_device(person, choose(person.rng, kinds[other], lang), 0.35)
    for device in person.devices:
        if device.client.system in ("Android", "iOS") and person.rng.random() < APPS:
            use_app(device)


def use_app(device: Device) -> None:
    """Let the device's session be one of an app: a web view and the app's own library share it."""
    view, library = app(device.client.system)
    device.client, device.updates_at = view, float("inf")
    device.switches = lambda rng: view if rng.random() < 0.5 else library


def populate(world: World, personas: Sequence[Persona], count: int) -> list[Person]:
    """Make all people of a run; as many of each persona as its weight says."""
    rng = chance(f"people {world.seed}")
    total = sum(persona.weight for persona in personas)
    dealt: list[Persona] = []
    reached = 0.0
    for persona in personas:  # dealt and not drawn, so that small runs have some of each
        reached += persona.weight / total * count
        dealt += [persona] * (round(reached) - len(dealt))
    rng.shuffle(dealt)
    people = [_person(world, number, persona) for number, persona in enumerate(dealt)]
    numbered = 0
    for person in people:
        for device in person.devices:
            device.number = numbered
            numbered += 1
    return people


def _person(world: World, number: int, persona: Persona) -> Person:
    rng = chance(f"person {world.seed} {number} {persona.name}")
    weights = [COUNTRIES[code].share for code in CODES]
    person = Person(
        number=number,
        persona=persona.name,
        world=world,
        country=rng.choices(CODES, weights)[0],
        city=int(rng.random() < 0.4),
        rng=rng,
        has_v6=rng.random() < DUAL_STACK,
        plan=persona.plan,
    )
    persona.setup(person)
    return person

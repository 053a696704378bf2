"""Who takes over a session, from where, and with which browser.

An attack begins 5 to 600 seconds after a request of the victim and makes 25 requests in about
ten minutes, while the victim goes on. `must` is the share that has to be detected, None where it
is only reported; kinds of one `group` meet it together. "Another agent" is one of another browser
family or another operating system than the victim's. Other kinds are in `held_out`,
`held_out_2_attacks` and its kin, and `unseen_attacks`.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chance import chance
from clients import Client, program
from networks import Egress, Net, Onion, host_of
from people import DESKTOPS, Device, Person, choose
from traffic import Request, Traffic
from world import World, far_country, neighbour

REQUESTS: Final = 25
LASTS: Final = 600.0
AFTER: Final = (5.0, 600.0)
ATTACKED: Final = 0.5  # of the people, once in a run
_KINDS: Final = (("page", 4), ("fetch", 6), ("form", 1), ("save", 1))


@dataclass(frozen=True, slots=True)
class Thief:
    """The browser, and the networks that it uses one after the other.

    No networks are the victim's own line. With `accompanied` the victim is at work all the while.
    `kind` is for a thief of another kind than the one that built it.
    """

    client: Client
    nets: tuple[Net, ...]
    accompanied: bool = False
    kind: AttackKind | None = None


Build = Callable[[World, random.Random, Device], Thief | None]


@dataclass(frozen=True, slots=True)
class AttackKind:
    """One row of the table. `rests` is for how many days the session was not used before."""

    name: str
    group: str
    must: float | None
    build: Build
    rests: int = 0


@dataclass(slots=True, eq=False)
class Attack:
    """One attack, and what became of it; `cookie` is stolen when it begins."""

    kind: AttackKind
    device: Device
    thief: Thief
    day: int
    cookie: bytes = b""
    seen: int = 0
    void: str = ""  # why it does not count
    detected: int = 0  # the request that was flagged first, 0 for none
    baselines: dict[str, int] = field(default_factory=dict)


# --- where from ---


def line_in(rng: random.Random, world: World, country: str, *, but: int = 0) -> Net:
    """Return a consumer's line, half of the time one that a proxy service rents out."""
    rented = [one for one in world.rented[country] if one[0].asn != but]
    if rng.random() < 0.5:
        block, number = rng.choice(rented)
    else:
        block = rng.choice([b for b in world.blocks("isp", country) if b.asn != but])
        number = host_of(rng, block)
    return Egress(f"line {number}", [number], block.kind)


def server_in(rng: random.Random, world: World, country: str) -> Net:
    """Return a server at a hosting company."""
    block = rng.choice(world.blocks("hosting", country))
    number = host_of(rng, block)
    return Egress(f"server {number}", [number], block.kind)


def far(rng: random.Random, person: Person) -> str:
    """Choose a country that is no neighbour; another continent more often."""
    near = rng.random() < 0.4
    found = far_country(rng, person.country, same_continent=near)
    found = found or far_country(rng, person.country, same_continent=False)
    assert found is not None  # there is always another continent
    return found


def home_asn(person: Person) -> int:
    """Return the ASN of the victim's line at home, 0 where there is none."""
    blocks = getattr(person.nets.get("home"), "blocks", ())
    return blocks[0].asn if blocks else 0


def other_agent(rng: random.Random, victim: Device) -> Client:
    """Choose a browser of another family or system."""
    while True:
        client = choose(rng, DESKTOPS, "en-US")
        if not client.is_like(victim.client):
            return client


def cloned(victim: Device, now: float) -> Client:
    """Return the victim's very browser."""
    return victim.client_at(now)


def is_onion(victim: Device) -> bool:
    """Say whether the victim uses Tor: a thief there looks like a new circuit."""
    return "tor" in victim.person.nets


# --- the kinds ---


def _far_other(world: World, rng: random.Random, victim: Device) -> Thief:
    net = line_in(rng, world, far(rng, victim.person))
    return Thief(other_agent(rng, victim), (net,))


def _hosting_other(world: World, rng: random.Random, victim: Device) -> Thief:
    net = server_in(rng, world, far(rng, victim.person))
    return Thief(other_agent(rng, victim), (net,))


def _hosting_cloned(world: World, rng: random.Random, victim: Device) -> Thief:
    net = server_in(rng, world, far(rng, victim.person))
    return Thief(victim.client, (net,))


def _tor_other(world: World, rng: random.Random, victim: Device) -> Thief | None:
    client = program("tor")
    if is_onion(victim) or victim.client.is_like(client):
        return None
    return Thief(client, (Onion(f"attack {rng.random()}", world),))


def _tor_cloned(world: World, rng: random.Random, victim: Device) -> Thief | None:
    if is_onion(victim):
        return None
    return Thief(victim.client, (Onion(f"attack {rng.random()}", world),))


def _script_hosting(world: World, rng: random.Random, victim: Device) -> Thief:
    net = server_in(rng, world, far(rng, victim.person))
    return Thief(program(rng.choice(("curl", "requests"))), (net,))


def _script_near(world: World, rng: random.Random, victim: Device) -> Thief:
    net = line_in(rng, world, victim.person.country, but=home_asn(victim.person))
    return Thief(program(rng.choice(("curl", "requests"))), (net,))


def _near_other(world: World, rng: random.Random, victim: Device) -> Thief:
    net = line_in(rng, world, victim.person.country, but=home_asn(victim.person))
    return Thief(other_agent(rng, victim), (net,))


def _near_cloned(world: World, rng: random.Random, victim: Device) -> Thief:
    net = line_in(rng, world, victim.person.country, but=home_asn(victim.person))
    return Thief(victim.client, (net,))


def _far_cloned(same_continent: bool) -> Build:
    def build(world: World, rng: random.Random, victim: Device) -> Thief | None:
        country = far_country(rng, victim.person.country, same_continent=same_continent)
        return Thief(victim.client, (line_in(rng, world, country),)) if country else None

    return build


def _neighbour_cloned(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = neighbour(rng, victim.person.country)
    return Thief(victim.client, (line_in(rng, world, country),)) if country else None


def _same_line(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(other_agent(rng, victim), ())


FAR_CLONED: Final = "far line, cloned agent"
ATTACKS: Final = (
    AttackKind("far line, other agent", "far, other agent", 0.97, _far_other),
    AttackKind("hosting, other agent", "hosting", 0.97, _hosting_other),
    AttackKind("hosting, cloned agent", "hosting", 0.97, _hosting_cloned),
    AttackKind("Tor, other agent", "Tor", 0.97, _tor_other),
    AttackKind("Tor, cloned agent", "Tor", 0.97, _tor_cloned),
    AttackKind("script, hosting", "script", 0.97, _script_hosting),
    AttackKind("script, same country", "script", 0.97, _script_near),
    AttackKind("same country, other agent", "same country, other agent", 0.97, _near_other),
    AttackKind("other continent, cloned agent", FAR_CLONED, 0.75, _far_cloned(False)),
    AttackKind("same continent, cloned agent", FAR_CLONED, 0.75, _far_cloned(True)),
    AttackKind("neighbour country, cloned agent", "neighbour, cloned", None, _neighbour_cloned),
    AttackKind("same country, cloned agent", "same country, cloned", None, _near_cloned),
    AttackKind("same line, other device", "same line", None, _same_line),
)


# --- when ---


def plan(
    people: Sequence[Person], kinds: Sequence[AttackKind], world: World, days: int
) -> dict[tuple[int, int], Attack]:
    """Deal attacks out to people; returned by the person's number and the day."""
    rng = chance(f"attacks {world.seed}")
    attacks: dict[tuple[int, int], Attack] = {}
    if not kinds or days < 2:
        return attacks
    chosen = sorted(rng.sample(range(len(people)), round(ATTACKED * len(people))))
    waiting = list(kinds)
    for number in chosen:
        person = people[number]
        victims = [one for one in person.devices if one.client.engine != "script"]
        victim = rng.choices(victims, [one.share for one in victims])[0]
        for _ in range(len(kinds)):  # the next kind that is possible against this victim
            kind = waiting.pop(0)
            waiting.append(kind)
            thief = kind.build(world, rng, victim)
            if thief is not None and (not kind.rests or (victim.remember and days > kind.rests)):
                break
        else:
            continue
        day = rng.randrange(1 + kind.rests, days) if days > 1 + kind.rests else days - 1
        attacks[number, day] = Attack(thief.kind or kind, victim, thief, day)
        if kind.rests:
            victim.rests = (person.clock(day - kind.rests, 0), person.clock(day, 24))
    return attacks


def place(
    attack: Attack, requests: Sequence[Request], traffic: Traffic, rng: random.Random
) -> list[Request]:
    """Return the thief's requests, after one of the victim's; none where there is none."""
    device = attack.device
    person = device.person
    if attack.kind.rests:
        start, trigger = person.clock(attack.day, rng.uniform(8, 14)), None
    else:
        mine = [one for one in requests if one[2] is device]
        if not mine:
            return []
        trigger = rng.choice(mine)
        start = trigger[0] / 1000 + rng.uniform(*AFTER)
    person.attacked_at = start
    made = []
    if attack.thief.accompanied and trigger is not None:
        made += _accompany(trigger, start, traffic, rng, attack.day)
    return made + _steal(attack, trigger, start, traffic, rng)


def _steal(
    attack: Attack, trigger: Request | None, start: float, traffic: Traffic, rng: random.Random
) -> list[Request]:
    device, thief = attack.device, attack.thief
    own = trigger[3] if trigger else ""
    client = thief.client
    if client == device.client:  # a copy is one of the browser as it is today
        client = cloned(device, start)
    offsets = [0.0, *sorted(rng.uniform(0, LASTS) for _ in range(REQUESTS - 1))]
    names = [name for name, _ in _KINDS]
    weights = [weight for _, weight in _KINDS]
    made: list[Request] = []
    for number, offset in enumerate(offsets):
        now = start + offset
        if thief.nets:
            address = thief.nets[number * len(thief.nets) // REQUESTS].at(now, False)
        else:
            address = beside(own)
        kind = "page" if number == 0 else rng.choices(names, weights)[0]
        serial = next(traffic.serial)
        made.append((round(now * 1000), serial, device, address, client, kind, attack.day, attack))
    return made


def _accompany(
    trigger: Request, start: float, traffic: Traffic, rng: random.Random, day: int
) -> list[Request]:
    """The victim works on, every half a minute, from where they are."""
    _, _, device, address, client, *_ = trigger
    made: list[Request] = []
    now = start - 60
    while now < start + LASTS:
        kind = rng.choice(("page", "fetch", "poll"))
        serial = next(traffic.serial)
        made.append((round(now * 1000), serial, device, address, client, kind, day, None))
        now += rng.uniform(15, 45)
    return made


def beside(address: str) -> str:
    """Return the address of another device on the same line: with IPv6 it has its own."""
    if ":" not in address:
        return address
    prefix = socket.inet_pton(socket.AF_INET6, address)[:8]
    return socket.inet_ntop(socket.AF_INET6, prefix + b"\x00\x00\x00\x00\x00\x00\xbe\xef")

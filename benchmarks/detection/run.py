"""One run with one seed: the world, its people, their requests in order, and what came of them."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from attacks import ATTACKS, Attack, AttackKind, place, plan
from baselines import NAMES, Baselines, Lookup
from chance import chance
from clients import Client
from databases import write_places, write_reputation
from drive import Site
from held_out import HELD_OUT, HELD_OUT_ATTACKS
from held_out_2 import HELD_OUT_2
from held_out_2_attacks import HELD_OUT_2_ATTACKS
from held_out_3 import HELD_OUT_3
from held_out_3_attacks import HELD_OUT_3_ATTACKS
from held_out_4 import HELD_OUT_4
from held_out_4_attacks import HELD_OUT_4_ATTACKS
from networks import DAY
from people import LEAD, Device, Person, Persona, populate
from personas import MILD, PERSONAS, SAME_AGENT
from tally import Tally
from traffic import Request, Traffic
from unseen import UNSEEN
from unseen_attacks import UNSEEN_ATTACKS
from world import World

from gatehound import Action


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of run; `share` is the part of the users that it has.

    `fp` and `hit` are the most session-days and users that may be flagged, None: only reported.
    """

    name: str
    personas: Sequence[Persona]
    attacks: Sequence[AttackKind]
    fp: float | None
    hit: float | None
    share: float = 1.0
    databases: bool = True
    proxied: bool = False


KINDS: Final = {
    one.name: one
    for one in (
        Kind("standard", PERSONAS, ATTACKS, 0.004, 0.04),
        Kind("mild", MILD, ATTACKS, 0.001, 0.04, 0.5),
        Kind("held-out", HELD_OUT, HELD_OUT_ATTACKS, 0.004, 0.04, 0.5),
        Kind("held-out-2", HELD_OUT_2, HELD_OUT_2_ATTACKS, 0.004, 0.04, 0.5),
        Kind("held-out-3", HELD_OUT_3, HELD_OUT_3_ATTACKS, 0.004, 0.04, 0.5),
        Kind("held-out-4", HELD_OUT_4, HELD_OUT_4_ATTACKS, 0.004, 0.04, 0.5),
        Kind("unseen", UNSEEN, UNSEEN_ATTACKS, 0.004, 0.04, 0.5),
        Kind("mis-set-proxy", SAME_AGENT, (), 0.0, 0.0, 0.2, proxied=True),
        Kind("no-database", PERSONAS, ATTACKS, None, None, 0.2, databases=False),
    )
}
SHORTEST: Final = 60.0  # seconds that a session lives at least: idle timeouts are longer
FEWEST: Final = 40  # users of a run: the check of the population needs 20


@dataclass(frozen=True, slots=True)
class Job:
    """What one process has to do."""

    kind: str
    seed: int
    users: int
    days: int
    upgrade: bool = True


def simulate(job: Job) -> dict[str, Any]:
    """Run one job in a folder of its own, and return its counts."""
    with tempfile.TemporaryDirectory(prefix="detection-") as folder:
        began, cpu = time.perf_counter(), time.process_time()
        run = Run(job, Path(folder))
        asyncio.run(run.all())
        result = run.tally.result()
        result["events"] = dict(sorted(run.site.events.items()))
        result["requests"] = run.site.requests
        result["seconds"] = round(time.perf_counter() - began, 1)
        result["cpu_seconds"] = round(time.process_time() - cpu, 1)
        run.lookup.close()
        return result


class Run:
    """The parts of one run."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.kind = kind = KINDS[job.kind]
        self.world = World(job.seed)
        write_places(self.world, folder, 0)
        write_reputation(self.world, folder)
        count = max(FEWEST, round(job.users * kind.share))
        self.people = populate(self.world, kind.personas, count)
        self.attacks = plan(self.people, kind.attacks, self.world, job.days)
        self.traffic = Traffic(job.seed, mild=kind.name == "mild")
        self.site = Site(folder if kind.databases else None, users=count)
        self.lookup = Lookup(folder)
        self.baselines = Baselines(self.lookup)
        self.tally = Tally(self.people, NAMES)
        self.tally.attacks = list(self.attacks.values())
        self._proxies = proxies(job.seed) if kind.proxied else ()
        self._flagged: set[int] = set()  # devices whose session was suspicious last time
        self._signed_in: dict[int, float] = {}

    async def all(self) -> None:
        """Send everything, a day at a time."""
        waiting: list[Request] = []
        for day in range(self.job.days):
            if self.job.upgrade and day == max(1, self.job.days // 2):
                self.upgrade()
            for person in self.people:
                waiting += self._day_of(person, day)
            waiting.sort(key=lambda one: one[:2])
            # What another time zone has of this day may come after the next day has begun here.
            end = (LEAD + (day + 1) * DAY - 11 * 3600) * 1000
            last = day == self.job.days - 1
            split = next((n for n, one in enumerate(waiting) if one[0] >= end), len(waiting))
            due = waiting if last else waiting[:split]
            waiting = [] if last else waiting[split:]
            gc.freeze()  # nothing of it is garbage, and the collector would look at all of it
            await self._send(due)

    def _day_of(self, person: Person, day: int) -> list[Request]:
        made = self.traffic.day(person, day)
        attack = self.attacks.get((person.number, day))
        if attack is not None:
            rng = chance(f"attack {self.job.seed} {person.number}")
            made += place(attack, sorted(made, key=lambda one: one[:2]), self.traffic, rng)
        return made

    def upgrade(self) -> None:
        """Replace the databases while everything runs."""
        write_places(self.world, self.folder, 1)
        self.site.notice_upgrade()
        self.lookup.close()
        self.lookup = self.baselines.lookup = Lookup(self.folder)

    async def _send(self, requests: Sequence[Request]) -> None:
        proxies = self._proxies
        for at, serial, device, address, client, kind, day, attack in requests:
            self.site.go_to(at)
            forwarded = b""
            if proxies:
                forwarded, address = address.encode(), proxies[serial % len(proxies)]
            if isinstance(attack, Attack):
                await self._attacked(attack, address, client, kind, at / 1000)
            else:
                await self._used(device, address, client, kind, day, at / 1000, forwarded)

    async def _used(
        self,
        device: Device,
        address: str,
        client: Client,
        kind: str,
        day: int,
        now: float,
        forwarded: bytes,
    ) -> None:
        """Send a request of the owner; who is signed out signs in first."""
        site, person = self.site, device.person
        if device.cookie:
            await site.ask(client, kind, address, device.cookie, forwarded)
            site.keep(device)
        if not device.cookie or site.user is None:
            await self._sign_in(device, address, client, now, forwarded)
        fired = self.baselines.see(device.number, person.number, address, client.agent, now)
        is_flagged = site.action >= Action.FLAG
        if is_flagged:
            self._flagged.add(device.number)
        else:
            self._flagged.discard(device.number)
        if now < person.attacked_at:
            self.tally.saw(device, day, fired)
            if is_flagged:
                self.tally.flagged(device, day, site.signals)

    async def _sign_in(
        self, device: Device, address: str, client: Client, now: float, forwarded: bytes
    ) -> None:
        """Begin a session; a site that forgets its users at once is broken, and no figure."""
        number = device.number
        if now - self._signed_in.get(number, -SHORTEST) < SHORTEST:
            raise RuntimeError(f"a session ended within {SHORTEST:g} s: {self.site.events}")
        self._signed_in[number] = now
        await self.site.login(device, client, address, forwarded)
        self.baselines.begin(number, device.person.number)

    async def _attacked(
        self, attack: Attack, address: str, client: Client, kind: str, now: float
    ) -> None:
        """Send a request of the thief, who has the cookie that the device had at the beginning."""
        device = attack.device
        if not attack.cookie:
            attack.cookie = device.cookie
            if not device.cookie:
                attack.void = "no session"
            elif device.number in self._flagged:
                attack.void = "flagged before"
        if attack.void:
            return
        await self.site.ask(client, kind, address, attack.cookie)
        if self.site.user is None:
            attack.void = "" if attack.seen else "session over"
            return
        attack.seen += 1
        person = device.person
        fired = self.baselines.see(device.number, person.number, address, client.agent, now)
        for name in fired:
            attack.baselines.setdefault(name, attack.seen)
        if not attack.detected and self.site.action >= Action.FLAG:
            attack.detected = attack.seen


# Where the proxies of a mis-set run are: inside, at a host, at an edge (one of Cloudflare's).
_INSIDE: Final = ("10.0.0.7", "10.0.0.8", "10.0.1.9")
_HOSTED: Final = ("60.7.21.5", "60.7.21.6", "61.9.130.4")
_EDGE: Final = ("172.68.10.5", "162.158.3.7", "172.70.2.9")


def proxies(seed: int) -> Sequence[str]:
    """Return the one to three proxies that stand before the app."""
    return (_EDGE, _INSIDE, _HOSTED)[seed % 3][: 3 - seed % 3]


def jobs(
    kinds: Sequence[str], seeds: Sequence[int], users: int, days: int, *, upgrade: bool
) -> Iterator[Job]:
    """Return one job for each kind and seed."""
    for kind in kinds:
        for seed in seeds:
            yield Job(kind, seed, users, days, upgrade)

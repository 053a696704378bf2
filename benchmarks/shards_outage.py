"""What a request meets while a master of the cluster is gone, and after it is replaced.

What decides about a call is the library's own: `Delivery`, `Masters`, `Sharded` and `Breaker` run
as they are on a simulated clock, in the blocking way. `Network` stands in the place of `Nodes`,
and `App` does what a server of processes and threads does. Not modelled: what the servers can
bear, CPU time of the app, asyncio, and a master that comes back.

The time of the failover is of Redis's "Cluster specification" (Heartbeat, Failure detection,
Replica election): each node is sent a PING within half of cluster-node-timeout, is suspected
when that is unanswered for the whole of it, and its replica waits 0.5 to 1 s before it asks for
votes. That a majority has to hear of the suspicion, and the votes, are not added.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Collection, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.connection
from redis.crc import key_slot
from shards_placement import KEYS, Population, fold, starts_of

from gatehound._sync import run_sync
from gatehound.errors import StoreError
from gatehound.stores.redis.address import Address, read_url
from gatehound.stores.redis.breaker import Breaker
from gatehound.stores.redis.delivery import Delivery
from gatehound.stores.redis.master import Masters
from gatehound.stores.redis.node import AWAKE, CONNECT, PROMPT
from gatehound.stores.redis.topology import SLOTS, Command
from gatehound.stores.redis.trouble import StoreSilent

TIMEOUTS: Final = (1, 5, 15)
DEATHS: Final = {"killed": (0.0, 0.0), "frozen": (PROMPT, PROMPT), "gone": (PROMPT, CONNECT)}
"""How long a call waits for a dead master on an open connection, and on a new one."""
TRIP: Final = 0.001
WORK: Final = 0.01
"""What the app does for a request, besides reading the session."""
DIES: Final = 5.0
AFTER: Final = 5.0
SLACK: Final = 0.005
"""A wait is counted from here on; a call that is answered takes less."""
BIN: Final = 0.25
BURST: Final = 0.1


class Pause:
    """Wait for so many simulated seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        yield self._seconds


class Silence(Exception):
    """No answer, or no connection."""


@dataclass
class Cluster:
    """The servers and the time. Master n is replaced by replica n."""

    shards: int
    death: str
    dead: Address
    promoted_at: float
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def is_dead(self, address: Address) -> bool:
        return address == self.dead and self.now >= DIES

    def map(self) -> list[list[Any]]:
        """Answer CLUSTER SLOTS."""
        ends = [*starts_of(self.shards), SLOTS]
        reply = []
        for n in range(self.shards):
            pair = [[b"master", n + 1], [b"replica", n + 1]]
            if n + 1 == self.dead.port and self.now >= self.promoted_at:
                pair = pair[1:]
            reply.append([ends[n], ends[n + 1] - 1, *pair])
        return reply


class Network:
    """The servers as one worker sees them: in the place of `Nodes`, with its rules.

    The library's `Breaker` counts silences. A connection that gave no answer is closed.
    """

    suspends = False

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._breakers: dict[Address, Breaker] = {}
        self._idle: Counter[Address] = Counter()
        self.opened: list[tuple[float, Address]] = []
        self.maps = 0
        self.held = 0.0  # seconds of the outage that threads waited for the dead master

    async def ask(
        self, address: Address, commands: Sequence[Command], *, patient: bool = False
    ) -> list[Any]:
        """Do what `Nodes.ask` does in a cluster."""
        breaker = self.breaker(address)
        began = breaker.begin()
        if began is None:
            raise StoreSilent("left alone")
        try:
            if began - breaker.heard_at >= AWAKE:
                await self._send(address, [("PING",)])
            replies = await self._send(address, commands)
        except Silence as error:
            breaker.silent(began)
            raise StoreSilent("no answer") from error
        breaker.answered(began)
        return replies

    def breaker(self, address: Address) -> Breaker:
        """Return the breaker of a server."""
        return self._breakers.setdefault(address, Breaker(self._cluster.clock))

    async def keep(self, addresses: Collection[Address]) -> None:
        """Forget all other servers."""
        for gone in set(self._breakers).difference(addresses):
            del self._breakers[gone]

    async def _send(self, address: Address, commands: Sequence[Command]) -> list[Any]:
        cluster = self._cluster
        is_open = self._idle[address] > 0
        self._idle[address] -= is_open
        if not is_open:
            self.opened.append((cluster.now, address))
        if cluster.is_dead(address):
            wait = DEATHS[cluster.death][not is_open]
            self.held += max(0.0, min(wait, cluster.promoted_at - cluster.now))
            await Pause(wait)
            raise Silence
        asks_map = commands[0][0] == "CLUSTER"
        self.maps += asks_map
        if cluster.now:  # before that the worker starts
            await Pause(TRIP if is_open else 3 * TRIP)  # to connect, to greet, to ask
        self._idle[address] += 1
        return [cluster.map() if asks_map else b""] * len(commands)


class Worker:
    """A process of the app: it knows the cluster, and counts silences, by itself."""

    def __init__(self, cluster: Cluster) -> None:
        self.nodes = Network(cluster)
        nodes: Any = self.nodes
        target = read_url("redis+cluster://master:1", redis.connection)
        masters = Masters(target, nodes, nodes, cluster.clock)
        run_sync(masters.renew())
        self.delivery = Delivery(nodes, masters, key_slot, PROMPT, cluster.clock)
        self.busy = 0


@dataclass(slots=True)
class Request:
    """One that reads a session; `is_touched` where it lies on the shard whose master dies."""

    arrived: float
    key: bytes
    is_touched: bool
    called: float = 0.0
    """Seconds in the call of the store; `waited` has the backlog before it as well."""
    waited: float = 0.0
    is_refused: bool = False


class App:
    """Workers with one backlog, as processes that accept from one socket."""

    def __init__(self, workers: int, threads: int, cluster: Cluster) -> None:
        self.cluster = cluster
        self.workers = [Worker(cluster) for _ in range(workers)]
        self._threads = threads
        self._backlog: deque[Request] = deque()
        self._due: list[tuple[float, int, Request | Coroutine[Any, None, None]]] = []
        self._count = 0
        self._turn = random.Random(0)  # noqa: S311 - the same in every run, no secret

    def play(self, requests: Sequence[Request]) -> None:
        """Let everything happen in its order."""
        for request in requests:
            self._plan(request.arrived, request)
        while self._due:
            self.cluster.now, _, thing = heapq.heappop(self._due)
            if isinstance(thing, Request):
                self._accept(thing)
            else:
                self._go_on(thing)

    def _plan(self, when: float, thing: Request | Coroutine[Any, None, None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, thing))

    def _accept(self, request: Request) -> None:
        free = [worker for worker in self.workers if worker.busy < self._threads]
        if not free:
            self._backlog.append(request)
            return
        worker = self._turn.choice(free)
        worker.busy += 1
        self._go_on(self._serve(worker, request))

    def _go_on(self, task: Coroutine[Any, None, None]) -> None:
        try:
            pause = task.send(None)
        except StopIteration:
            return
        self._plan(self.cluster.now + (pause or 0.0), task)

    async def _serve(self, worker: Worker, request: Request) -> None:
        command, began = ("HMGET", request.key, "session"), self.cluster.now
        [reply] = await worker.delivery.deliver((command,), False, 0, CONNECT + PROMPT)
        request.called = self.cluster.now - began
        request.waited = self.cluster.now - request.arrived
        request.is_refused = isinstance(reply, StoreError)
        if not request.is_refused:
            await Pause(WORK)
        worker.busy -= 1
        if self._backlog:
            self._plan(self.cluster.now, self._backlog.popleft())


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens to which app."""

    shards: int
    timeout: float
    death: str
    workers: int
    threads: int
    rate: float

    @property
    def outage(self) -> float:
        """Seconds until the replica is the master: the middle of what is possible."""
        return 1.25 * self.timeout + 0.75


def ask(scene: Scene, people: Population, dead: int) -> list[Request]:
    """Make requests of random users at random times."""
    chance = random.Random(scene.shards)  # noqa: S311 - the same in every run, no secret
    starts = [*starts_of(scene.shards), SLOTS]
    requests, now = [], 0.0
    while (now := now + chance.expovariate(scene.rate)) < DIES + scene.outage + AFTER:
        key = KEYS.user(chance.choice(people.aliases))
        requests.append(Request(now, key, starts[dead] <= key_slot(key) < starts[dead + 1]))
    return requests


def play(scene: Scene, people: Population) -> dict[str, Any]:
    """Let the master of the fullest shard die, and say what became of the requests."""
    shares = fold("our tags", people.loads("bucket", [1.0] * len(people.aliases)), scene.shards)
    dead = shares.index(max(shares))
    cluster = Cluster(scene.shards, scene.death, Address("master", dead + 1), DIES + scene.outage)
    app = App(scene.workers, scene.threads, cluster)
    requests = ask(scene, people, dead)
    app.play(requests)
    return {
        "shards": scene.shards,
        "timeout": scene.timeout,
        "death": scene.death,
        "workers": scene.workers,
        "threads": scene.threads,
        "rate": scene.rate,
        "outage_s": scene.outage,
        "outage_range_s": [scene.timeout + 0.5, 1.5 * scene.timeout + 1],
        "share_of_users": shares[dead],
        **_requests(requests, cluster.promoted_at),
        **_connections(app, scene),
        "timeline": _timeline(requests),
    }


def _requests(requests: Sequence[Request], promoted_at: float) -> dict[str, Any]:
    during = [one for one in requests if DIES <= one.arrived < promoted_at]
    touched = [one for one in during if one.is_touched]
    others = [one for one in during if not one.is_touched]
    after = [one for one in requests if one.arrived >= promoted_at]
    late = [one for one in after if one.is_refused]
    limits = {"at_once": SLACK, "to_prompt": PROMPT + SLACK, "to_connect": CONNECT + SLACK}
    refused = [one.called for one in touched if one.is_refused]
    waits = Counter(
        next((name for name, limit in limits.items() if called <= limit), "longer")
        for called in refused
    )
    healed = [one.arrived + one.waited for one in requests if one.is_refused]
    return {
        "requests": len(requests),
        "during": len(during),
        "touched": len(touched),
        "touched_refused": len(refused),
        "refused_after": {name: waits[name] for name in (*limits, "longer")},
        "touched_longest_s": max((one.waited for one in touched), default=0.0),
        "others": len(others),
        "others_refused": sum(one.is_refused for one in others),
        "others_late": sum(one.waited > SLACK for one in others),
        "others_longest_s": max((one.waited for one in others), default=0.0),
        "after": len(after),
        "after_refused": len(late),
        "after_late": sum(one.waited > SLACK for one in after if not one.is_refused),
        "healed_s": max(0.0, max(healed, default=0.0) - promoted_at),
    }


def _connections(app: App, scene: Scene) -> dict[str, Any]:
    cluster = app.cluster
    new = Address("replica", cluster.dead.port)
    by_worker = [[when for when, to in w.nodes.opened if to == new] for w in app.workers]
    times = sorted(when for opened in by_worker for when in opened)
    tried = [when for w in app.workers for when, to in w.nodes.opened if to == cluster.dead]
    held = sum(worker.nodes.held for worker in app.workers)
    asked = sum(worker.nodes.maps - 1 for worker in app.workers)  # less that of its start
    return {
        "connections": len(times),
        "connections_a_worker": max(map(len, by_worker)),
        "connections_burst": max(
            (sum(at <= when < at + BURST for when in times) for at in times), default=0
        ),
        "connections_before": sum(when < DIES for when in tried),
        "connections_tried": sum(when >= DIES for when in tried),
        "maps": asked,
        "held": held / (scene.workers * scene.threads * scene.outage),
    }


def _timeline(requests: Sequence[Request]) -> list[list[float]]:
    """Of the touched, by time of arrival: served, refused at once, refused after a wait."""
    bins: dict[int, list[int]] = {}
    for one in requests:
        if one.is_touched:
            kind = 0 if not one.is_refused else 1 + (one.called > SLACK)
            bins.setdefault(int(one.arrived / BIN), [0, 0, 0])[kind] += 1
    return [[n * BIN - DIES, *bins.get(n, [0, 0, 0])] for n in range(max(bins) + 1)]

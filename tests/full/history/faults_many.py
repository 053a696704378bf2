"""What goes wrong where several servers are one store: a cluster, or Sentinels' master."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import ClassVar

import redis.crc

import zoo
from gatehound.stores.redis.keys import Keys
from history.faults import Fault, People
from history.record import Failover, Trouble
from history.server import Probe

FROZEN = 10.0
DEPOSED = 6.0
LAG = 0.5
# A master that wakes up answers before it hears of its failover: from other masters of a cluster
# within milliseconds, from Sentinels after some ten seconds, so there clients must find out.
STALE_CLUSTER = 0.1
STALE_SENTINEL = 2.0
DWELL = 0.15  # seconds that each slot stays half-moved
LONG_DWELL = 1.5  # and the last one: longer than anybody asks again
KEYS = Keys("history")


class ClusterFault(Fault):
    """Three masters with a replica each, and no fault."""

    name = "none, cluster"
    options: ClassVar[Sequence[str]] = ()

    def enter(self, stack: contextlib.ExitStack) -> None:
        self.cluster = stack.enter_context(zoo.cluster(self._folder, *self.options))

    @property
    def url(self) -> str:
        return self.cluster.url

    def family(self, people: People) -> tuple[zoo.Server, zoo.Server, frozenset[str], bytes]:
        """Return the master of the first user, its replica, its users, and one of its keys."""
        slots = {user: slot_of(alias) for user, alias in people.items()}
        first, *_ = people
        master = self.cluster.owner(slots[first])
        own = frozenset(u for u, slot in slots.items() if self.cluster.owner(slot) is master)
        replica = self.cluster.servers[self.cluster.servers.index(master) + self.cluster.masters]
        return master, replica, own, KEYS.bucket(people[first]) + b"probe"


class ClusterKill(ClusterFault):
    """SIGKILL of a master: its replica takes over."""

    name = "SIGKILL, cluster master"

    def strike(self, people: People) -> Trouble:
        master, replica, own, key = self.family(people)
        with Probe([master.port, replica.port], key) as probe:
            time.sleep(0.2)
            began = time.monotonic()
            master.kill()
            healed = probe.wait(began + 0.2)
        failovers = (Failover(at=began, users=own),)
        # All wait: a cluster with slots that nobody answers for says no to all.
        return Trouble(began=began, healed=healed, failovers=failovers, users=frozenset(people))


class ClusterKillLagging(ClusterFault):
    """SIGKILL of a master whose replica has heard nothing for a while: that is lost."""

    name = "SIGKILL, replica lags"

    def strike(self, people: People) -> Trouble:
        master, replica, own, key = self.family(people)
        with Probe([master.port, replica.port], key) as probe:
            time.sleep(0.2)
            with replica.frozen():
                # What was sent lies in the replica's socket, and it reads that later. So nothing
                # more is sent from here on.
                master.ask("CLIENT", "KILL", "TYPE", "replica")
                time.sleep(LAG)
                began = time.monotonic()
                master.kill()
            healed = probe.wait(began + 0.2)
        failovers = (Failover(at=began, users=own),)
        return Trouble(began=began, healed=healed, failovers=failovers, users=frozenset(people))


class ClusterFreeze(ClusterFault):
    """SIGSTOP of a master for 10 s: its replica takes over, and then the old one wakes up."""

    name = "SIGSTOP 10 s, cluster master"

    def strike(self, people: People) -> Trouble:
        master, replica, own, key = self.family(people)
        with Probe([replica.port, master.port], key) as probe:
            time.sleep(0.2)
            began = time.monotonic()
            with master.frozen():
                healed = probe.wait(began + 0.2)
                time.sleep(max(0.0, began + FROZEN - time.monotonic()))
                woke = time.monotonic()
            time.sleep(2.0)
        return Trouble(
            began=began,
            healed=healed,
            woke=woke,
            stale_for=STALE_CLUSTER,
            failovers=(Failover(at=began, users=own),),
            # All wait: a cluster with slots that nobody answers for says no to all.
            users=frozenset(people),
        )


class Reshard(ClusterFault):
    """Populated buckets move to another master, slot by slot, each half-moved for a while."""

    name = "live resharding"

    def strike(self, people: People) -> Trouble:
        master, _, own, _ = self.family(people)
        target = next(one for one in self.cluster.each_master() if one is not master)
        slots = sorted({slot_of(people[user]) for user in own})
        began = time.monotonic()
        for slot in slots:
            count = master.ask("CLUSTER", "COUNTKEYSINSLOT", slot)
            assert count > 1, "a bucket without keys shows nothing"
            end = zoo.move_slot(self.cluster, slot, target, keys=count // 2)
            time.sleep(LONG_DWELL if slot == slots[-1] else DWELL)
            end()
        healed = time.monotonic()
        return Trouble(began=began, healed=healed, users=own)


class SentinelKill(Fault):
    """SIGKILL of the master that three Sentinels watch: its replica takes over."""

    name = "Sentinel failover"

    def enter(self, stack: contextlib.ExitStack) -> None:
        self.watched = stack.enter_context(zoo.sentinels(self._folder))

    @property
    def url(self) -> str:
        return self.watched.url

    def strike(self, people: People) -> Trouble:
        master = self.watched.master()
        ports = [server.port for server in self.watched.data]
        everybody = frozenset(people)
        with Probe(ports) as probe:
            time.sleep(0.2)
            began = time.monotonic()
            master.kill()
            healed = probe.wait(began + 0.2)
        failovers = (Failover(at=began, users=everybody),)
        return Trouble(began=began, healed=healed, failovers=failovers, users=everybody)


class SentinelFreeze(SentinelKill):
    """SIGSTOP of that master until its replica has taken over; then there are two for a while."""

    name = "SIGSTOP 6 s, Sentinel"

    def strike(self, people: People) -> Trouble:
        master = self.watched.master()
        ports = [server.port for server in self.watched.data if server is not master]
        everybody = frozenset(people)
        with Probe(ports) as probe:
            began = time.monotonic()
            with master.frozen():
                healed = probe.wait(began + 0.2)
                time.sleep(max(0.0, began + DEPOSED - time.monotonic()))
                woke = time.monotonic()
        time.sleep(3.0)
        return Trouble(
            began=began,
            healed=healed,
            woke=woke,
            stale_for=STALE_SENTINEL,
            failovers=(Failover(at=began, users=everybody),),
            users=everybody,
        )


def slot_of(alias: bytes) -> int:
    """Return the slot where all keys of this user lie."""
    return int(redis.crc.key_slot(KEYS.user(alias)))

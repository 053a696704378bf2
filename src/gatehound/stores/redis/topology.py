"""Where the master of a key is: one server, the master that Sentinels name, or a cluster.

redis-py has clients that know this by themselves. They are not used: that of a cluster sends
again what may have been carried out (8.1, with a socket_timeout of 0.25 s: one INCR to a master
that stood still for 0.7 s took 0.7 s and counted 2), and they read the map anew, or ask one
Sentinel after another, inside the call that met the trouble. Here a topology is data, and the
wire decides when to ask.

Sources: Redis's "Cluster specification" (MOVED, ASK, CLUSTER SLOTS) and "Sentinel client spec".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from gatehound.stores.redis.address import Address, Target

SLOTS: Final = 16384
# While something is wrong the topology is asked for at most this often, by one call.
PAUSE: Final = 0.25

Command = Sequence[bytes | str | int]


class Topology(Protocol):
    """What all three answer. None of it does I/O."""

    question: Command
    """What to ask an informant; () where nobody needs to be asked."""

    fades: bool
    """True where what was learned is good for a moment only."""

    def find(self, slot: int) -> Address | None:
        """Return the master of a slot; None where it is not known yet."""
        raise NotImplementedError

    def masters(self) -> Sequence[Address]:
        """Return every master that is known."""
        raise NotImplementedError

    def informants(self) -> Sequence[Address]:
        """Return who can answer the question, the likeliest first."""
        raise NotImplementedError

    def learn(self, reply: Any, told_by: Address) -> bool:
        """Take an answer over; False where it says nothing."""
        raise NotImplementedError

    def move(self, slot: int, address: Address) -> None:
        """Take over what MOVED said."""
        raise NotImplementedError

    def forget(self) -> None:
        """Know no master any more."""
        raise NotImplementedError


class Single:
    """One server, by its address."""

    question: Command = ()
    fades = False

    def __init__(self, target: Target) -> None:
        self._address = target.seeds[0]

    def find(self, slot: int) -> Address:
        return self._address

    def masters(self) -> Sequence[Address]:
        return (self._address,)

    informants = masters

    def learn(self, reply: Any, told_by: Address) -> bool:
        return False

    def move(self, slot: int, address: Address) -> None:
        """A server of a cluster says so; that is an error of the settings, see trouble."""

    def forget(self) -> None:
        """Its address is what the settings say."""


class Watched:
    """The master of one service, by what its Sentinels say."""

    fades = True

    def __init__(self, target: Target) -> None:
        self.question: Command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service)
        self._sentinels = target.seeds
        self._master: Address | None = None

    def find(self, slot: int) -> Address | None:
        return self._master

    def masters(self) -> Sequence[Address]:
        return () if self._master is None else (self._master,)

    def informants(self) -> Sequence[Address]:
        return self._sentinels

    def learn(self, reply: Any, told_by: Address) -> bool:
        if not reply:
            return False  # this Sentinel does not watch that service
        self._master = Address(_text(reply[0]), int(reply[1]))
        self._sentinels = _first(told_by, self._sentinels)
        return True

    def move(self, slot: int, address: Address) -> None:
        """No server behind Sentinels says MOVED."""

    def forget(self) -> None:
        self._master = None


class Sharded:
    """A cluster: which master answers for which slot."""

    question: Command = ("CLUSTER", "SLOTS")
    # A master that was frozen hears of its successor before it answers anew (see Nodes), and one
    # that is cut off from the others stops answering after cluster-node-timeout.
    fades = False

    def __init__(self, target: Target) -> None:
        self._seeds = target.seeds
        self._known = target.seeds
        self._owners: list[Address | None] = [None] * SLOTS
        self._masters: tuple[Address, ...] | None = None  # None: to be read off the owners

    def find(self, slot: int) -> Address | None:
        return self._owners[slot]

    def masters(self) -> Sequence[Address]:
        found = self._masters
        if found is None:  # a millisecond: in an outage it is asked for four times a second
            found = tuple(dict.fromkeys(owner for owner in self._owners if owner is not None))
            self._masters = found
        return found

    def informants(self) -> Sequence[Address]:
        """Masters, their replicas, and what the URL says: all may have moved but one."""
        return self._known

    def learn(self, reply: Any, told_by: Address) -> bool:
        owners: list[Address | None] = [None] * SLOTS
        masters: list[Address] = []
        replicas: list[Address] = []
        for first, last, master, *others in reply:
            address = _address(master, told_by)
            owners[first : last + 1] = [address] * (last + 1 - first)
            masters.append(address)
            replicas += [_address(other, told_by) for other in others]
        if not masters:
            return False  # it has not met its cluster
        self._owners, self._masters = owners, None
        self._known = _first(told_by, dict.fromkeys((*masters, *replicas, *self._seeds)))
        return True

    def move(self, slot: int, address: Address) -> None:
        self._owners[slot], self._masters = address, None

    def forget(self) -> None:
        """Nothing fades here: who asks the wrong server is told by it."""


def topology_of(target: Target) -> Topology:
    """Build what a URL asks for."""
    kinds: dict[str, Callable[[Target], Topology]]
    kinds = {"": Single, "cluster": Sharded, "sentinel": Watched}
    return kinds[target.kind](target)


def _address(entry: Sequence[Any], told_by: Address) -> Address:
    """Read [host, port, ...]; a server that does not know its own name says "", None or "?"."""
    host = _text(entry[0] or b"")
    return Address(told_by.host if host in ("", "?") else host, int(entry[1]))


def _first(address: Address, others: Iterable[Address]) -> tuple[Address, ...]:
    return (address, *(other for other in others if other != address))


def _text(value: Any) -> str:
    if not isinstance(value, bytes | str):
        raise TypeError(f"{type(value).__name__} is no host")
    return value.decode() if isinstance(value, bytes) else value

"""How failed logins are counted, so that guessing, spraying and stuffing are noticed.

Rules
  1. Nothing here refuses a login or locks an account: whoever knows a name could lock its owner
     out.
  2. The counters are the store's, shared by all processes, each for one hour of the clock (UTC).
     An attack over the turn of an hour is two.
  2a. What is over 10,000 names is not told apart, so that whoever makes names up could guess at
     another one unseen. That there are more is an attack itself: told once an hour, and known
     to every sign-in.
  3. A user is named by 48 bits of the alias: who reads the counters learns no name.
  4. One counter holds two numbers, so that a failed login is three commands: the attempts, and
     above them how many of these were the first of their user from their network.
  5. An addition is answered with its sum, so of all processes one sees a threshold reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final, Literal, TypeAlias

import msgspec

from gatehound.detection import prefix_of
from gatehound.errors import StoreError
from gatehound.listing import FailedLogins, FailedNetwork
from gatehound.model import Network
from gatehound.stores.base import Store
from gatehound.stores.rule import MAX_COUNTER_NAMES
from gatehound.telling import Telling

Address: TypeAlias = IPv4Address | IPv6Address
On: TypeAlias = Literal["network", "user"]

HOUR: Final = 3_600_000  # milliseconds
# Lua counts in doubles, which are whole up to 2**53: 10,000 names over 2**32 attempts are below.
FIRST: Final = 1 << 32
# The smallest prefix that is announced, and of IPv6 the largest that one site is mostly given
# (RFC 6177): by the /64 an attacker had 65,536 networks for the price of one. Settings do not
# change it: who takes a /16 for one network in a session has not said that it fails as one.
V4_BITS: Final = 24
V6_BITS: Final = 48
SHARED: Final = 10  # times as many users of a network that the settings say many share by right
WORST: Final = 20  # networks that a report names
MORE: Final = "more"  # no name of a user or a network
_USER_BYTES: Final = 6

# Kinds of counters. That of pairs is read by nobody: an addition says whether it was the first.
_PAIRS: Final = "failed_pairs"
_NETWORKS: Final = "failed_networks"
_USERS: Final = "failed_users"
_REST: Final = "failed_rest"
_ATTACKS: Final = "failed_attacks"
_MARKS_OF_MORE: Final = (f"network {MORE}", f"user {MORE}")


class Attack(msgspec.Struct, frozen=True):
    """A threshold that this failed login reached, and no other of this hour.

    `on` says whether many users of one network failed, or one user many times; `others` are the
    users of the network, or the networks of the user. With the name MORE, there are more networks
    or users than are told apart, and `others` is how many are.
    """

    on: On
    name: str
    attempts: int
    others: int


async def count(guard: Telling, address: Address | None, user: str | None) -> tuple[Attack, ...]:
    """Count one failed login; return what it made an attack of. Raises StoreError.

    `address` None is one that is not known, or everybody's; `user` None nobody's name.
    """
    store = guard.store
    network = None if address is None else network_name(guard, address)
    name = None if user is None else user_name(guard.alias(user))
    step = 1
    # 0 is a pair too many. To take it for the first time errs on the side of the alarm.
    if network and name and await store.count(_PAIRS, f"{network} {name}", window=HOUR) <= 1:
        step += FIRST
    found: list[Attack] = []
    full: list[On] = []
    attempts = users = 0
    if network:
        users, attempts = _halves(await store.count(_NETWORKS, network, by=step, window=HOUR))
        if not attempts:
            full.append("network")
    if not attempts:
        await store.count(_REST, "more" if network else "hidden", window=HOUR)
    if network and step > 1 and users == _users_allowed(guard, address):
        found.append(Attack("network", network, attempts, users))
    if name:
        networks, attempts = _halves(await store.count(_USERS, name, by=step, window=HOUR))
        if not attempts:
            full.append("user")
        if attempts == guard.settings.detection.failed_logins.attempts_per_user:
            found.append(Attack("user", name, attempts, networks))
    for attack in found:  # what a sign-in reads: a few names, where all would be thousands
        with contextlib.suppress(StoreError):  # nobody else will see the threshold reached
            await store.count(_ATTACKS, f"{attack.on} {attack.name}", window=HOUR)
    found += [Attack(on, MORE, 0, MAX_COUNTER_NAMES) for on in full if await _is_news(store, on)]
    return tuple(found)


async def _is_news(store: Store, on: On) -> bool:
    """Mark that names are no longer told apart; True where nobody has in this hour."""
    with contextlib.suppress(StoreError):  # the next failed login marks it
        return await store.count(_ATTACKS, f"{on} {MORE}", window=HOUR) == 1
    return False


async def attacks_on(guard: Telling, address: Address | None, alias: bytes) -> frozenset[str]:
    """Return what was attacked this hour of where a user signs in: `network`, `user` or both.

    With `more` others were too than are told apart, so that it may be these.
    """
    marked = await guard.store.counts(_ATTACKS, window=HOUR)
    if not marked:
        return frozenset()
    names = {"user": user_name(alias)}
    if address is not None:
        names["network"] = network_name(guard, address)
    found = {on for on, name in names.items() if f"{on} {name}" in marked}
    # The marks have the same bound: those of 10,000 attacks leave no room for one of MORE.
    if len(marked) >= MAX_COUNTER_NAMES or not marked.keys().isdisjoint(_MARKS_OF_MORE):
        found.add(MORE)
    return frozenset(found)


async def report(guard: Telling) -> FailedLogins:
    """Sum up the failed logins of this hour, those of all processes."""
    store, limits = guard.store, guard.settings.detection.failed_logins
    networks = await store.counts(_NETWORKS, window=HOUR)
    users = await store.counts(_USERS, window=HOUR)
    rest = await store.counts(_REST, window=HOUR)
    tried = [_halves(total)[1] for total in users.values()]
    return FailedLogins(
        sum(_halves(total)[1] for total in networks.values()) + sum(rest.values()),
        len(users),
        len(networks),
        _worst(guard, networks),
        sum(attempts >= limits.attempts_per_user for attempts in tried),
    )


def network_name(guard: Telling, address: Address) -> str:
    """Return what stands for a network in a counter: its prefix, if addresses may be kept."""
    prefix = prefix_of(address, V4_BITS, V6_BITS)
    if guard.settings.privacy.address_precision != "none":
        return prefix
    return user_name(guard.alias(f"network\0{prefix}"))


def user_name(alias: bytes) -> str:
    """Return what stands for a user in a counter."""
    return alias[:_USER_BYTES].hex()


def _users_allowed(guard: Telling, address: Address | None) -> int:
    limit = guard.settings.detection.failed_logins.users_per_network
    is_shared = address is not None and guard.detection.population.is_shared(address.packed)
    return limit * SHARED if is_shared else limit


def _worst(guard: Telling, networks: Mapping[str, int]) -> tuple[FailedNetwork, ...]:
    """The networks that failed for most users, and of as many with the most attempts."""
    worst = sorted(networks.items(), key=lambda one: (-one[1], one[0]))  # users are above attempts
    return tuple(_described(guard, name, total) for name, total in worst[:WORST])


def _described(guard: Telling, name: str, total: int) -> FailedNetwork:
    users, attempts = _halves(total)
    is_known = "/" in name
    network = guard.networks.lookup(ip_network(name).network_address) if is_known else Network()
    prefix = name if is_known else ""
    return FailedNetwork(prefix, attempts, users, network.place, network.organisation)


def _halves(total: int) -> tuple[int, int]:
    return divmod(total, FIRST)

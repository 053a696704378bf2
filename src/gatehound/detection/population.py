"""What many users do at once: a proxy's address taken for theirs, or a bulk of sessions moving.

Kept in memory by each process, of the users that it saw within the hour; bounded, and in no store.
Counts may be off by what threads lose: all that is decided here needs many.

  1. Addresses that no client can have (private ones, none at all) for over a quarter of at least
     20 active users, or networks with over a quarter each that cover nearly all of them, a whole
     CDN being one network: these are the addresses of a proxy. Networks are no evidence then. One
     public network alone may be an office; and who has many accounts MUST NOT be able to switch
     evidence off with them.
  2. Sessions of many users that move to one new network within an hour: somebody has their
     cookies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

import msgspec

from gatehound.clientip import cloudflare, ranges
from gatehound.detection.lists import MAPPED, AddressList
from gatehound.errors import SettingsError
from gatehound.model import Network

Address: TypeAlias = IPv4Address | IPv6Address

WINDOW: Final = 3600.0  # seconds
MAX_USERS: Final = 10_000
ENOUGH: Final = 20  # active users; of fewer a share says nothing
FEW: Final = 5  # and of so many it may still say that a crowd is gone
SHARE: Final = 0.25
NEARLY_ALL: Final = 0.9
# Seconds for which a crowd stays when the rule is no longer met: users come through the next proxy
# one by one, and each of them would seem to move.
HELD: Final = 3600.0
MOVED: Final = 10  # sessions of as many users
MAX_MOVES: Final = 2_000
# RFC 1918, 6598, 4193, 3927, 4291: no client of the internet has one. ip.is_private would say so
# of documentation and benchmarking networks too.
_PRIVATE: Final = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
)
# Not "cdn": whoever rents a Worker there, or has its VPN, comes from the same addresses.
_IMPOSSIBLE: Final = frozenset({"private", "hidden"})


class Crowd(msgspec.Struct, frozen=True):
    """Networks that too many users share: their names, how many of how many, and one address."""

    groups: tuple[str, ...]
    users: int
    active: int
    address: str


class _Active(msgspec.Struct, gc=False):
    group: str
    at: float


class Population:
    """Who is active from where.

    `shared` are networks (CIDR or address) that many users share by right; SettingsError names
    what is none.
    """

    def __init__(self, shared: Iterable[str] = ()) -> None:
        shared = tuple(shared)
        of_cdns = (*cloudflare.RANGES, *ranges.FASTLY)
        own, private = _list_of(shared), _list_of(_PRIVATE)
        special = _list_of((*shared, *_PRIVATE, *of_cdns))
        # Whoever is seen goes to the end: a plain dict would look for its first key through all
        # the gaps that this leaves in front.
        self._users: OrderedDict[bytes, _Active] = OrderedDict()
        self._groups: dict[str, int] = {}
        self._over = 0.0  # when the first of them will have been seen over an hour ago
        self._moves: OrderedDict[tuple[int | str, str], float] = OrderedDict()
        self._movers: dict[int | str, set[str]] = {}  # the same by provider, to be counted
        self._large: set[str] = set()
        self.crowd: Crowd | None = None
        self.is_due = self._was_told = False  # is_due: from when a crowd was found until it is told
        self._met = 0.0

        @lru_cache(maxsize=4096)
        def group_of(packed: bytes | None, prefix: str) -> str:
            if packed is None:
                return "hidden"
            if not special.covers(packed):  # most are in none
                return prefix
            if own.covers(packed):
                return ""
            return "private" if private.covers(packed) else "cdn"

        self._group_of = group_of

    def is_shared(self, packed: bytes) -> bool:
        """True for an address of a network that many users share by right."""
        return self._group_of(packed, "none") == ""

    def tell(self) -> Crowd | None:
        """Return the crowd for the one who tells of it; a process says it once in its life."""
        if not self.is_due:
            return None
        self.is_due, self._was_told = False, True
        return self.crowd

    def note(self, alias: bytes, packed: bytes | None, prefix: str, now: float) -> None:
        """Note that a user is active. `now` is in seconds, `alias` stands for the user.

        `packed` is the address in 4 or 16 bytes, None an unresolved one.
        """
        group = self._group_of(packed, prefix)
        users, groups = self._users, self._groups
        before = users.pop(alias, None)
        if before is None or before.group != group:
            if before is not None:
                self._leave(before)
            before = _Active(group, now)
            groups[group] = groups.get(group, 0) + 1
        before.at = now
        users[alias] = before
        # Before the hour of the first as well: then the clock has stepped back.
        if not self._over - WINDOW <= now <= self._over or len(users) > MAX_USERS:
            self._forget(now)
        active = len(users)
        if active >= ENOUGH:
            if groups.get(group, 0) > SHARE * active or self._large or self.crowd is not None:
                self._judge(group, packed, now)
        elif self.crowd is not None and active >= FEW and self._in_crowd() <= SHARE * active:
            self.crowd = None

    def note_move(self, public_id: str, network: Network, now: float) -> int:
        """Note that a session came to a network that is new to it; return how many did so.

        Within the hour, to the same provider; 0 where the network has no name.
        """
        provider = network.asn or network.prefix
        if not provider:
            return 0
        move = provider, public_id
        self._moves.pop(move, None)  # whoever comes once more goes to the end
        self._forget_moves(now)
        self._moves[move] = now
        movers = self._movers.setdefault(provider, set())
        movers.add(public_id)
        return len(movers)

    def _forget_moves(self, now: float) -> None:
        """Drop what is over an hour old, or one too many."""
        moves, movers = self._moves, self._movers
        gone: list[tuple[int | str, str]] = []
        try:
            for move, at in moves.items():
                if at >= now - WINDOW and len(moves) - len(gone) < MAX_MOVES:
                    break
                gone.append(move)
        except RuntimeError:  # another thread came in between
            return
        for move in gone:
            moves.pop(move, None)
            provider, public_id = move
            those = movers.get(provider)
            if those is not None:
                those.discard(public_id)
                if not those:
                    movers.pop(provider, None)

    def _leave(self, active: _Active) -> None:
        group, groups = active.group, self._groups
        left = groups.get(group, 0) - 1
        if left > 0:
            groups[group] = left
        else:
            groups.pop(group, None)

    def _forget(self, now: float) -> None:
        """Drop who was last seen over an hour ago, or is one too many."""
        gone: list[bytes] = []
        users = self._users
        try:
            for alias, active in users.items():
                if active.at >= now - WINDOW and len(users) - len(gone) <= MAX_USERS:
                    self._over = active.at + WINDOW
                    break
                gone.append(alias)
        except RuntimeError:  # another thread came in between
            return
        for alias in gone:
            left = users.pop(alias, None)
            if left is not None:
                self._leave(left)

    def _judge(self, group: str, packed: bytes | None, now: float) -> None:
        """Decide whether too many users share networks; it stays so until enough do not."""
        active = len(self._users)
        large = {one for one in (*self._large, group) if one and self._share(one) > SHARE}
        self._large = large
        impossible = large & _IMPOSSIBLE
        users = sum(self._groups.get(one, 0) for one in impossible or large)
        if not impossible and users < NEARLY_ALL * active:
            if self.crowd is not None and now - self._met > HELD:
                self.crowd = None
            return
        self._met = now
        if self.crowd is None:
            groups = tuple(sorted(impossible or large))
            address = str(ip_address(packed)) if packed else ""
            self.crowd = Crowd(groups, users, active, address)
            self.is_due = not self._was_told

    def _in_crowd(self) -> int:
        """How many are active from the networks of the crowd."""
        return sum(self._groups.get(one, 0) for one in self.crowd.groups) if self.crowd else 0

    def _share(self, group: str) -> float:
        return self._groups.get(group, 0) / len(self._users)


def _list_of(networks: Iterable[str]) -> AddressList:
    spans, problems = [], []
    for text in networks:
        try:
            network = ip_network(text)
        except ValueError as error:
            problems.append(
                f"detection.shared_networks: {text!r} was given; it is a CIDR or an address, such "
                f"as 192.0.2.0/24 ({error})"
            )
            continue
        base = 0 if network.version == 6 else MAPPED
        spans.append((int(network[0]) | base, int(network[-1]) | base))
    if problems:
        raise SettingsError(problems)
    return AddressList(spans)

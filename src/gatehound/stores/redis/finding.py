"""What an operator should know of the servers: asked of every master, changed on none.

Whether a command is allowed shows only by running it. So each is run on keys that nobody uses,
which are gone a second later at the latest.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gatehound.clientip.check import Finding
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.topology import Command
from gatehound.stores.redis.wire import Wire

# Local checks carry the store's time on, and an operator's logs do not; more than this between
# the two confuses whoever compares them.
MAX_OFFSET: Final = 5.0
# What an ACL user needs, for namespace "default" and the like.
ACL_RULES: Final = (
    "~gh:* resetchannels &gh:* +@read +@write +@scripting +@connection -@dangerous "
    "+time +info +role +wait +publish +subscribe +cluster|slots"
)
_CONFIG: Final = (
    *("maxmemory-policy", "appendonly", "save", "min-replicas-to-write"),
    "cluster-allow-reads-when-down",
)
_FORBIDDEN: Final = re.compile(r"no permission", re.IGNORECASE)


async def server_findings(
    wire: Wire, *, prefix: bytes = b"gh:", clock: Callable[[], float] = time.time
) -> list[Finding]:
    """Ask every master and return what an operator should know; empty: nothing.

    `prefix` is what the names of all keys begin with; keys of it are written and deleted, to
    see what is allowed. `clock` is this machine's, in seconds since 1970. StoreUnavailable
    where a master does not answer.
    """
    found: dict[str, list[tuple[Address, Finding]]] = {}
    for address in await wire.masters():
        for finding in await _ask(wire, address, prefix, clock):
            found.setdefault(finding.code, []).append((address, finding))
    merged = [_merge(faults) for faults in found.values()]
    return [*_tls(wire.target.options), *merged]


def _merge(faults: Sequence[tuple[Address, Finding]]) -> Finding:
    """Say what several masters have in common once; its words are those of the first."""
    first = faults[0][1]
    places = ", ".join(str(address) for address, _ in faults)
    return Finding(first.level, first.code, f"Redis at {places}: {first.text}", first.fix)


async def _ask(
    wire: Wire, address: Address, prefix: bytes, clock: Callable[[], float]
) -> list[Finding]:
    probes = list(_probes(prefix))
    told: list[Command] = [("INFO", "memory"), ("INFO", "persistence"), ("INFO", "replication")]
    asked: list[Command] = [("CONFIG", "GET", name) for name in _CONFIG]
    now: Any
    [now] = await wire.ask_at(address, [("TIME",)], patient=True)
    offset = 0.0 if isinstance(now, Exception) else now[0] + now[1] / 1e6 - clock()
    replies = await wire.ask_at(address, [*told, *asked, *probes], patient=True)
    info: dict[str, Any] = {}
    for reply in replies[: len(told)]:
        info |= {} if isinstance(reply, Exception) else reply
    config = replies[len(told) : len(told) + len(asked)]
    tried = zip(probes, replies[len(told) + len(asked) :], strict=True)
    forbidden = {str(probe[0]) for probe, reply in tried if _FORBIDDEN.search(str(reply))}
    # On a connection of its own: ACL DRYRUN would do without, and is not allowed to such a user.
    heard = await wire.try_listening(address, prefix + b"probe")
    if _FORBIDDEN.search(str(heard)):
        forbidden.add("SUBSCRIBE")
    return [
        *_forbidden(forbidden),
        *_config(_read_config(config), info),
        *_clock(offset),
    ]


def _read_config(replies: Sequence[Any]) -> dict[str, str | None]:
    """Read what CONFIG GET says; None where it may not be asked, or has no such setting."""
    values: dict[str, str | None] = {}
    for name, reply in zip(_CONFIG, replies, strict=True):
        values[name] = None
        if not isinstance(reply, Exception) and len(reply) == 2:
            values[name] = reply[1].decode()
    return values


def _config(config: Mapping[str, str | None], info: Mapping[str, Any]) -> Iterator[Finding]:
    policy = config["maxmemory-policy"] or info.get("maxmemory_policy")
    if policy not in (None, "noeviction"):
        yield Finding(
            "danger",
            "store-evicts",
            f"maxmemory-policy is {policy}: when memory is short, people are signed out, and "
            "disabled users and ended sessions may be forgotten.",
            "set maxmemory-policy noeviction, and a maxmemory that is large enough",
        )
    if config["save"] == "" and config["appendonly"] == "no":
        yield Finding(
            "warning",
            "store-not-saved",
            "neither appendonly nor save is on: a restart signs everybody out, and enables "
            "whoever is disabled.",
            "set appendonly yes",
        )
    if info.get("connected_slaves") and config["min-replicas-to-write"] == "0":
        yield Finding(
            "note",
            "store-replicas-not-required",
            "it has replicas, and takes writes without them: what a master wrote alone, a "
            "failover takes back, revocations too.",
            "set min-replicas-to-write 1 and min-replicas-max-lag 10",
        )
    if config["cluster-allow-reads-when-down"] == "yes":
        yield Finding(
            "danger",
            "store-reads-when-down",
            "cluster-allow-reads-when-down is on: a master that is cut off and replaced goes on "
            "letting in whom its successor has signed out.",
            "set cluster-allow-reads-when-down no",
        )
    if None in config.values():
        unread = ", ".join(name for name, value in config.items() if value is None)
        yield Finding(
            "note",
            "store-config-unreadable",
            f"{unread} could not be read: CONFIG is not allowed, or the service has none.",
            "allow +config|get to the store's user, or check these by other means",
        )


def _clock(offset: float) -> Iterator[Finding]:
    if abs(offset) > MAX_OFFSET:
        where = "ahead of" if offset > 0 else "behind"
        yield Finding(
            "warning",
            "store-clock-off",
            f"its clock is {abs(offset):.0f} s {where} this machine's. Sessions go by the store's.",
            "let both machines take their time from NTP",
        )


def _forbidden(commands: set[str]) -> Iterator[Finding]:
    if commands:
        yield Finding(
            "danger",
            "store-commands-forbidden",
            f"the store's user may not run {', '.join(sorted(commands))} on its keys.",
            f"ACL SETUSER <user> {ACL_RULES}",
        )


def _tls(options: Mapping[str, Any]) -> Iterator[Finding]:
    if str(options.get("ssl_cert_reqs", "")).lower() in ("none", "optional"):
        yield Finding(
            "danger",
            "store-tls-unverified",
            "ssl_cert_reqs lets anybody on the way answer in the store's place.",
            "leave ssl_cert_reqs out of the store URL, and name the authority by ssl_ca_certs",
        )


def _probes(prefix: bytes) -> Iterator[Command]:
    """Every command that the store and its scripts send, on keys that nobody uses.

    In a cluster most masters refuse them for the slot, after they have looked at the user.
    """
    base = prefix + b"{probe}"
    table, text, scores, stream = (base + kind for kind in (b"h", b"s", b"z", b"x"))
    yield ("HSET", table, "f", 1)
    yield ("PEXPIRE", table, 1000)
    yield ("HSETNX", table, "f", 1)
    yield ("HINCRBY", table, "n", 1)
    for name in ("HGET", "HMGET", "HEXISTS", "HDEL"):
        yield (name, table, "f")
    for name in ("HGETALL", "HKEYS", "HLEN"):
        yield (name, table)
    yield ("SET", text, 1, "PX", 1000)
    for name in ("GET", "MGET", "EXISTS"):
        yield (name, text)
    yield ("ZADD", scores, 1, "m")
    yield ("PEXPIRE", scores, 1000)
    yield ("ZCARD", scores)
    for name in ("ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE"):
        yield (name, scores, 0, 0)
    yield ("ZREM", scores, "m")
    yield ("XADD", stream, "*", "f", 1)
    yield ("PEXPIRE", stream, 1000)
    for name in ("XRANGE", "XREVRANGE"):
        yield (name, stream, "-", "-")
    yield ("XINFO", "STREAM", stream)
    yield ("XTRIM", stream, "MAXLEN", 0)
    yield ("XDEL", stream, "1-1")
    yield ("DEL", table, text, scores, stream)
    yield ("PUBLISH", base, "")
    yield ("TIME",)
    yield ("WAIT", 0, 1)
    yield ("SCAN", 0, "COUNT", 1)
    yield ("EVAL", "return 1", 0)
    yield ("EVALSHA", "0" * 40, 0)

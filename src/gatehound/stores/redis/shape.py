"""What the reply to a command can look like at all: another shape belongs to another question.

A connection whose replies have slipped by one (a proxy, a fork, a bug of a client) answers with
what somebody else asked for. Most of what the store asks carries a tag or names its owner, and
is checked where it is read. This is the one place for what comes before: that a list is a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gatehound.errors import StoreError
from gatehound.stores.redis.topology import Command


def fits(command: Command, reply: Any) -> bool:
    """Say whether this can be the reply; True for an error, and for what is not known here."""
    check = _SHAPES.get(command[0])
    return check is None or isinstance(reply, StoreError) or check(command, reply)


def _value(command: Command, reply: Any) -> bool:
    return reply is None or type(reply) is bytes


def _number(command: Command, reply: Any) -> bool:
    return type(reply) is int


def _fields(command: Command, reply: Any) -> bool:
    return _are_values(reply, len(command) - 2)


def _values(command: Command, reply: Any) -> bool:
    return _are_values(reply, len(command) - 1)


def _are_values(reply: Any, count: int) -> bool:
    if type(reply) is not list or len(reply) != count:
        return False
    for value in reply:  # noqa: SIM110 - every request comes by here, and a generator costs twice
        if value is not None and type(value) is not bytes:
            return False
    return True


def _members(command: Command, reply: Any) -> bool:
    if type(reply) is not list or not all(type(member) is bytes for member in reply):
        return False
    if "WITHSCORES" not in command:
        return True
    return len(reply) % 2 == 0 and all(map(_is_score, reply[1::2]))


def _is_score(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(command: Command, reply: Any) -> bool:
    return type(reply) is dict and all(
        type(name) is bytes and type(value) is bytes for name, value in reply.items()
    )


def _entries(command: Command, reply: Any) -> bool:
    return type(reply) is list and all(_entry(command, entry) for entry in reply)


def _entry(command: Command, entry: Any) -> bool:
    if not isinstance(entry, tuple | list) or len(entry) != 2:
        return False
    return _is_place(entry[0]) and _table(command, entry[1])


def _is_place(text: Any) -> bool:
    """True for the id of a stream's entry: two numbers."""
    if type(text) is not bytes:
        return False
    milliseconds, dash, sequence = text.partition(b"-")
    return bool(dash) and milliseconds.isdigit() and sequence.isdigit()


def _time(command: Command, reply: Any) -> bool:
    return type(reply) is tuple and len(reply) == 2 and all(type(part) is int for part in reply)


# As redis-py returns them, with protocol 2 and nothing decoded.
_SHAPES: Final[Mapping[Any, Callable[[Command, Any], bool]]] = {
    "HMGET": _fields,
    "MGET": _values,
    **dict.fromkeys(("GET", "HGET"), _value),
    **dict.fromkeys(("EXISTS", "DEL", "XDEL", "WAIT"), _number),
    **dict.fromkeys(("ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"), _members),
    **dict.fromkeys(("XRANGE", "XREVRANGE"), _entries),
    "HGETALL": _table,
    "TIME": _time,
}

"""What link.py and direct.py have in common: which commands, and a connection of redis-py's.

redis-py connects, does TLS, authenticates and asks for the role; then its transport or socket is
taken over, and the replies are read by hiredis alone. Its client takes ten times as much CPU for a
command (measured: EVALSHA, 64 at once, 88 us against 8).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from gatehound.stores.redis.address import Address
from gatehound.stores.redis.breaker import Breaker
from gatehound.stores.redis.topology import Command

# What every request asks, and app data by field. Their replies mean what hiredis makes of them,
# but for TIME, where redis-py makes numbers.
HOT: Final = frozenset({"HMGET", "EVALSHA", "EVAL", "GET", "HGET", "MGET", "TIME", "PING"})
MORE: Final = object()  # what the reader says while a reply is not complete
READ_SIZE: Final = 8192  # most replies take 200 bytes, and what is allocated is cut down to that


class Server(msgspec.Struct, frozen=True):
    """What both ways have to know of a server.

    `pool` is a pool of redis-py that knows how connections are made; none of its own is used.
    `errors` are redis-py's exceptions. `breaker` is told of answers and silences. `clock`,
    `deadline` and `idle_limit` are in seconds; a connection that was not used for `idle_limit` is
    replaced.
    """

    address: Address
    pool: Any
    errors: Any
    breaker: Breaker
    clock: Callable[[], float]
    deadline: float
    idle_limit: float


class Closed(Exception):
    """This process has closed the connection while a reply was due. No silence of the server."""


class Stray(Exception):
    """A reply came that nobody had asked for."""


def is_available() -> bool:
    """True where hiredis is installed, as the extra `redis` does."""
    return find_spec("hiredis") is not None


def are_hot(commands: Sequence[Command]) -> bool:
    """Say whether all of these may go here."""
    for command in commands:  # every request comes by here, and a generator costs twice
        if command[0] not in HOT:
            return False
    return bool(commands)  # nothing asked would be waited for until the deadline


def connection_of(pool: Any) -> Any:
    """Make a connection as a pool of redis-py would, which counts its own and not this."""
    return pool.connection_class(**pool.connection_kwargs)


def packer() -> Callable[[Any], bytes]:
    """Return what writes a command as the Redis protocol wants it."""
    import hiredis

    pack: Callable[[Any], bytes] = hiredis.pack_command
    return pack


def reader(connection: Any, invalid: type[Exception]) -> Any:
    """Return a reader of replies that makes the errors which redis-py makes.

    `invalid` is raised for what is not the protocol.
    """
    import hiredis

    return hiredis.Reader(
        protocolError=invalid, replyError=connection._parser.parse_error, notEnoughData=MORE
    )


def in_form(commands: Sequence[Command], replies: list[Any]) -> list[Any]:
    """Give replies the form that redis-py gives them, which only TIME's lacks.

    What cannot be the time stays as it is: it is another's, and whoever checks replies says so.
    """
    for place, command in enumerate(commands):
        if command[0] == "TIME" and isinstance(replies[place], list):
            with contextlib.suppress(ValueError, TypeError):
                replies[place] = tuple(map(int, replies[place]))
    return replies

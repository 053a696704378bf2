"""The short way of the blocking client: the hot commands go straight to a connection's socket.

Each call has a connection to itself, so replies cannot be mixed up; a connection that failed, or
has more to say than it was asked, is closed. redis-py opens it (hot.py), with its deadlines on
each read and write. Safe to share between threads.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from gatehound.stores.redis.hot import (
    MORE,
    READ_SIZE,
    Closed,
    connection_of,
    in_form,
    packer,
    reader,
)
from gatehound.stores.redis.topology import Command

_READABLE: Final = select.POLLIN | getattr(select, "POLLRDHUP", 0)


class Line:
    """One connection, used by one call at a time."""

    __slots__ = ("_connection", "_errors", "_poll", "_reader", "_sock", "used_at")

    def __init__(self, connection: Any, errors: Any) -> None:
        self._errors = errors
        self._reader = reader(connection, errors.InvalidResponse)
        self._connection = connection  # for its life alone: collecting it would close the socket
        self._sock = connection._sock
        self._poll = select.poll()
        self._poll.register(self._sock, _READABLE)
        self.used_at = time.monotonic()

    def ask(self, data: bytes, count: int) -> list[Any]:
        """Send `count` packed commands and return their replies; OSError where that fails."""
        sock, source = self._sock, self._reader
        sock.sendall(data)
        replies: list[Any] = []
        while True:
            reply = source.gets()
            if reply is not MORE:
                replies.append(reply)
                if len(replies) == count:
                    return replies
                continue
            received = sock.recv(READ_SIZE)
            if not received:
                raise self._errors.ConnectionError("Connection closed by server.")
            source.feed(received)

    @property
    def is_idle(self) -> bool:
        """False where the server has hung up, or sent what nobody asked for."""
        return not self._poll.poll(0) and not self._reader.has_data()

    def close(self) -> None:
        """Close it."""
        self._connection.disconnect()


class Direct:
    """One server over lines, at most `limit` at once; who finds none waits for `patience` seconds.

    `pool` is a pool of redis-py that knows how connections are made; none of its own is used. A
    line that was not used for `idle_limit` seconds is replaced.
    """

    def __init__(
        self, pool: Any, errors: Any, *, limit: int, patience: float, idle_limit: float
    ) -> None:
        self._pool = pool
        self._errors = errors
        self._patience = patience
        self._idle_limit = idle_limit
        self._pack = packer()
        self._idle: deque[Line] = deque()
        self._free = limit  # how many may still be opened
        self._waiting = 0
        self._changed = threading.Condition()
        self.is_open = True

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """As `ask_now`; it never suspends."""
        return self.ask_now(commands)

    def ask_now(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one trip; refusals stand in their places, silence is raised."""
        pack = self._pack
        if len(commands) == 1:
            data = pack(tuple(commands[0]))
        else:
            data = b"".join([pack(tuple(command)) for command in commands])
        line = self._take()
        try:
            replies = line.ask(data, len(commands))
        except BaseException:
            self._drop(line)
            raise
        self._give_back(line)
        return in_form(commands, replies)

    async def close(self, *, inuse: bool) -> None:
        """Close what is idle; a line that another thread reads from ends when it is done."""
        self.is_open = False
        with self._changed:
            self._changed.notify_all()
        self._close_idle()

    # --- lines ---

    def _take(self) -> Line:
        while True:
            try:
                line = self._idle.pop()  # the last that was used, so that the others can rest
            except IndexError:
                found = self._open_or_wait()
                if found is not None:
                    return found
                continue
            if line.is_idle and time.monotonic() - line.used_at < self._idle_limit:
                return line
            self._drop(line)

    def _open_or_wait(self) -> Line | None:
        """Open a line where one may be; None: look again for one that is idle."""
        with self._changed:
            until = time.monotonic() + self._patience
            while not self._free:
                if not self.is_open:
                    raise Closed
                self._waiting += 1  # before the last look: who gives back looks at it after
                try:
                    if self._idle:
                        return None
                    rest = until - time.monotonic()
                    if rest <= 0 or not self._changed.wait(rest):
                        raise self._errors.ConnectionError("No connection available.")
                finally:
                    self._waiting -= 1
                if self._idle:
                    return None
            self._free -= 1
        return self._opened()

    def _opened(self) -> Line:
        connection = connection_of(self._pool)
        try:
            connection.connect()
            return Line(connection, self._errors)
        except BaseException:
            connection.disconnect()
            self._count_free()
            raise

    def _give_back(self, line: Line) -> None:
        line.used_at = time.monotonic()
        self._idle.append(line)
        if self._waiting:
            with self._changed:
                self._changed.notify()
        if not self.is_open:  # looked at after the line was put there: somebody closes it
            self._close_idle()

    def _drop(self, line: Line) -> None:
        line.close()
        self._count_free()

    def _count_free(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()

    def _close_idle(self) -> None:
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return
            self._drop(line)

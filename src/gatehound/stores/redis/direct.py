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
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

from gatehound.stores.redis.hot import (
    MORE,
    READ_SIZE,
    Closed,
    Server,
    connection_of,
    in_form,
    packer,
    reader,
)
from gatehound.stores.redis.topology import Command
from gatehound.stores.redis.trouble import is_silence

_READABLE: Final = select.POLLIN | getattr(select, "POLLRDHUP", 0)
_NONE_FREE: Final = "No connection available: all of this process are in use"
# What one who waits is handed: a line, None for leave to open one, or Closed.
_Turn: TypeAlias = "SimpleQueue[Line | type[Closed] | None]"


class Line:
    """One connection, used by one call at a time."""

    __slots__ = ("_connection", "_errors", "_pending", "_poll", "_reader", "_sock", "used_at")

    def __init__(self, connection: Any, errors: Any) -> None:
        self._errors = errors
        self._reader = reader(connection, errors.InvalidResponse)
        self._connection = connection  # for its life alone: collecting it would close the socket
        self._sock = connection._sock
        # TLS takes a whole record off the socket, where poll does not see what is left of it.
        self._pending = getattr(self._sock, "pending", int)
        self._poll = select.poll()
        self._poll.register(self._sock, _READABLE)
        self.used_at = 0.0
        if not self.is_idle:
            raise errors.ConnectionError(
                "Connection closed by server, or it says what nobody asked"
            )

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
        return not (self._poll.poll(0) or self._reader.has_data() or self._pending())

    def close(self) -> None:
        """Close it."""
        self._connection.disconnect()


class Direct:
    """One server over lines, at most `limit` at once; who finds none waits `patience` seconds."""

    def __init__(self, server: Server, *, limit: int, patience: float) -> None:
        self._server = server
        self._errors = server.errors
        self._patience = patience
        self._pack = packer()
        self._idle: deque[Line] = deque()
        self._free = limit  # how many may still be opened
        self._lock = threading.RLock()  # held for a few steps, never while anybody waits
        self._turns: deque[_Turn] = deque()  # of those who wait, the first to come first
        self.address = server.address
        self.breaker = server.breaker
        self.is_open = True

    def trip(self) -> Direct:
        """Return what may be asked at once: this, which finds a line or opens one."""
        return self

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one trip; refusals stand in their places, silence is raised.

        It never suspends.
        """
        pack = self._pack
        data = b"".join([pack(tuple(command)) for command in commands])
        return in_form(commands, self.ask_packed(data, len(commands)))

    def ask_packed(self, data: bytes, count: int = 1) -> list[Any]:
        """As `ask`, for what is packed: `count` commands."""
        began, line = self._server.clock(), None
        try:
            line = self._take()
            replies = line.ask(data, count)
        except BaseException as error:
            if line is not None:
                self._drop(line)
            if is_silence(error):
                self.breaker.silent(began)
            raise
        line.used_at = began
        self.breaker.answered(began)
        self._give_back(line)
        return replies

    async def close(self, *, inuse: bool) -> None:
        """Close what is idle; a line that another thread reads from ends when it is done."""
        self.is_open = False
        with self._lock:
            while self._turns:
                self._turns.popleft().put(Closed)
        self._close_idle()

    # --- lines ---

    def _take(self) -> Line:
        until = 0.0
        while True:
            try:
                line = self._idle.pop()  # the last that was used, so that the others can rest
            except IndexError:
                until = until or time.monotonic() + self._patience
                found = self._wait(until)
                if found is None:
                    return self._opened()
                line = found
            try:
                if line.is_idle and self._server.clock() - line.used_at < self._server.idle_limit:
                    return line
            except BaseException:
                self._drop(line)
                raise
            self._drop(line)

    def _wait(self, until: float) -> Line | None:
        """Return a line of another call, or None where one may be opened.

        Who waits is served in turn. Else a thread that has just given its line back takes it
        again before those that wait have woken up, and starves them (measured, 200 threads over
        50 lines: 150 of them got one answer in a second).
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            if not self.is_open:
                raise Closed
            turn: _Turn = SimpleQueue()
            self._turns.append(turn)  # before the last look: who gives back looks at it after
            self._serve()
        try:
            return _told(turn.get(timeout=max(until - time.monotonic(), 0.0)))
        except BaseException as error:
            with self._lock:
                if turn in self._turns:
                    self._turns.remove(turn)
                elif isinstance(error, Empty):  # it came in the last moment
                    return _told(turn.get_nowait())
                else:
                    self._pass_on(turn)
            if isinstance(error, Empty):
                raise self._errors.ConnectionError(_NONE_FREE) from None
            raise

    def _serve(self) -> None:
        """Give what is there to those who wait; called with the lock."""
        while self._turns:
            try:
                line = self._idle.pop()
            except IndexError:
                if not self._free:
                    return
                self._free -= 1
                self._turns.popleft().put(None)
            else:
                self._turns.popleft().put(line)

    def _pass_on(self, turn: _Turn) -> None:
        """Give to others what a call got that is interrupted; called with the lock."""
        try:
            given = turn.get_nowait()
        except Empty:  # it had taken that itself
            return
        if given is None:
            self._free += 1
        elif isinstance(given, Line):
            self._idle.append(given)
        self._serve()

    def _opened(self) -> Line:
        connection = None
        try:
            connection = connection_of(self._server.pool)
            connection.connect()
            return Line(connection, self._errors)
        except BaseException:
            try:
                if connection is not None:
                    connection.disconnect()
            finally:
                self._count_free()
            raise

    def _give_back(self, line: Line) -> None:
        self._idle.append(line)
        if self._turns:
            with self._lock:
                self._serve()
        if not self.is_open:  # looked at after the line was put there: somebody closes it
            self._close_idle()

    def _drop(self, line: Line) -> None:
        try:
            line.close()
        finally:
            self._count_free()

    def _count_free(self) -> None:
        with self._lock:
            self._free += 1
            self._serve()

    def _close_idle(self) -> None:
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return
            self._drop(line)


def _told(given: Any) -> Line | None:
    if given is Closed:
        raise Closed
    line: Line | None = given
    return line

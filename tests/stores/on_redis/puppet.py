"""A server that says what a test tells it to, in the Redis protocol."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

Say = Callable[[list[bytes]], bytes | None]


class Puppet:
    """`say` takes the words of a command and returns the raw reply; None for silence."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[list[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.place = f"127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept that waits
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join()

    @property
    def connections(self) -> int:
        """How many there were up to now."""
        return len(self._open)

    def tell(self, data: bytes) -> None:
        """Say something unasked, over the connection that was opened last."""
        self._open[-1].sendall(data)

    def hang_up(self) -> None:
        """End every connection; whoever opens one is served."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the test is over
                return
            # As servers do: a reply does not wait until the one before it is acknowledged.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            while words := _command(lines):
                if words[0] == b"CLIENT":  # redis-py says who it is
                    connection.sendall(b"+OK\r\n")
                    continue
                self.asked.append(words)
                reply = self.say(words)
                if reply is not None:
                    connection.sendall(reply)


@contextlib.contextmanager
def puppet(say: Say) -> Iterator[Puppet]:
    played = Puppet(say)
    try:
        yield played
    finally:
        played.close()


def _command(lines: Any) -> list[bytes]:
    head = lines.readline()
    if not head:
        return []
    words = []
    for _ in range(int(head[1:])):
        length = int(lines.readline()[1:])
        words.append(lines.read(length + 2)[:-2])
    return words


def pack(value: Any) -> bytes:
    """Write a value as servers do: None, int, bytes, or a list of these."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(pack, value))


MASTER = pack([b"master", 0, []])

"""A bound on a whole exchange with another machine.

The timeout of a socket is for each read: a server that sends one byte now and then keeps a client
for ever, and the lease of the notifier is lost meanwhile.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class Deadline:
    """Cuts the connection that `connect` made when the time is up; enter it to begin.

    What reads or writes there then fails with an OSError, or finds the end of the stream.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = 0.0
        self._twin: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Begin to count."""
        self._ends = time.monotonic() + self._seconds
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop counting; the connection is its caller's to close."""
        self._timer.cancel()
        self._timer.join()  # or it might cut what has got the same number since
        if self._twin is not None:
            self._twin.close()

    @property
    def left(self) -> float:
        """Return the seconds that are left, 0 where it is over."""
        return max(0.0, self._ends - time.monotonic())

    def connect(
        self, address: tuple[str, int], timeout: float, source_address: None = None
    ) -> socket.socket:
        """Connect as socket.create_connection does; `timeout` is for each address of the host.

        The names' resolver keeps to limits of its own, 30 s where nobody has changed
        resolv.conf(5); nothing is connected where it took too long.
        """
        error = OSError("no address")
        for *_, found in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
            if not self.left:
                break
            try:
                link = socket.create_connection(
                    (str(found[0]), int(found[1])), min(timeout, self.left)
                )
            except OSError as one:
                error = one
                continue
            # One of its own: TLS takes the number of the other away.
            self._twin = link.dup()
            link.settimeout(timeout)
            return link
        raise error

    def told(self, error: Exception) -> Exception:
        """Return what to say of an error: that it was cut, where it was."""
        return error if self.left else TimeoutError(f"cut off after {self._seconds:g} s")

    def _cut(self) -> None:
        if self._twin is not None:
            with suppress(OSError):  # it is over anyway
                self._twin.shutdown(socket.SHUT_RDWR)

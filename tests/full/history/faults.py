"""What goes wrong while clients work. Each fault brings its servers along.

`strike` is called with load running; it returns what happened when. Where the data is lost or
asynchronous replication is involved it says so: the checker allows exactly that.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import zoo
from history.proxy import Mode, Proxy
from history.record import Trouble
from history.server import DURABLE, FORGETFUL, Probe, restart, start

People = Mapping[str, bytes]
"""Every user of the run, and the alias that stands for them in key names."""

DOWN = 2.0  # seconds that a killed server stays away
MESS = 2.0  # seconds that the proxy spends on each kind of trouble


class Fault:
    """No fault at all: one durable server, and clients that are let alone."""

    name: ClassVar[str] = "none"
    options: ClassVar[Sequence[str]] = DURABLE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = contextlib.ExitStack()
        self.server: zoo.Server

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.enter(stack)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def enter(self, stack: contextlib.ExitStack) -> None:
        """Start the servers; `stack` ends them."""
        self.server = start(self._folder, self.options)
        stack.callback(lambda: self.server.kill())

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self.server.url

    @property
    def audit_url(self) -> str:
        """Where what is stored is read afterwards."""
        return self.url

    def strike(self, people: People) -> Trouble:
        """Do it, and return when all is well again."""
        began = time.monotonic()
        time.sleep(2.0)
        return Trouble(began=began, users=frozenset(people))


class Kill(Fault):
    """SIGKILL of the only server, which comes back with all that it acknowledged."""

    name = "SIGKILL, durable"

    def strike(self, people: People) -> Trouble:
        with Probe([self.server.port]) as probe:
            time.sleep(0.2)
            began = time.monotonic()
            self.server.kill()
            time.sleep(DOWN)
            restarted = time.monotonic()
            self.server = restart(self.server, self._folder, self.options)
            healed = probe.wait(restarted)
        return self._trouble(began, restarted, healed, people)

    def _trouble(
        self, began: float, restarted: float, healed: float | None, people: People
    ) -> Trouble:
        return Trouble(began=began, healed=healed, users=frozenset(people))


class KillForgetful(Kill):
    """SIGKILL of a server that keeps nothing: it comes back empty."""

    name = "SIGKILL, no persistence"
    options = FORGETFUL

    def _trouble(
        self, began: float, restarted: float, healed: float | None, people: People
    ) -> Trouble:
        wipes = ((began, restarted),)
        return Trouble(began=began, healed=healed, wipes=wipes, users=frozenset(people))


class FlushAll(Fault):
    """Somebody empties the server."""

    name = "FLUSHALL"

    def strike(self, people: People) -> Trouble:
        began = time.monotonic()
        self.server.ask("FLUSHALL")
        wiped = time.monotonic()
        time.sleep(3.0)
        return Trouble(began=began, wipes=((began, wiped),), users=frozenset(people))


class Full(Fault):
    """maxmemory is reached, with noeviction: no logins, but ends and requests go on."""

    name = "maxmemory"

    def strike(self, people: People) -> Trouble:
        ask = self.server.ask
        with Probe([self.server.port]) as probe:
            time.sleep(0.2)
            ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            began = time.monotonic()
            ask("CONFIG", "SET", "maxmemory", 100_000)
            time.sleep(4.0)
            lifted = time.monotonic()
            ask("CONFIG", "SET", "maxmemory", 0)
            healed = probe.wait(lifted)
        return Trouble(began=began, healed=healed, users=frozenset(people))


class Frozen(Fault):
    """SIGSTOP of the only server for some seconds: it accepts connections, and says nothing."""

    name = "SIGSTOP, standalone"

    def strike(self, people: People) -> Trouble:
        with Probe([self.server.port]) as probe:
            time.sleep(0.2)
            began = time.monotonic()
            with self.server.frozen():
                time.sleep(4.0)
            healed = probe.wait(time.monotonic())
        return Trouble(began=began, healed=healed, users=frozenset(people))


class Network(Fault):
    """A proxy on the way delays, drops, truncates and resets replies."""

    name = "proxy"
    modes: ClassVar[Sequence[Mode]] = ("delay", "drop", "truncate", "reset")

    def enter(self, stack: contextlib.ExitStack) -> None:
        super().enter(stack)
        self.proxy = stack.enter_context(Proxy(self.server.port))

    @property
    def url(self) -> str:
        return self.proxy.url

    @property
    def audit_url(self) -> str:
        return self.server.url

    def strike(self, people: People) -> Trouble:
        began = time.monotonic()
        for mode in self.modes:
            self.proxy.mode = mode
            time.sleep(MESS)
        self.proxy.mode = "pass"
        healed = time.monotonic()
        return Trouble(began=began, healed=healed, users=frozenset(people))


class Swap(Network):
    """A proxy that gives two connections each other's replies: the store has to notice."""

    name = "swapped replies"
    modes = ("swap",)


class Clock(Fault):
    """The clocks of one process jump by an hour (see worker): nothing may change."""

    name = "app clock 1 h off"

    def strike(self, people: People) -> Trouble:
        began = time.monotonic()
        time.sleep(4.0)
        return Trouble(began=began, users=frozenset(people))

"""The thread that does the steps: one in each process that has something to tell.

It is started by the first event of a process, so that none is there before a server forks, and
sleeps until an event that somebody should hear of wakes it, or something is due.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
from typing import TYPE_CHECKING, Final

from gatehound.errors import StoreError

if TYPE_CHECKING:
    from gatehound.notify.notifier import Notifier

log: Final = logging.getLogger("gatehound.notify")

# Seconds. POLL is for what other processes left, and what nobody woke it for. However many events
# there are, a step begins no sooner than BREATH after the one before, and REST after one that
# failed.
POLL: Final = 15.0
BREATH: Final = 0.2
REST: Final = 5.0
STOP: Final = 15.0


class Workers:
    """The thread of each process. Its fork has none, and gets one of its own."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._of: dict[int, Worker] = {}
        self._is_off = False

    def wake(self, is_news: bool) -> None:
        """Start the thread of this process where it is not there; wake it for news."""
        if self._is_off:
            return
        worker = self._of.get(os.getpid())
        if worker is None or not worker.is_alive:
            worker = self._start(worker)
        if is_news:
            worker.wake()

    def stop(self, *, for_good: bool = False) -> None:
        """End the thread of this process; `for_good`: and start none any more."""
        self._is_off = self._is_off or for_good
        worker = self._of.pop(os.getpid(), None)
        if worker is not None:
            worker.stop()

    def _start(self, ended: Worker | None) -> Worker:
        pid = os.getpid()
        if ended is not None and self._of.get(pid) is ended:
            del self._of[pid]
        made = Worker(self._notifier)
        # No lock, which a fork might copy locked: of two threads that come here, one is first.
        worker = self._of.setdefault(pid, made)
        if worker is made:
            worker.start()
        return worker


class Worker:
    """One thread and its store."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._holder = secrets.token_hex(8)
        self._woken = threading.Event()
        self._ends = threading.Event()
        self._was_started = False
        self._thread = threading.Thread(target=self._run, name="gatehound-notify", daemon=True)

    @property
    def is_alive(self) -> bool:
        """False where the thread has ended; a moment before it starts it counts as alive."""
        return not self._was_started or self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._was_started = True
        # A process that ends in the middle would hold up all others until its lease is over.
        atexit.register(self.stop)

    def wake(self) -> None:
        """Have it look now."""
        self._woken.set()

    def stop(self) -> None:
        """End it, after what it is sending."""
        atexit.unregister(self.stop)
        self._ends.set()
        self._woken.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP)

    def _run(self) -> None:
        try:
            while not self._ends.is_set():
                rest, wait = self._step()
                self._ends.wait(rest)
                self._woken.wait(wait)
                self._woken.clear()
        finally:
            self._notifier.close_store()

    def _step(self) -> tuple[float, float]:
        """Do a step, and return for how long to sleep: at least, and then unless woken."""
        try:
            done = self._notifier.run_for(self._holder, self._ends.is_set)
        except StoreError as error:
            log.warning("the store does not answer (%s); tried again later", error)
            return REST, POLL
        except Exception:
            log.exception("a step of the notifier failed; it goes on later")
            return REST, POLL
        if done.more:
            return BREATH, 0.0
        return BREATH, POLL if done.due_in is None else min(POLL, done.due_in / 1000)

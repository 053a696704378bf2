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
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gatehound.errors import StoreError

if TYPE_CHECKING:
    from gatehound.notify.notifier import Notifier
    from gatehound.notify.sending import Step

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
            try:
                worker.start()
            except RuntimeError:  # no thread is left: the next event tries again
                self._of.pop(pid, None)
                raise
        return worker


class Worker:
    """One loop of steps and the name that holds the lease for it, in a thread or in the caller's.

    It looks every `poll` seconds. `told` is called with each step, `warn` with why one failed; then
    it goes on later.
    """

    def __init__(
        self,
        notifier: Notifier,
        *,
        poll: float = POLL,
        told: Callable[[Step], object] | None = None,
        warn: Callable[[Exception], object] | None = None,
    ) -> None:
        self._notifier = notifier
        self._poll = poll
        self._told = told
        self._warn = warn or logged
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
        """Start the thread; RuntimeError where the machine has none left."""
        self._thread.start()
        self._was_started = True
        # A process that ends in the middle would hold up all others until its lease is over.
        atexit.register(self.stop)

    def run(self) -> None:
        """Do steps until `stop`, in the thread of the caller."""
        while not self._ends.is_set():
            rest, wait = self._step()
            self._ends.wait(rest)
            self._woken.wait(wait)
            self._woken.clear()

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
            self.run()
        finally:
            self._notifier.close_store()

    def _step(self) -> tuple[float, float]:
        """Do a step, and return for how long to sleep: at least, and then unless woken."""
        try:
            done = self._notifier.run_for(self._holder, self._ends.is_set)
        except Exception as error:
            self._warn(error)
            return REST, max(0.0, self._poll - REST)
        if self._told is not None:
            self._told(done)
        if done.more:
            return BREATH, 0.0
        return BREATH, self._poll if done.due_in is None else min(self._poll, done.due_in / 1000)


def in_words(error: Exception) -> str:
    """Say why a step failed."""
    if isinstance(error, StoreError):
        return f"the store does not answer, tried again later: {error}"
    return f"a step of the notifier failed, tried again later: {type(error).__name__}: {error}"


def logged(error: Exception) -> None:
    """Log why a step failed; one that is no outage of the store is a fault, with its traceback."""
    is_fault = not isinstance(error, StoreError)
    log.log(
        logging.ERROR if is_fault else logging.WARNING,
        in_words(error),
        exc_info=error if is_fault else None,
    )

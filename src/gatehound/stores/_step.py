"""One step of the memory store: its lock, and the time."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

_log: Final = logging.getLogger("gatehound.stores.memory")


class Step:
    """Hold the lock for one method, and give the time at which it happens.

    A class of its own: a generator would take longer than most of what is done inside.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._pid: int | None = None

    def __enter__(self) -> int:
        self._lock.acquire()
        try:
            if self._pid != os.getpid():
                self._note_process()
            return self.clock()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _note_process(self) -> None:
        if self._pid is not None:
            _log.warning(
                "the memory store is used in a forked process: workers do not see each other's "
                "sessions. Use sqlite:// or redis:// with several workers."
            )
        self._pid = os.getpid()

"""Tells users and admins what happened: the channels, and when a step is done.

What a step does is in sending.py, and the thread that does it by itself in worker.py.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gatehound._sync import run_sync
from gatehound.errors import SettingsError
from gatehound.model import Event
from gatehound.notify import ledger as book
from gatehound.notify.channel import Channel, Letter
from gatehound.notify.ledger import digest
from gatehound.notify.opening import channels_of
from gatehound.notify.outbox import Outbox, outboxes
from gatehound.notify.sending import SETTLE, Sending, Step
from gatehound.notify.worker import Workers

if TYPE_CHECKING:
    from gatehound.guard import Guard


class Notifier:
    """Tells users and admins what they should know of, once.

    `call` is a function that gets each Letter. `channels` replaces those of the settings.
    SettingsError where a channel cannot be used. Nothing is opened and no thread is started here:
    `hear` is a sink that starts one with the first event of its process.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        call: Callable[[Letter], object] | None = None,
        channels: Sequence[Channel] | None = None,
        settle: int = SETTLE,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._guard = guard
        self._settings = guard.settings.notify
        opened = channels_of(guard.settings, guard.users, call) if channels is None else channels
        self._channels = {channel.name: channel for channel in opened}
        if len(self._channels) != len(opened) or len(opened) > 8:
            raise SettingsError("notify: at most eight channels are allowed, each of its own name")
        identity = hashlib.sha256(guard.settings.identity_key.encode()).digest()
        self._secret = digest(identity, "notify", size=32)
        self._settle = settle
        self._jitter = jitter
        self._workers = Workers(self)

    # --- when ---

    def hear(self, event: Event) -> None:
        """Wake the thread of this process where somebody should be told; the first event starts it.

        A sink: it returns at once.
        """
        self._workers.wake(bool(event.notify))

    def close(self, *, for_good: bool = False) -> None:
        """End the thread of this process and wait for it.

        A later event starts it again, unless this is `for_good`.
        """
        self._workers.stop(for_good=for_good)

    def run_once(self, now: float | None = None, *, settle: int | None = None) -> Step:
        """Do one step over a blocking store; StoreError where that does not answer.

        Each call is a sender of its own: where the store failed while one sent, the next ones wait
        until its lease is over, two minutes. `now` is seconds since 1970, None: the store's clock.
        `settle` is for how many milliseconds a letter waits for what belongs to it.
        """
        at = None if now is None else round(now * 1000)
        waits = self._settle if settle is None else settle
        return run_sync(self._sending(secrets.token_hex(8), settle=waits).step(at))

    def drain(self) -> Step:
        """Do steps until nothing is left that may go now; StoreError as in `run_once`.

        What happened just now is told too, and does not wait for what may belong to it.
        """
        sending = partial(self._sending, secrets.token_hex(8), settle=0)
        sent = failed = 0
        while True:
            done = run_sync(sending().step(None))
            sent, failed = sent + done.sent, failed + done.failed
            if not done.more and done.due_in != 0:
                return replace(done, sent=sent, failed=failed)

    def run_for(self, holder: str, ends: Callable[[], bool]) -> Step:
        """Do one step as one of several that each have a name; no more is sent once it `ends`."""
        return run_sync(self._sending(holder, settle=self._settle, ends=ends).step(None))

    async def waiting(self) -> tuple[Outbox, ...]:
        """Return what waits in each channel and how it fares; StoreError as the store.

        Over the guard's own store: for pages and jobs, and not for the thread of the notifier.
        What happened since the last step is not in it.
        """
        return await self._waiting(self._guard)

    def waiting_now(self) -> tuple[Outbox, ...]:
        """Return the same over a blocking store, for commands; see `run_once`."""
        return run_sync(self._waiting(self._guard.blocking()))

    async def _waiting(self, guard: Guard) -> tuple[Outbox, ...]:
        store = guard.store
        now = await store.ping()
        ledger = book.read((await store.shelf(book.SHELF)).data)
        ledger.keep(self._channels)
        return outboxes(ledger, self._settings, now)

    def close_store(self) -> None:
        """Close what the steps of this thread opened."""
        run_sync(self._guard.blocking().close())

    def _sending(
        self, holder: str, *, settle: int, ends: Callable[[], bool] = lambda: False
    ) -> Sending:
        return Sending(
            self._guard,
            self._channels,
            self._secret,
            jitter=self._jitter,
            holder=holder,
            settle=settle,
            ends=ends,
        )

"""Ways out: what a channel is, and the two that need no network.

A channel sends one thing at a time, and says by what it raises whether to try again:

  Undelivered      not now; tried again later
  |- Refused       never: an address that does not exist, a letter that is not taken
  `- OutOfReach    not now, and nothing else either: the other end is down

Whatever else it raises is taken for Undelivered. It is called in the notifier's thread, and may
wait there for as long as DEADLINE: see sending.LEASE for what happens after that.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from gatehound.events import as_json
from gatehound.model import Event
from gatehound.notify.ledger import Whom

TIMEOUT: Final = 10.0  # seconds for each answer of the other end
DEADLINE: Final = 60.0  # seconds for all of one sending: half of sending.LEASE
LOGGER: Final = "gatehound.notify"


class Undelivered(Exception):
    """It did not get through; the text says why, without a secret.

    `done` are addresses of a letter that are not written to again: they got it, or never will.
    """

    def __init__(self, *why: object, done: Collection[str] = ()) -> None:
        super().__init__(*why)
        self.done = tuple(done)


class Refused(Undelivered):
    """It never will."""


class OutOfReach(Undelivered):
    """Nothing gets through at the moment."""


class Letter(msgspec.Struct, frozen=True):
    """One letter to a person, in words. `to` is empty where nobody knows an address.

    `key` is the same whenever the letter is tried again. `user_id` is None in one to the admins.
    `html` says the same as `text`.
    """

    key: str
    whom: Whom
    user_id: str | None
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    language: str
    events: tuple[Event, ...]
    at: float


class Notice(msgspec.Struct, frozen=True):
    """One event for a program, the same whenever it is tried again but for `at`."""

    key: str
    event: Event
    at: float


class LetterChannel(ABC):
    """A channel to people: what belongs together comes in one letter, and few of them.

    Where it `needs_address`, nobody without one is written to.
    """

    name: str
    needs_address: bool = False

    @abstractmethod
    def send(self, letter: Letter) -> None:
        """Hand the letter on."""


class NoticeChannel(ABC):
    """A channel to programs: each event by itself."""

    name: str

    @abstractmethod
    def send(self, notice: Notice) -> None:
        """Hand the event on."""


Channel = LetterChannel | NoticeChannel


class LogChannel(NoticeChannel):
    """Writes one line to the logger gatehound.notify."""

    name = "log"

    def send(self, notice: Notice) -> None:
        """Log the event, as gatehound.events.LogSink does."""
        logging.getLogger(LOGGER).warning("%s %s", notice.event.name, as_json(notice.event))


class CallChannel(LetterChannel):
    """Calls a function of the app with each letter."""

    name = "call"

    def __init__(self, call: Callable[[Letter], object]) -> None:
        self._call = call

    def send(self, letter: Letter) -> None:
        """Call it; what it raises means "try again", unless it is Refused."""
        self._call(letter)

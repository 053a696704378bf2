"""What the notifier remembers between its steps: one small blob in the store.

Belongs here: the fields, their bounds, and how they are written. Does not: what goes in
(sorting.py) and what is done with it (sending.py).

The event log is the queue, so that the blob names events and never copies them: it holds no
address, no name and no user id, and an event that was erased is told to nobody. Who gets something
is in it as a keyed hash.

Each channel has a track of its own: its place in the log, what waits, whom it told. A mail server
that is down stops the mail, and not the webhook; while a track is full nothing more is read for it.

Times are milliseconds of the store's clock. Fields are by position: append only, each with a
default, so that an older release reads what a newer one wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final, Literal

import msgspec

from gatehound.model import Event
from gatehound.stores.rule import MAX_SHELF_BYTES

Whom = Literal["user", "admins", ""]  # "": the channel itself, which is a program

SHELF: Final = "notify"
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
# Of all tracks together. At the most of each field below they take about as much as a shelf does;
# see `written` for what goes where they would take more.
MAX_REFS: Final = 500
MAX_TOLD: Final = 3500
MAX_SENT: Final = 700
REFS_EACH: Final = 8  # events that one letter speaks of; the rest it counts
MOST: Final = 10  # letters to one person that count; no cap in settings or in sorting.py is higher
MAX_WHY: Final = 160  # characters of what is wrong with a channel
MAX_DONE: Final = 100  # of one letter; RFC 5321, 4.5.3.1.8: a server takes so many recipients
# Bytes of an event's id and of its name: ours have under 50 and under 30.
_LONGEST: Final = 60


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """Names one event in the log. `urgent` is the number of its kind in sorting.URGENT, or 0."""

    id: str
    name: str
    at: int
    urgent: int = 0

    @classmethod
    def of(cls, event: Event, urgent: int = 0) -> Ref:
        """Return what finds this event again; one of a strange id is not found."""
        return cls(_cut(event.id), _cut(event.name), round(event.at * 1000), urgent)


class Item(msgspec.Struct, array_like=True):
    """One thing to send: a letter of a few events, or one event.

    `key` names it for ever, so that who gets it twice can tell. `who` is the hash of whom. `more`
    counts the events that found no room in `refs`. `since` is the first attempt, 0 before it.
    `done` are hashes of the addresses that it is not sent to again.
    """

    key: bytes
    whom: Whom
    who: bytes
    refs: list[Ref]
    due: int
    more: int = 0
    since: int = 0
    tries: int = 0
    done: list[bytes] = []

    @property
    def events(self) -> int:
        """Count what it is about."""
        return len(self.refs) + self.more


class Track(msgspec.Struct, array_like=True):
    """What one channel has to do and has done. `rests_until`: it let nothing through lately.

    `sent` has the times of letters by whom they went to, and by that and what kind of news was in
    them: see sorting.held. `delivered` and `failed` are when it last was, 0 for never; `why` is
    what was wrong then, without what names anybody.
    """

    place: str = ""
    items: list[Item] = []  # msgspec copies an empty default for each
    told: dict[bytes, int] = {}
    sent: dict[bytes, list[int]] = {}
    failures: int = 0
    rests_until: int = 0
    delivered: int = 0
    failed: int = 0
    why: str = ""

    @property
    def refs(self) -> int:
        """Count the events that wait."""
        return sum(len(item.refs) for item in self.items)

    def forget(self, now: int, share: int) -> None:
        """Drop what counts no more, and the oldest of what is too much for one of `share`."""
        told = {key: at for key, at in self.told.items() if now - at < DAY}
        self.told = _newest(told, MAX_TOLD // share)
        recent = {
            who: [at for at in times if now - at < 2 * DAY][-MOST:]
            for who, times in self.sent.items()
        }
        last = {who: times[-1] for who, times in recent.items() if times}
        self.sent = {who: recent[who] for who in _newest(last, MAX_SENT // share)}


class Ledger(msgspec.Struct, array_like=True):
    """The whole blob. Who is `holder` may send until `until`; see sending.py."""

    holder: str = ""
    until: int = 0
    tracks: dict[str, Track] = {}

    def keep(self, names: Collection[str]) -> None:
        """Have a track for each channel that there is; what waits for another goes with it."""
        self.tracks = {name: self.tracks.get(name) or Track() for name in names}


def read(data: bytes) -> Ledger:
    """Read the blob; a new one where it is empty, or damaged: then telling begins anew."""
    try:
        return msgspec.msgpack.decode(data, type=Ledger) if data else Ledger()
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Ledger()


def written(ledger: Ledger, now: int) -> bytes:
    """Write the blob, without what counts no more, and small enough for the shelf.

    A track that was alone may hold as much as all may, and wait beside new ones: then of what was
    told and sent the oldest goes, and never what waits.
    """
    share = max(1, len(ledger.tracks))
    while True:
        for track in ledger.tracks.values():
            track.forget(now, share)
        data = msgspec.msgpack.encode(ledger)
        if len(data) <= MAX_SHELF_BYTES or share > MAX_TOLD:
            return data
        share *= 2


def digest(secret: bytes, *parts: str, size: int = 8) -> bytes:
    """Hash what must not be read from the blob; keyed, because ids are easily guessed."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    raw = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=size, key=secret).digest()


def _cut(text: str) -> str:
    return text.encode("utf-8", "ignore")[:_LONGEST].decode("utf-8", "ignore")


def _newest(times: dict[bytes, int], most: int) -> dict[bytes, int]:
    if len(times) <= most:
        return times
    return dict(sorted(times.items(), key=lambda pair: pair[1])[len(times) - most :])

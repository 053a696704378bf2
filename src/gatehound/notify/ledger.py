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

Whom = Literal["user", "admins", ""]  # "": the channel itself, which is a program

SHELF: Final = "notify"
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
# Of all tracks together. At the most of each field below, 245 KB; a shelf takes 256 KiB.
MAX_REFS: Final = 500
MAX_TOLD: Final = 3500
MAX_SENT: Final = 700
REFS_EACH: Final = 8  # events that one letter speaks of; the rest it counts
# Bytes of an event's id and of its name: ours have under 50 and under 30.
_LONGEST: Final = 60


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """Names one event in the log."""

    id: str
    name: str
    at: int

    @classmethod
    def of(cls, event: Event) -> Ref:
        """Return what finds this event again; one of a strange id is not found."""
        return cls(_cut(event.id), _cut(event.name), round(event.at * 1000))


class Item(msgspec.Struct, array_like=True):
    """One thing to send: a letter of a few events, or one event.

    `key` names it for ever, so that who gets it twice can tell. `who` is the hash of whom. `more`
    counts the events that found no room in `refs`. `since` is the first attempt, 0 before it.
    """

    key: bytes
    whom: Whom
    who: bytes
    refs: list[Ref]
    due: int
    more: int = 0
    since: int = 0
    tries: int = 0


class Track(msgspec.Struct, array_like=True):
    """What one channel has to do and has done. `rests_until`: it let nothing through lately."""

    place: str = ""
    items: list[Item] = []  # msgspec copies an empty default for each
    told: dict[bytes, int] = {}
    sent: dict[bytes, list[int]] = {}
    failures: int = 0
    rests_until: int = 0

    @property
    def refs(self) -> int:
        """Count the events that wait."""
        return sum(len(item.refs) for item in self.items)

    def forget(self, now: int, share: int) -> None:
        """Drop what counts no more, and the oldest of what is too much for one of `share`."""
        told = {key: at for key, at in self.told.items() if now - at < DAY}
        self.told = _newest(told, MAX_TOLD // share)
        recent = {
            who: [at for at in times if now - at < 2 * DAY] for who, times in self.sent.items()
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
    """Write the blob, without what counts no more."""
    for track in ledger.tracks.values():
        track.forget(now, len(ledger.tracks))
    return msgspec.msgpack.encode(ledger)


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
    return dict(sorted(times.items(), key=lambda pair: pair[1])[-most:])

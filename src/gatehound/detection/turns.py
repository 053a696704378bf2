"""How often a session goes back and forth between contexts, from where, and when it was heard of.

As far as this process sees.

The two contexts that a session used last are known, and a request from either is not judged: what
is counted here is what would stay unseen. Kept in memory and in no store: the unchanged request
must not write. Bounded; what falls out, or is lost between threads, is counted again later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final, TypeAlias

import msgspec

WINDOW: Final = 900_000  # milliseconds
# Requests of one burst overtake each other: a change back within half a minute is none.
REORDER: Final = 30_000
DUE: Final = 3  # so many are worth a look
AGAIN: Final = 300_000  # and so much later the next
MAX_SESSIONS: Final = 10_000
# Of one session: the two that are not judged, and one that was pushed out of them just now.
MAX_PLACES: Final = 3

Places: TypeAlias = tuple[tuple[bytes, int], ...]  # addresses, and when each was used


class _Turn(msgspec.Struct, gc=False):
    """The last context of one session, since when, and the times of its alternations.

    `places` says from which address each of its contexts was used last, and when; latest last.
    """

    context: bytes
    at: int
    changes: list[int] = []
    looked: int = 0
    places: dict[bytes, tuple[bytes, int]] = {}


class Turns:
    """Count alternations. Times are milliseconds; callable from any thread."""

    def __init__(self) -> None:
        # Ordered: a plain dict would look for its first key through the gaps that drops leave.
        self._sessions: OrderedDict[Hashable, _Turn] = OrderedDict()
        self._heard: OrderedDict[Hashable, int] = OrderedDict()

    def is_quiet(self, sid: bytes, now: int) -> bool:
        """Note a request, and return True, for a session that stays in one context."""
        if sid in self._sessions:
            return False
        heard = self._heard
        if sid in heard:
            heard[sid] = now
        else:
            self.hear(sid, now)
        return True

    def hear(self, sid: bytes, now: int) -> None:
        """Note a request of any kind: a page that polls says where its session is, too."""
        heard = self._heard
        if len(heard) >= MAX_SESSIONS and sid not in heard:
            _drop_first(heard)
        heard[sid] = now

    def heard(self, sid: bytes) -> int:
        """Return when the session was last heard of, 0 for never."""
        return self._heard.get(sid, 0)

    def meet(self, sid: bytes, now: int) -> tuple[int, int, Places]:
        """Note a request; return when the session was heard of before, `count` and `places`.

        0 for never.
        """
        before, turn = self._heard.get(sid), self._sessions.get(sid)
        if before is None:
            self.hear(sid, now)
        else:
            self._heard[sid] = now
        if turn is None:
            return before or 0, 0, ()
        return before or 0, _within(turn.changes, now), tuple(turn.places.values())

    def __contains__(self, sid: bytes) -> bool:
        """True for a session that was seen in more than one context."""
        return sid in self._sessions

    def note(self, sid: bytes, context: bytes, newest: bytes, now: int) -> bool:
        """Note a request; True where the alternations should be looked at.

        `newest` is the context that the session's record has in front: a session that stays on
        it costs one look into a dict.
        """
        turn = self._sessions.get(sid)
        if turn is None:
            if context != newest:
                self._begin(sid, context, newest, now)
            return False
        if turn.context == context or now - turn.at < REORDER:
            return False
        turn.context, turn.at = context, now
        turn.changes = [at for at in turn.changes if now - at < WINDOW] + [now]
        if len(turn.changes) < DUE or now - turn.looked < AGAIN:
            return False
        turn.looked = now
        return True

    def stay(self, sid: bytes, context: bytes, address: bytes, now: int) -> None:
        """Note from which address a context of such a session is used; b"" is not known."""
        turn = self._sessions.get(sid)
        if turn is None or not address:
            return
        places = dict(turn.places)  # others may be reading them
        places.pop(context, None)
        places[context] = address, now
        if len(places) > MAX_PLACES:
            del places[next(iter(places))]
        turn.places = places

    def places(self, sid: bytes) -> Places:
        """Return the addresses of a session's last contexts and when each was used, latest last.

        Empty for a session that was seen in one context alone.
        """
        turn = self._sessions.get(sid)
        return () if turn is None else tuple(turn.places.values())

    def put_off(self, sid: bytes) -> None:
        """Let the look that was due be due at the next alternation."""
        turn = self._sessions.get(sid)
        if turn is not None:
            turn.looked = 0

    def count(self, sid: bytes, now: int) -> int:
        """Return the alternations within the window that ends now."""
        turn = self._sessions.get(sid)
        return 0 if turn is None else _within(turn.changes, now)

    def _begin(self, sid: bytes, context: bytes, newest: bytes, now: int) -> None:
        if len(self._sessions) >= MAX_SESSIONS:
            # When it was heard of goes too: nobody knows any more in which of its contexts.
            self._heard.pop(_drop_first(self._sessions), None)
        # From a context that was not seen here yet, nothing can be said of when it began.
        changes = [now] if newest else []
        self._sessions[sid] = _Turn(context, now, changes)


def _within(changes: list[int], now: int) -> int:
    return len([1 for at in changes if now - at < WINDOW])


def _drop_first(entries: dict[Hashable, Any]) -> Hashable:
    try:
        first: Hashable = next(iter(entries))
        del entries[first]
    except (KeyError, StopIteration, RuntimeError):  # another thread was faster
        return None
    return first

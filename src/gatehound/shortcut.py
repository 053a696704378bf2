"""The short way of a request that is like one before: same cookie, address, browser and record.

What belongs here: what is remembered of the last request of a session, and the comparisons by
which the next one is let through without being worked out anew. Whatever differs is left to the
guard, which goes on from the reply of the store.

Rules
  1. The store is asked on each request, and what it says decides: a session that has ended, or
     has changed, is not the one that is remembered.
  2. Remembered is what verified and was let through with nothing standing against it. Of text
     that a client can make longer nothing is kept.
  3. What comes of it is what comes of `Guard.examine`. So a guard that is measured, or is of
     another class, examines every request.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import Any, Final, TypeAlias

import msgspec

from gatehound._sync import run_sync
from gatehound.clientip import ClientIP
from gatehound.clientip.again import MAX_TEXT
from gatehound.cookies import Ticket, sole_value
from gatehound.detection.device import MAX_AGENT
from gatehound.guard import Guard
from gatehound.model import Activity, Silent
from gatehound.passage import Passage
from gatehound.settling import LOOKED_AT, NOTHING_STANDS
from gatehound.stores.answer import Answer, Asked, Lost, Question, Standing
from gatehound.stores.base import Store
from gatehound.stores.record import ANONYMOUS, Record, secret_hash

SIZE: Final = 4096  # sessions, of 2 KB each beside what other caches have of them
# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_NAVIGATE: Final = Activity.NAVIGATE
_ACTION: Final = Activity.ACTION


class Trail(Silent, msgspec.Struct, frozen=True, gc=False):
    """What the last request of a session has left.

    `place` is the agent, the peer and the header lines that `client_ip` was read from; both are
    None where the address has to be found each time, and is compared as `packed`. `contexts` is
    what `digest` was worked out by. From `slides` on a request of a person is no ordinary one, and
    from `until` on none is.
    """

    ticket: Ticket
    question: Any
    record: Record
    agent: Any
    place: tuple[Any, ...] | None
    client_ip: ClientIP | None
    packed: bytes | None
    digest: bytes
    contexts: Any
    slides: float
    until: float


# Trail, request, activity, client address, whether a person is there, what was asked, and the
# mark of the sessions that are shown in an outage.
Begun: TypeAlias = tuple[Trail, Any, Activity, ClientIP, bool, Asked, int]


class Shortcut:
    """Lets requests through for one adapter. Safe to share as its guard is.

    `names` are the headers that the resolver reads, as the adapter spells them; None where one is
    a secret, which nothing keeps. `waits` says whether the adapter may await the replies. A request
    is one of an adapter: beside what the guard looks at it has its Cookie `line` as it came, the
    `gap` and the `end` of a cookie in it, and `place(names)`: the agent, the peer and the lines of
    these headers, or the agent alone where those do not say all of where it came from.
    """

    def __init__(self, guard: Guard, names: tuple[Any, ...] | None, *, waits: bool) -> None:
        self._guard = guard
        self._names = names or ()
        self._keeps_places = names is not None
        self._waits = waits
        self._mark: Any = guard.cookies.mark if not waits else guard.cookies.mark.encode()
        self._ignored = guard.settings.ignore_paths
        self._classify = guard.activities.classify
        self._detection = guard.detection
        self._recent = guard.recent
        self._outage = guard.outage
        self._touch = guard.touch
        self._quick: Any = None  # with the first trail
        self._trails: OrderedDict[Any, Trail] = OrderedDict()

    def begin(self, request: Any) -> Begun | None:
        """Ask for the session of a request that is like one before; None: `examine` it."""
        value = sole_value(request.line, self._mark, request.gap, request.end)
        trail = self._trails.get(value)
        if trail is None or (self._ignored and request.path.startswith(self._ignored)):
            return None
        place, client_ip = request.place(self._names), trail.client_ip
        if place != trail.place or client_ip is None:
            if place[0] != trail.agent:
                return None
            client_ip = request.locate(self._guard.resolver)
            if client_ip.packed != trail.packed:
                return None
        mark = 0 if self._recent is None else self._recent.mark()
        activity = self._classify(request)
        is_person = activity is _NAVIGATE or activity is _ACTION
        asked = self._quick.ask(trail.question, self._touch if is_person else None)
        if asked is None:
            return None
        return trail, request, activity, client_ip, is_person, asked, mark

    def finish(self, begun: Begun, replies: list[Any]) -> Passage | None:
        """Let the request through by what the store says; None: `go_on` with it."""
        trail, request, activity, client_ip, is_person, _, mark = begun
        now = self._quick.told(trail.question, replies)
        if not now or now >= (trail.slides if is_person else trail.until):
            return None
        detection, ticket, record = self._detection, trail.ticket, trail.record
        if self._outage.is_down or detection.contexts is not trail.contexts:
            return None
        if detection.enabled:
            population = detection.population
            if population.is_due or population.crowd is not None:
                return None
            if not detection.turns.is_quiet(ticket.sid, now):
                return None
        if self._recent is not None:
            self._recent.keep(record, trail.question.secret_hash, now, mark)
        return Passage(
            request, activity, client_ip, True, ticket, record, now, NOTHING_STANDS, trail.digest
        )

    async def go_on(self, begun: Begun, replies: list[Any]) -> Passage:
        """Do what the guard does with a request whose reply has come, a Lost for none."""
        trail, request, activity, client_ip, is_person, asked, mark = begun
        passage = Passage(request, activity, client_ip, True, trail.ticket)

        async def go_on(passage: Passage, ticket: Ticket) -> Answer:
            answer: Answer = await self._quick.go_on(
                trail.question, (asked[0], replies), self._touch if is_person else None
            )
            return answer

        await self._guard.weigh(passage, trail.ticket, mark, go_on, judge=True)
        if passage.record is None and passage.outage is None:  # over: nothing of it is kept
            value = sole_value(request.line, self._mark, request.gap, request.end)
            self._trails.pop(value, None)
        self._remember(passage, replies)
        return passage

    async def examine(self, request: Any) -> Passage:
        """Examine a request, and remember what it leaves."""
        passage = await self._guard.examine(request)
        if type(self._guard) is Guard:
            self._remember(passage, None)
        return passage

    def _remember(self, passage: Passage, replies: list[Any] | None) -> None:
        """Keep what lets the next request through, where this one was an ordinary one."""
        record, ticket = passage.record, passage.ticket
        contexts = self._detection.contexts  # once: new lists make others, in any thread
        if record is None or ticket is None or not self._is_ordinary(passage, record, contexts):
            return
        if ticket.attributes != self._guard.cookies.shape.digest:
            return  # the next page load sends the cookie with those of today
        request: Any = passage.request
        value = sole_value(request.line, self._mark, request.gap, request.end)
        place = request.place(self._names)
        if not self._opens(value, ticket) or not _is_short(place[:1], MAX_AGENT):
            return
        question = self._question(record, secret_hash(ticket.secret), replies)
        if question is None:
            return
        slides, until = self._lasts(record)
        says_where = self._keeps_places and _says_where(place)
        trail = Trail(
            ticket,
            question,
            record,
            place[0],
            place if says_where else None,
            passage.client_ip if says_where else None,
            passage.client_ip.packed,
            passage.agent_digest,
            contexts,
            slides,
            until,
        )
        self._trails[value] = trail
        if len(self._trails) > SIZE:
            with contextlib.suppress(KeyError):  # another thread was quicker
                self._trails.popitem(last=False)

    def _is_ordinary(self, passage: Passage, record: Record, contexts: Any) -> bool:
        """True where nothing stands against the session, and nothing is due for it."""
        if passage.graced or passage.stale or passage.rotation_due or passage.cookies:
            return False
        if record.security.flags & (ANONYMOUS | LOOKED_AT):
            return False
        packed, agent = passage.client_ip.packed, passage.request.agent[:MAX_AGENT]
        _, pair = contexts(packed, agent)
        return pair == record.seen.pairs[0] or not self._detection.enabled

    def _opens(self, value: Any, ticket: Ticket) -> bool:
        """True where this cookie is the one that the session was found by."""
        if value is None:
            return False
        text = value if isinstance(value, str) else str(value, "latin-1")
        found = self._guard.cookies.read(self._guard.cookies.mark + text, commas=False)
        return found.ticket == ticket

    def _question(self, record: Record, proof: bytes, replies: list[Any] | None) -> Any:
        """Make the question for the next time: about this record, or none that is known.

        None where the store has another record by now: what came of this one would pass for it.
        """
        if self._quick is None:
            store = self._guard.store
            is_fit = store.quick is not None and store.suspends == self._waits
            self._quick = store.quick if is_fit else _Plainly(store, waits=self._waits)
        for told_by in (replies, None):
            question = self._quick.question(record.alias, record.sid, proof, told_by)
            if question.record is None or question.record == record:
                return question
        return None

    def _lasts(self, record: Record) -> tuple[float, float]:
        """Return `slides` and `until`: when something of the record, or the settings, is over."""
        guard, security, seen = self._guard, record.security, record.seen.last_seen
        limits = guard.limits(record.roles, remembered=record.remembered)
        until = min(
            *(security.expires, security.authenticated + limits.absolute * 1000),
            seen + min(security.idle, limits.idle * 1000),
        )
        every = guard.settings.session.rotate_every
        due = security.rotated + every * 1000 if every else until
        return min(until, due, seen + self._touch), until


class _Plainly:
    """A Quick over any store, by its `load`: what is spared is what the guard makes of it."""

    def __init__(self, store: Store, *, waits: bool) -> None:
        self._store = store
        self._waits = waits

    def question(
        self, alias: bytes, sid: bytes, secret_hash: bytes, replies: list[Any] | None = None
    ) -> Question:
        """See Quick."""
        answer: Any = replies[0] if replies else None
        return Question(alias, sid, secret_hash, answer.record if _is_plain(answer) else None)

    def ask(self, question: Question, touch: int | None) -> Asked:
        """See Quick; it never has to be asked otherwise."""
        loading = self._load(question, touch)
        if self._waits:
            return None, loading
        try:
            return None, run_sync(loading)
        except Exception as error:
            return None, Lost(error)

    async def _load(self, question: Question, touch: int | None) -> list[Any]:
        alias, sid, secret_hash = question.alias, question.sid, question.secret_hash
        return [await self._store.load(alias, sid, secret_hash, touch=touch)]

    def told(self, question: Question, replies: list[Any]) -> int:
        """See Quick."""
        answer = replies[0]
        is_same = _is_plain(answer) and answer.record == question.record
        return answer.now if is_same else 0

    async def go_on(self, question: Question, asked: Asked, touch: int | None) -> Answer:
        """See Quick."""
        replies = asked[1]
        if isinstance(replies, Lost):
            raise replies.error
        answer: Answer = replies[0]
        return answer


def _is_plain(answer: Any) -> bool:
    """True for a living session that was only looked at."""
    return isinstance(answer, Answer) and answer.standing is Standing.LIVE and not answer.was_seen


def _says_where(place: tuple[Any, ...]) -> bool:
    """True for a peer with its name and lines that may be kept."""
    if len(place) < 2:
        return False
    peer = place[1]
    if isinstance(peer, tuple):
        peer = peer[0] if peer else None
    return isinstance(peer, str) and _is_short((peer, *place[2:]), MAX_TEXT)


def _is_short(texts: tuple[Any, ...], most: int) -> bool:
    return all(text is None or len(text) <= most for text in texts)

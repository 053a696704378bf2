"""What is known of one request on its way through the guard.

Mutable, and the only thing in the flow that is: the guard fills it, a sign-in changes it,
the Visit shows it to the app, and the adapter reads from it what to put on the response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from gatehound.clientip import ClientIP
from gatehound.cookies import CookieCodec, Ticket
from gatehound.errors import GatehoundError
from gatehound.model import Activity, Ended, Request, Session, Silent, Verdict
from gatehound.stores.answer import NewSession
from gatehound.stores.record import Record

E = TypeVar("E", bound=GatehoundError)


class Passage(Silent, msgspec.Struct, eq=False, dict=True, weakref=True):
    """One request's state. Times are the store's, in milliseconds.

    A Struct, because every request makes one: it takes half as long as an object with a dict.
    """

    request: Request
    activity: Activity
    client_ip: ClientIP
    checked: bool = False  # False on ignore_paths: no session was looked for
    ticket: Ticket | None = None  # what a verified cookie says
    record: Record | None = None  # the living session
    now: int = 0
    verdict: Verdict = Verdict()
    agent_digest: bytes = b""
    cookies: dict[str, str] = {}  # name -> the Set-Cookie to send, in this order; one each
    ended: Ended | None = None
    superseded: Record | None = None  # a parallel request has just changed its secret
    rotation_due: bool = False  # give the session a new secret with this response
    shown: tuple[Record, Session] | None = None  # what `visit.session` showed of which
    graced: bool = False  # on the old secret of a routine rotation: never given a cookie
    attempt: LoginAttempt | None = None
    is_new_login: bool = False  # a session was created in this request
    known_device: bool = False  # the browser has signed this user in before
    was_seen: int = 0  # when a person used the session before, where this request slid it
    outage: GatehoundError | None = None
    was_read: bool = False  # the app looked at the session: the response depends on it
    on_read: Callable[[], None] | None = None  # who is told of each time, by any thread
    raised: GatehoundError | None = None  # what the app got, and may turn into a 500
    started: bool = False  # the response is under way: no more cookies
    stale: bool = False  # the session is shown from memory: the store gave no answer
    presession: Ticket | None = None  # what forms before sign-in are bound to
    looked: bool = False  # the anonymous session was asked for, whether it is there or not
    anonymous: Record | None = None  # what keeps the data of a visitor
    newcomer: tuple[NewSession, bytes] | None = None  # one being made, and its secret
    fragments: int = 0  # lists of sessions on this page: each has ids of its own
    carried: Record | None = None  # what a login took the data of: ends with the response

    def begin(self) -> None:
        """Know nothing of a session, before it is looked for."""
        self.checked, self.stale = True, False
        self.outage = self.record = None

    def raise_later(self, error: E) -> E:
        """Note what the app is told, for a framework that turns it into a bare 500."""
        self.raised = error
        return error

    def set_cookie(self, codec: CookieCodec, ticket: Ticket) -> None:
        """Send the session's ticket with the response."""
        self.ticket = ticket
        self.send(codec, ticket)

    def clear_cookie(self, codec: CookieCodec) -> None:
        """Remove the cookie with the response; only a logout does."""
        self.ticket = None
        self.clear(codec)

    def send(self, codec: CookieCodec, ticket: Ticket, *, now: float | None = None) -> None:
        """Send a cookie of any of our names; `now` is in seconds, None is the store's."""
        now = self.now / 1000 if now is None else now
        self.cookies[codec.shape.name] = codec.set_header(ticket, now=now)

    def clear(self, codec: CookieCodec) -> None:
        """Remove a cookie of any of our names with the response."""
        self.cookies[codec.shape.name] = codec.clear_header()

    def unsend(self, *codecs: CookieCodec) -> None:
        """Leave what the browser holds under these names as it is."""
        for codec in codecs:
            self.cookies.pop(codec.shape.name, None)

    @property
    def is_pending(self) -> bool:
        """True where the start of a response that carries cookies has work to do."""
        return self.rotation_due or self.carried is not None


class LoginAttempt:
    """A login under way: which user, and which end-of-all it began after."""

    __slots__ = ("epoch", "user_id")

    def __init__(self, user_id: str, epoch: int) -> None:
        self.user_id = user_id
        self.epoch = epoch

"""What an app touches inside a request.

`Visit` has coroutine methods (ASGI); `SyncVisit` has the same names plain, for WSGI and for
`def` handlers under ASGI. Both show the same attributes. Reading the session marks the
response as depending on it. Whatever a client sends, nothing here raises because of it;
UsageError means that the app called at the wrong time.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec.structs import replace

from gatehound import presession, signin
from gatehound._sync import Plain, run_sync
from gatehound.anonymous import AnonymousData
from gatehound.clientip import ClientIP
from gatehound.data import Data, Runner, SyncData, noted
from gatehound.detection import describe
from gatehound.errors import FreshLoginRequired, SessionSuperseded, UsageError
from gatehound.guard import Guard
from gatehound.listing import UserId, sid_of
from gatehound.model import Action, Activity, Ended, EndReason, Session, Signal, Silent, Verdict
from gatehound.passage import LoginAttempt, Passage
from gatehound.standing import is_suspicious
from gatehound.stepup import check_fresh
from gatehound.stores.rule import clip_text


class _Shown(Silent):
    """The attributes that both faces show."""

    _guard: Guard
    _passage: Passage

    @property
    def client_ip(self) -> ClientIP:
        """Where the request came from; `.address` is None where that is not known."""
        return self._passage.client_ip

    @property
    def activity(self) -> Activity:
        """What kind of request this is."""
        return self._passage.activity

    @property
    def session(self) -> Session | None:
        """The session, or None where nobody is signed in.

        While the store is down and `outage.policy` is `deny`, StoreUnavailable: the middleware
        answers 503. With `stale_ok` it may be as it was `outage.stale_for` ago. None on
        `ignore_paths`.
        """
        passage = self._read()
        record = passage.record
        if record is None:
            return None
        if passage.shown is None or passage.shown[0] is not record:
            session = self._here(self._guard.present(record))
            if session.flagged:
                reasons = tuple(signal.reason for signal in passage.verdict.signals)
                session = replace(session, reasons=reasons)
            passage.shown = record, session
        return passage.shown[1]

    @property
    def user_id(self) -> str | None:
        """The id that `login` was given, as text; None where nobody is signed in."""
        record = self._read().record
        return None if record is None else record.user_id

    @property
    def ended(self) -> Ended | None:
        """Why the session that this cookie names is over; None where it is not, or unknown."""
        return self._read().ended

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What detectors found, decayed to now; empty where nothing was looked at."""
        return self._read().verdict.signals

    @property
    def action(self) -> Action:
        """What the policy asks for; ALLOW where nobody is signed in."""
        return self._read().verdict.action

    @property
    def verdict(self) -> Verdict:
        """Action, score and signals together."""
        return self._read().verdict

    def csrf_token(self, action: str = "") -> str:
        """Return a token for a form: of this session, or of this visitor before sign-in.

        Where nobody is signed in, a cookie for 15 minutes goes out with the page, so call it
        before the response begins: UsageError after.
        """
        record = self._read().record
        if record is None:
            return presession.make_token(self._guard, self._passage, action)
        return self._guard.csrf.make(record.sid, action)

    def check_csrf(self, token: str, action: str = "") -> bool:
        """Say whether a form was made for this session and action in the last 12 hours.

        Where nobody is signed in: for this visitor, whose cookie lives for 15 minutes after
        the last page that renewed it.
        """
        record = self._read().record
        if record is None:
            return presession.check_token(self._guard, self._passage, token, action)
        return self._guard.csrf.check(token, record.sid, action)

    def next_target(self, value: str | None) -> str:
        """Return where a person wanted to go, from the `next` of the page to sign in again.

        A path of this site with its query, fit for a redirect, whatever `value` is; "/" where it
        was not made for this browser's session in the last hour. Nothing raises.
        """
        from gatehound.wayback import NOBODY, WayBack

        passage, settings = self._passage, self._guard.settings
        passage.was_read = True
        # The session that this request came with: a login may have made another one since.
        found = self._guard.cookies.read(passage.request.cookie, commas=passage.request.commas)
        owner = NOBODY if found.ticket is None else found.ticket.sid
        back = WayBack(secret_keys=settings.secret_keys, namespace=settings.namespace)
        return back.open(value, owner)

    def _here(self, session: Session) -> Session:
        """Show this request's own agent and address: the stored ones may be a minute old."""
        guard, agent = self._guard, clip_text(self._passage.request.agent)
        session = replace(session, agent=agent, device=describe(agent).label)
        kept = guard.kept_address(self._passage.client_ip.packed)
        if not kept:
            return session
        address = ip_address(kept)
        network = guard.networks.lookup(address)
        return replace(session, address=address, country=network.country, place=network.place)

    def _read(self) -> Passage:
        passage = self._passage
        passage.was_read = True
        told = passage.on_read  # looked up once: the app may end while its thread reads
        if told is not None:
            told()
        if passage.superseded is not None:
            raise passage.raise_later(SessionSuperseded())
        if passage.outage is not None and self._is_refused(passage):
            raise passage.raise_later(passage.outage)
        return passage

    def _is_refused(self, passage: Passage) -> bool:
        return not passage.stale and self._guard.settings.outage.policy != "anonymous"

    def _sure(self) -> Passage:
        """As `_read`, and refuse what is only remembered: it may have ended meanwhile."""
        passage = self._read()
        if passage.stale and passage.outage is not None:
            raise passage.raise_later(passage.outage)
        return passage


class Visit(_Shown, msgspec.Struct, eq=False):
    """One request as the app sees it, under ASGI; methods are coroutines.

    `sync` is the plain face, for `def` handlers that run in a thread.
    """

    _guard: Guard
    _passage: Passage
    _run: Runner = run_sync

    @property
    def sync(self) -> SyncVisit:
        """The same with plain methods; they run on this request's own loop."""
        return SyncVisit(self, self._run, self._guard, self._passage)

    @property
    def data(self) -> Data:
        """App data of the session, field by field."""
        return Data(self._guard, self._sure())

    @property
    def anonymous(self) -> Data:
        """App data of a visitor, signed in or not; the first write sends a cookie for it.

        Reading gives defaults where there is none, and makes none. It signs nobody in.
        """
        return AnonymousData(self._guard, self._passage)

    # --- signing in and out ---

    @noted
    async def begin_login(self, user_id: UserId) -> LoginAttempt:
        """Call before credentials are checked; hand the result to `login`.

        A login that began before all sessions of the user were ended is then refused.
        """
        return await signin.begin(self._guard, self._passage, user_id)

    @noted
    async def login(
        self,
        user_id: UserId,
        attempt: LoginAttempt | None = None,
        remember: bool = False,
        methods: tuple[str, ...] = ("password",),
        roles: tuple[str, ...] = (),
        carry: tuple[str, ...] = (),
    ) -> Session:
        """Start a session for a user whose credentials you have checked.

        `methods` says how (names of gatehound.model.METHODS). `carry` names fields of
        `visit.anonymous` that move to the new session's data; the rest of it ends. Where the
        store fails at that, the login stands, and `visit.anonymous` stays as it was. Raises
        LoginRefused (limit, disabled, superseded), which is never a failed password. The
        session that the browser had before is ended.
        """
        record = await signin.login(
            self._guard,
            self._passage,
            user_id,
            attempt=attempt,
            remember=remember,
            methods=methods,
            roles=roles,
            carry=carry,
        )
        return self._guard.present(record)

    @noted
    async def login_failed(self, user_id: UserId | None, reason: str) -> None:
        """Report failed credentials, for the log and its alarms; nobody is locked out by it.

        `user_id` is what was typed, as `login` would take it, and None where nothing was.
        """
        from gatehound import failing

        await failing.login_failed(self._guard, self._passage, user_id, reason)

    @noted
    async def logout(self) -> bool:
        """End this session and remove its cookie; False where nobody was signed in."""
        return await signin.logout(self._guard, self._passage)

    @noted
    async def rotate(self) -> None:
        """Give the session a new secret; call it when privileges change."""
        await signin.rotate(self._guard, self._passage)

    @noted
    async def reauthenticate(self, methods: tuple[str, ...] = ("password",)) -> None:
        """The user has just proved again who they are: fresh, unflagged, extended."""
        await signin.reauthenticate(self._guard, self._passage, methods)

    @noted
    async def require_fresh(self, max_age: float | None = None) -> None:
        """Go on only after a recent sign-in; else raise FreshLoginRequired.

        `max_age` is in seconds, None is `session.fresh_for`. The middleware turns the error
        into a redirect or a 401. A session that has to step up is never fresh.
        """
        check_fresh(self._guard, self._sure(), max_age)

    @noted
    async def confirm(self) -> bool:
        """The user says "this was me" of a flagged session: unflag it; False if it is not.

        From a network and browser that are not known to the session this raises
        FreshLoginRequired, because a thief would say the same: `reauthenticate` clears there,
        and learns the place. Here nothing is learned.
        """
        record = self._sure().record
        if record is None or not is_suspicious(record):
            return False
        if not self._guard.is_known_context(self._passage, record):
            age = (self._passage.now - record.security.authenticated) / 1000
            raise FreshLoginRequired(max_age=0.0, age=age)
        return await self._guard.clear(record, "confirmed by its user")

    # --- the user's sessions ---

    @noted
    async def sessions(self) -> list[Session]:
        """List the user's sessions, the most recently active first; [] for nobody."""
        record = self._sure().record
        if record is None:
            return []
        listed = await self._guard.store.sessions(record.alias)
        found = await self._guard.listed(listed, current=record.sid)
        return [self._here(session) if session.current else session for session in found]

    @noted
    async def terminate(self, public_id: str) -> bool:
        """End another session of this user; False where it is not there, or is this one.

        The id may come from a form: only the user's own sessions can be named.
        """
        record = self._sure().record
        sid = sid_of(public_id)
        if record is None or sid is None or sid == record.sid:
            return False
        return bool(await self._end(EndReason.USER, only=sid))

    @noted
    async def terminate_others(self, reason: EndReason | str = EndReason.USER) -> int:
        """End all sessions of this user but this one; return how many ended."""
        record = self._sure().record
        why = _reason(reason)
        return 0 if record is None else await self._end(why, keep=record.sid)

    @noted
    async def terminate_all(self, reason: EndReason | str = EndReason.USER) -> int:
        """End all sessions of this user, this one too; return how many ended."""
        why = _reason(reason)
        if self._sure().record is None:
            return 0
        count = await self._end(why)
        self._passage.record = None
        if not self._passage.started:
            self._passage.clear_cookie(self._guard.cookies)
        return count

    async def _end(
        self, reason: EndReason, *, only: bytes | None = None, keep: bytes | None = None
    ) -> int:
        return await signin.end_sessions(self._guard, self._passage, reason, only=only, keep=keep)


class SyncVisit(_Shown, msgspec.Struct, eq=False):
    """One request as the app sees it, with plain methods; see Visit for what they do."""

    _target: Visit
    _run: Runner
    _guard: Guard
    _passage: Passage

    @property
    def sync(self) -> SyncVisit:
        """This very object, so that code may say `visit.sync` in both worlds."""
        return self

    @property
    def data(self) -> SyncData:
        """App data of the session, field by field."""
        return SyncData(self._target.data, self._run)

    @property
    def anonymous(self) -> SyncData:
        """App data of a visitor, signed in or not; the first write sends a cookie for it."""
        return SyncData(self._target.anonymous, self._run)

    begin_login = Plain(Visit.begin_login)
    login = Plain(Visit.login)
    login_failed = Plain(Visit.login_failed)
    logout = Plain(Visit.logout)
    rotate = Plain(Visit.rotate)
    reauthenticate = Plain(Visit.reauthenticate)
    require_fresh = Plain(Visit.require_fresh)
    confirm = Plain(Visit.confirm)
    sessions = Plain(Visit.sessions)
    terminate = Plain(Visit.terminate)
    terminate_others = Plain(Visit.terminate_others)
    terminate_all = Plain(Visit.terminate_all)


def _reason(reason: EndReason | str) -> EndReason:
    try:
        return EndReason(reason)
    except ValueError:
        allowed = ", ".join(EndReason)
        raise UsageError(f"reason {reason!r} given; allowed are {allowed}") from None


def current(source: Any) -> Any:
    """Find the Visit of a request.

    `source` is a WSGI environ, an ASGI scope, or a request of Starlette, FastAPI, Flask,
    Django, Quart, Litestar, Falcon, Bottle or Pyramid. Returns a Visit under ASGI and a
    SyncVisit under WSGI. UsageError where the middleware is not around the app.
    """
    for candidate in _mappings(source):
        visit = candidate.get("gatehound")
        if isinstance(visit, (Visit, SyncVisit)):
            return visit
    raise UsageError(
        f"no gatehound visit in {type(source).__name__}: wrap the app in GatehoundMiddleware, "
        "and give current() the request, the scope or the environ"
    )


def _mappings(source: Any) -> list[Mapping[str, Any]]:
    """Where frameworks keep the scope or the environ of a request."""
    found = [source, *(getattr(source, name, None) for name in ("scope", "environ", "META", "env"))]
    return [item for item in found if isinstance(item, Mapping)]

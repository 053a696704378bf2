"""The flow: what happens to one request, and to one sign-in.

Read `Guard.examine` first: open the cookie, load the session, judge, act. What it learns is a
`Passage`, which the Visit of the app wraps. Reading order for newcomers: model, asgi (or
wsgi), clientip, cookies, stores/base, Guard.examine, detection (activity, one detector,
policy), events, visit, cli.

Nothing here imports asyncio, threads or sockets, and nothing here waits but for the store
and for detectors: under WSGI the same coroutines run with no loop (gatehound._sync).
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypedDict

from gatehound._rules import doubts
from gatehound._sync import run_sync
from gatehound.acting import Hijacked
from gatehound.admin import SyncAdmin
from gatehound.cookie_shape import anonymous_shape, presession_shape
from gatehound.cookies import CookieCodec, Reading, Ticket
from gatehound.detection import Detection, Detector, Observation, describe
from gatehound.detection.activity import Activities
from gatehound.devices import DeviceCookies
from gatehound.errors import (
    GatehoundError,
    SettingsError,
    StoreCorrupt,
    StoreError,
    StoreMismatch,
    StoreUnavailable,
)
from gatehound.events import Events, JSONLogSink, LogSink, Sink
from gatehound.listing import Users
from gatehound.model import Activity, Event, Request
from gatehound.outage import Outage
from gatehound.passage import Passage
from gatehound.recent import RecentSessions
from gatehound.settings import Settings
from gatehound.stores import open_store
from gatehound.stores.answer import Answer, Standing
from gatehound.stores.base import Store
from gatehound.stores.record import ANONYMOUS, Record, secret_hash
from gatehound.tokens import CSRFTokens, NoticeTokens
from gatehound.turning import Turning

if TYPE_CHECKING:  # loaded where it is on
    from gatehound.notify import Letter, Notifier
    from gatehound.telemetry import Telemetry

# Any agent will do: it loads the rules of the User-Agent parser.
CHROME_LIKE: Final = "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0.0.0 Safari/537.36"

Asking = Callable[[Passage, Ticket], Coroutine[Any, Any, Answer]]

log: Final = logging.getLogger("gatehound")
# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_NAVIGATE: Final = Activity.NAVIGATE
_ACTION: Final = Activity.ACTION
_LIVE: Final = Standing.LIVE
_GRACE: Final = Standing.GRACE


class Guard(Turning):
    """Holds the parts together; build one for an app, and share it.

    `settings` is a Settings, a dict, or None for the environment. `detectors` replaces the
    built-in ones (instances of Detector, or callables that take an Observation). `sinks` are
    callables that take an Event; None means one line in the log for each. `users` gives
    names to ids. `store` replaces the one that the settings name. `activity` may say what kind
    of request one is; None from it leaves that to the settings. `on_hijack` is called with the
    Session and the Verdict when a session has to prove itself, or is ended, because of evidence:
    the place to force a new password. It may be a coroutine function, which must not wait under
    WSGI; what it raises is logged. `telemetry` is one of gatehound.telemetry, or several.
    `notify` is called with each Letter to a user or to the admins, in a thread of its own; where it
    raises, it is called again later.

    Everything that can be wrong raises SettingsError here. No connection and no file stays
    open afterwards, so a Guard may be built before a server forks its workers.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        detectors: Sequence[Detector | Callable[[Observation], Any]] | None = None,
        sinks: Sequence[Sink] | None = None,
        users: Users | None = None,
        store: Store | None = None,
        activity: Callable[[Request], Activity | None] | None = None,
        on_hijack: Hijacked | None = None,
        telemetry: Telemetry | Sequence[Telemetry] | None = None,
        notify: Callable[[Letter], object] | None = None,
    ) -> None:
        self.settings = settings = _settings_from(settings)
        functions = {"activity": activity, "on_hijack": on_hijack, "notify": notify}
        _check_arguments(users=users, store=store, **functions)
        self.resolver = settings.resolver()
        self._make_signers(settings)
        self.activities = Activities(settings.activity, override=activity)
        self.networks = settings.networks()
        self.detection = Detection(settings.detection, settings.policy, self.networks, detectors)
        self.users = users or Users()
        self.on_hijack = on_hijack
        keeps = settings.outage.policy == "stale_ok"
        self.recent = RecentSessions(settings.outage.stale_for) if keeps else None
        self.notifier = self._notifier(notify)
        self._events = Events(self._hearers(sinks), precision=settings.privacy.address_precision)
        self._identity = hashlib.sha256(settings.identity_key.encode()).digest()
        self.limits = lru_cache(1024)(settings.limits)
        super().__init__()
        self.touch = int(settings.session.touch_interval * 1000)
        self._stores: dict[bool, Store] = {} if store is None else {store.suspends: store}
        if store is not None and not store.suspends:
            self._stores[True] = store  # one that never waits serves both worlds
        self._store_given = store is not None
        self._suspends = True
        self._state = {"prepared": False}  # this and the next are shared with the blocking twin
        self.outage = Outage()
        if telemetry is not None or settings.telemetry.measures:
            from gatehound.telemetry.guarded import measure  # what is off is not loaded

            measure(self, telemetry)
        self._start()

    def _start(self) -> None:
        """Say what is doubtful, load what takes a while, and reach the store."""
        has_data = self.networks.has_city or self.networks.has_asn
        for doubt in doubts(self.settings, has_data=has_data or not self.detection.enabled):
            log.warning("%s", doubt)
        describe(CHROME_LIKE)  # loading the rules takes a while: here, and once for all forks
        if self.notifier is not None:
            self.blocking()  # its thread has no event loop
        if self.settings.check_store_at_start:
            self._check_store()

    def _make_signers(self, settings: Settings) -> None:
        """Make what signs cookies and tokens.

        Purposes of their own: no cookie and no token of one kind ever verifies as another.
        """
        keys: _Keys = {"secret_keys": settings.secret_keys, "namespace": settings.namespace}
        shape = settings.cookie_shape()
        self.cookies = CookieCodec(**keys, shape=shape)
        self.csrf = CSRFTokens(**keys)
        self.notices = NoticeTokens(**keys)
        self.presession_cookies = CookieCodec(
            **keys, shape=presession_shape(shape), purpose="presession"
        )
        self.presession_csrf = CSRFTokens(**keys, purpose="presession-csrf")
        self.anonymous_cookies = CookieCodec(
            **keys, shape=anonymous_shape(shape), purpose="anonymous"
        )
        self.device_cookies = DeviceCookies(**keys, shape=shape)

    def _hearers(self, sinks: Sequence[Sink] | None) -> list[Sink]:
        """Return who hears of events: parts of the guard that are switched on, and the sinks."""
        settings = self.settings
        if sinks is None:
            sinks = (JSONLogSink() if settings.telemetry.log == "json" else LogSink(),)
        hearers = [*sinks] if self.recent is None else [self.recent.hear, *sinks]
        if self.notifier is not None and settings.notify.thread:
            hearers.append(self.notifier.hear)
        return hearers

    # --- the two worlds ---

    @property
    def store(self) -> Store:
        """The store of this guard's world; opened lazily, connected at its first use."""
        found = self._stores.get(self._suspends)
        if found is None:
            found = self._stores[self._suspends] = self._open_store(suspends=self._suspends)
        return found

    def blocking(self) -> Guard:
        """Return the same guard over a store that never suspends, for WSGI and `sync`."""
        twin = copy.copy(self)
        twin._suspends = False
        if self._stores.keys() == {True} and self._store_given:
            raise SettingsError(
                f"store: a {self._stores[True].kind} store that waits for an event loop was "
                "given to a WSGI app or to guard.sync; build it with suspends=False"
            )
        return twin

    @property
    def sync(self) -> SyncAdmin:
        """The admin methods, plain, for code without an event loop."""
        return SyncAdmin(self.blocking())

    # --- the flow ---

    async def examine(self, request: Request) -> Passage:
        """Answer for one request: from where, whose session, still that person, what now."""
        passage = Passage(request, self.activities.classify(request), request.locate(self.resolver))
        if not request.path.startswith(self.settings.ignore_paths):
            await self.look(passage, judge=True)
        return passage

    async def look(self, passage: Passage, *, judge: bool = False) -> None:
        """Open the cookie, load its session, as if nothing was known, and perhaps judge it.

        An outage is noted, and raises later, where the app reads the session.
        """
        passage.begin()
        reading = self._read(passage, self.cookies)
        passage.ticket = ticket = reading.ticket
        if reading.forged or reading.too_many:
            self.note_forged(passage, reading)
        if ticket is None:
            return
        mark = 0 if self.recent is None else self.recent.mark()
        await self.weigh(passage, ticket, mark, self._ask, judge=judge)

    async def weigh(
        self, passage: Passage, ticket: Ticket, mark: int, ask: Asking, *, judge: bool
    ) -> None:
        """Admit or turn away by the answer of the store; `mark` is from before it was asked."""
        recent = self.recent
        try:
            answer = await ask(passage, ticket)
            if self.outage.is_down:
                await self._note_answer()
            passage.now = answer.now
            if not self._admits(passage, ticket, answer):
                await self.turn_away(passage, ticket, answer)
        except (StoreError, SettingsError) as error:  # the latter: a foreign or moved file
            passage.outage, passage.record = error, None
            self.note_outage(error)
            if recent is not None and isinstance(error, StoreUnavailable):
                self.show_recent(passage, ticket, recent)
            return
        record = passage.record
        if record is None:
            return
        if recent is not None and not passage.graced:
            recent.keep(record, secret_hash(ticket.secret), answer.now, mark)
        passage.was_seen = answer.was_seen
        if judge and not self.is_settled(passage, record):
            await self.judge_or_note(passage, record)

    def open(self, passage: Passage, codec: CookieCodec) -> Ticket | None:
        """Open a cookie of another of our names; the response depends on it from then on."""
        passage.was_read = True
        reading = self._read(passage, codec)
        self.note_forged(passage, reading, f"{codec.shape.name}: ")
        return reading.ticket

    def _read(self, passage: Passage, codec: CookieCodec) -> Reading:
        """Verify a cookie's signature before any I/O: a made-up one costs no command."""
        return codec.read(passage.request.cookie, commas=passage.request.commas)

    async def ask(self, passage: Passage, ticket: Ticket) -> Answer:
        """Ask the store what a secret is worth; where a person is there, that slides it."""
        answer = await self._ask(passage, ticket)
        await self._note_answer()
        return answer

    async def _ask(self, passage: Passage, ticket: Ticket) -> Answer:
        if not self._state["prepared"]:
            await self.ready()
        activity = passage.activity
        extends = activity is _NAVIGATE or activity is _ACTION  # as `activity.extends`, in less
        touch = self.touch if extends else None
        about = ticket.alias, ticket.sid, secret_hash(ticket.secret)
        return await self.store.load(*about, touch=touch)

    async def _note_answer(self) -> None:
        if self.outage.ends():
            await self.tell(Event("store_up"))

    def _admits(self, passage: Passage, ticket: Ticket, answer: Answer) -> bool:
        """Accept a living session, unless today's settings are stricter than its record."""
        record, standing = answer.record, answer.standing
        if record is None or (standing is not _LIVE and standing is not _GRACE):
            return False
        if record.security.flags & ANONYMOUS:
            return False  # it belongs to nobody, whatever opened it
        if self.over_limits(record, answer.now, answer.was_seen or record.seen.last_seen):
            return False
        passage.record = record
        if standing is _GRACE:
            passage.graced = True
            self.doubt(ticket.sid, secret_hash(ticket.secret))
        elif passage.activity is _NAVIGATE:
            self._renew(passage, ticket, record)
        return True

    def _renew(self, passage: Passage, ticket: Ticket, record: Record) -> None:
        """Note that the secret's time has come, or send the cookie with changed attributes.

        Only on page loads: a cookie on the answer to a background request may be dropped.
        """
        every = self.settings.session.rotate_every
        if every and passage.now >= record.security.rotated + every * 1000:
            passage.rotation_due = True  # when the response can carry the cookie: see signin
        elif ticket.attributes != self.cookies.shape.digest:
            passage.set_cookie(self.cookies, ticket)

    def has_warned(self, of: str) -> bool:
        """Say whether this was asked before; what is worth one line in the log asks it once."""
        has, self._state[of] = self._state.get(of, False), True
        return has

    # --- outage ---

    def note_outage(self, error: GatehoundError) -> None:
        """Tell once that the store is down; one unreadable record is no outage of all."""
        if isinstance(error, StoreCorrupt):
            if self._events.admits("record_unreadable"):
                self._events.emit(Event("record_unreadable", reason=str(error)))
        elif self.outage.begins():
            self._events.emit(Event("store_down", reason=str(error)))

    # --- start ---

    def _open_store(self, *, suspends: bool) -> Store:
        if self.settings.store_url.startswith("memory:"):  # one memory for both worlds
            suspends = not suspends
            if suspends in self._stores:
                return self._stores[suspends]
        return open_store(
            self.settings.store_url,
            namespace=self.settings.namespace,
            suspends=suspends,
            event_retention=int(self.settings.privacy.event_retention * 1000),
            wait_replicas=self.settings.store_options.wait_replicas,
            write_version=self.settings.store_options.write_version,
            multiplex=self.settings.store_options.multiplex,
        )

    def _notifier(self, call: Callable[[Letter], object] | None) -> Notifier | None:
        """Build what tells people, where somebody is to be told."""
        if call is None and not self.settings.notify.is_on:
            return None
        from gatehound.notify import Notifier  # it does I/O, and few processes need it

        return Notifier(self, call=call)

    async def ready(self) -> None:
        """Compare the store with the settings, before its first use."""
        if not self._state["prepared"]:
            await self.store.prepare(self.meta)
            self._state["prepared"] = True

    def _check_store(self) -> None:
        """Reach the store once, and let go of it again: nothing stays open over a fork."""
        if self._store_given and self.store.suspends:
            return  # it needs an event loop: the first request checks it
        plain = self.blocking()
        try:
            run_sync(plain.ready())
        except StoreMismatch as error:
            where = self.settings.store_url.rpartition("@")[2]  # without a password
            raise StoreMismatch([f"store {where}: {line}" for line in error.problems]) from error
        except StoreError as error:
            raise SettingsError(
                f"store: {error}; start the store, correct the URL, or set "
                "check_store_at_start to false to find out at the first request"
            ) from error
        finally:
            run_sync(plain.store.close())


def _check_arguments(**given: Any) -> None:
    """Refuse what would fail at the first request, or at the first theft."""
    kinds = {"users": Users, "store": Store}
    problems = [
        f"{name}: {value!r} was given; it is {what}"
        for name, value in given.items()
        for is_right, what in (
            (isinstance(value, kinds[name]), f"a gatehound {kinds[name].__name__}, or None")
            if name in kinds
            else (callable(value), "a function, or None"),
        )
        if value is not None and not is_right
    ]
    if problems:
        raise SettingsError(problems)


class _Keys(TypedDict):
    secret_keys: tuple[str, ...]
    namespace: str


def _settings_from(settings: Settings | Mapping[str, Any] | None) -> Settings:
    if settings is None:
        return Settings.from_env()
    if not isinstance(settings, Settings):
        return Settings.from_dict(settings)
    if problems := settings.problems():
        raise SettingsError(problems)
    return settings

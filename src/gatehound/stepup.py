"""What the middleware asks of a person before it calls the app: a fresh proof of who they are.

Two demands, answered alike. Evidence against a session asks for a proof, in the modes `step-up`
and `strict`; a route that `policy.fresh_paths` names asks for a recent one, whatever the evidence.
Both raise what `visit.require_fresh()` raises, as if the app had called it and let it through.

Rules
  1. Nobody is asked who is not signed in, and nobody is asked for evidence where there is no page
     to answer on.
  2. A path alone opens. What kind of request it is, and how it looks, is the client's word.
  3. A path opens as it is written, and is asked for as any server may read it: "/static/../pay" is
     no static file, and "//pay" is "/pay".
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from gatehound.detection.pattern import any_reading, is_odd, matcher
from gatehound.errors import FreshLoginRequired, SessionSuperseded
from gatehound.guard import Guard
from gatehound.model import Action, Request
from gatehound.passage import Passage
from gatehound.stores.record import Record

ASKING_MODES: Final = ("step-up", "strict")
# Of our own pages: the link of a notice is a proof, and to sign out needs none.
_OPEN_PAGES: Final = ("notice/", "static/", "sign-out", "ended", "api/sign-out", "api/token")
# In Python 3.11 a member of an enum takes longer to look up than a function to call.
STEP_UP: Final = Action.STEP_UP


class StepUp:
    """Asks for proofs as the settings say; compiled once for a middleware."""

    def __init__(self, guard: Guard) -> None:
        settings = guard.settings
        web, policy = settings.web, settings.policy
        self._guard = guard
        self.has_fresh_paths = bool(policy.fresh_paths)
        self._asks = settings.detection.mode in ASKING_MODES and web.step_up_url is not None
        self._asks_everywhere = web.step_up_enforce == "everywhere"
        self._page = _page_of(web.step_up_url)
        self._pages = None if web.path is None else f"{web.path}/"
        self._is_open = matcher(web.step_up_open)
        self._is_sensitive = any_reading((*policy.sensitive_paths, *policy.fresh_paths))
        self._is_fresh_path = guard.detection.policy.is_fresh_path
        self._sensitive_roles = frozenset(policy.sensitive_roles)

    def demand(self, passage: Passage) -> None:
        """Raise where a proof comes first: FreshLoginRequired.

        For a fresh path also what reading the session raises: SessionSuperseded and the outage.
        """
        request, record = passage.request, passage.record
        if self._is_page(request.path) or self._is_own(request):
            return
        is_due = self._asks and passage.verdict.action is STEP_UP
        if is_due and record is not None and self._is_asked(request, record):
            age = _age(passage, record)
            raise passage.raise_later(FreshLoginRequired(max_age=0.0, age=age))
        if self.has_fresh_paths and self._is_fresh_path(request.method, request.path):
            self._demand_fresh(passage)

    def _is_asked(self, request: Request, record: Record) -> bool:
        if self._asks_everywhere or not self._sensitive_roles.isdisjoint(record.roles):
            path = request.path
            return is_odd(path) or not self._is_open(request.method, path)
        return self._is_sensitive(request.method, request.path)

    def _demand_fresh(self, passage: Passage) -> None:
        """Ask of who is signed in; whoever may be, and cannot be known, is told so."""
        if passage.superseded is not None:
            raise passage.raise_later(SessionSuperseded())
        outage = passage.outage
        is_lax = self._guard.settings.outage.policy == "anonymous"
        if outage is not None and (passage.stale or not is_lax):
            raise passage.raise_later(outage)
        if passage.record is not None:
            check_fresh(self._guard, passage)

    def _is_own(self, request: Request) -> bool:
        """True for the pages that a person in doubt needs, or that ask for a proof themselves."""
        pages, route = self._pages, request.route
        if pages is None or not route.startswith(pages) or is_odd(request.path):
            return False
        return route[len(pages) :].startswith(_OPEN_PAGES)

    def _is_page(self, path: str) -> bool:
        """True for the page where the proof is given, and for what is below it."""
        page = self._page
        if page is None or path == page or path == f"{page}/":
            return page is not None
        return page != "" and path.startswith(f"{page}/") and not is_odd(path)


def check_fresh(guard: Guard, passage: Passage, max_age: float | None = None) -> None:
    """Return where the sign-in is recent enough; else raise FreshLoginRequired.

    `max_age` is in seconds; None is `session.fresh_for` of this user's roles. What has to step up
    is never fresh, nor is the secret before a routine rotation: somebody else may hold that.
    """
    record = passage.record
    if record is None:
        raise passage.raise_later(FreshLoginRequired(max_age=max_age or 0.0, age=None))
    limits = guard.limits(record.roles, remembered=record.remembered)
    allowed, age = limits.fresh_for if max_age is None else max_age, _age(passage, record)
    if age > allowed or passage.verdict.action >= STEP_UP or passage.graced:
        raise passage.raise_later(FreshLoginRequired(max_age=allowed, age=age))


def _age(passage: Passage, record: Record) -> float:
    """How long ago the user last proved who they are, in seconds."""
    return (passage.now - record.security.authenticated) / 1000


def _page_of(url: str | None) -> str | None:
    """The path of the step-up page as requests name it, without a slash at its end."""
    return None if url is None else unquote(url.partition("?")[0]).rstrip("/")

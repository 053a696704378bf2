"""The pages of admins, to be mounted, or served below `web.admin_path`.

    app.mount("/admin/security", AdminPages().asgi)
    AdminPages(allow=lambda visit: visit.session.roles == ("security",))

Rules
  1. Nobody sees anything before `allow` says so; without it `web.admin_roles` decides. Who is not
     signed in is asked to, and who may not is told that, and nothing else.
  2. What acts needs the token of its form and, with `web.require_fresh`, a fresh sign-in. Each act
     leaves an event that names the admin.
  3. Nothing here is reached by an id alone: a session is named with its user, as everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from gatehound.errors import StoreError, UsageError
from gatehound.visit import Visit
from gatehound.web.admin import activity, data, health, matching, sessions
from gatehound.web.asking import SAFE, Ask
from gatehound.web.demand import is_signed_in
from gatehound.web.reply import Reply
from gatehound.web.serving import Routes, Served

Allowed: TypeAlias = Callable[[Any], bool | Awaitable[bool]]


class AdminPages(Served):
    """The pages of admins, behind the middleware: `asgi` and `wsgi` are apps to mount.

    `allow` is given the visit of somebody who is signed in (plain under WSGI), and says whether
    they are an admin; it may be a coroutine function under ASGI. None: who has one of the roles
    `web.admin_roles`. UsageError where `allow` cannot be called, or no middleware is around the
    pages; SettingsError where jinja2 is not installed.
    """

    form = "gatehound.admin"

    def __init__(self, allow: Allowed | None = None) -> None:
        if allow is not None and not callable(allow):
            raise UsageError(f"allow {allow!r} given; allowed is a function of a visit, or None")
        super().__init__()
        self._allow = allow

    def routes(self) -> Routes:
        """Return what is done for each name and method."""
        return _ROUTES

    async def answer(self, ask: Ask) -> Reply:
        """Answer one request; what it raises is for the middleware."""
        try:
            return await super().answer(ask)
        except StoreError as error:
            return self._outage(ask, error)

    def before(self, ask: Ask) -> str:
        """Return the page from which an admin sent a form, with a word that nothing was done."""
        return sessions.before(ask) if ask.request.method not in SAFE else ""

    async def barred(self, ask: Ask) -> Reply | None:
        """Refuse who is not signed in, or no admin."""
        if not is_signed_in(ask.visit):
            return self.signed_out(ask)
        if await self._may(ask.visit, ask.is_sync):
            return None
        return self.told(ask, 403, "not_yours")

    def _outage(self, ask: Ask, error: StoreError) -> Reply:
        """Say that the store is down, and not that nothing was done: a slice may have been."""
        ask.visit._guard.note_outage(error)
        ask.visit._passage.raised = None  # it is answered here
        wait = max(1, round(ask.visit._guard.settings.outage.retry_after))
        return self.told(ask, 503, "outage", ("Retry-After", str(wait)))

    async def _may(self, visit: Visit, is_sync: bool) -> bool:
        if self._allow is None:
            roles = visit.session.roles if visit.session else ()
            return not set(visit._guard.settings.web.admin_roles).isdisjoint(roles)
        answer = self._allow(visit.sync if is_sync else visit)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    def page(self, ask: Ask, name: str, status: int = 200, **values: Any) -> Reply:
        """Make a page out of a template, with the frame of these pages."""
        return super().page(ask, name, status, frame="admin/frame.html", **values)


_ROUTES: Final[Routes] = {
    "": {"GET": health.overview},
    "sessions": {"GET": sessions.listed},
    "user": {"GET": sessions.of_user},
    "end": {"POST": sessions.end},
    "end-user": {"POST": sessions.end_user},
    "clear": {"POST": sessions.clear},
    "disable": {"POST": sessions.disable},
    "enable": {"POST": sessions.enable},
    "export": {"POST": data.export},
    "forget": {"POST": data.forget},
    "matching": {"GET": matching.count, "POST": matching.end},
    "everyone": {"POST": matching.end_everyone},
    "events": {"GET": activity.listed},
    "events.jsonl": {"GET": activity.as_lines},
    "events.csv": {"GET": activity.as_table},
    "health": {"GET": health.shown},
    "address": {"GET": health.address},
}

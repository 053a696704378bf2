"""The pages that a user sees: my sessions, why I was signed out, security notice, my address.

    app.mount("/sessions", Pages().asgi)        # or set web.path, and mount nothing
    DispatcherMiddleware(app, {"/sessions": Pages().wsgi})

How they are served is in gatehound.web.serving. A user reaches their own sessions alone, and not
the current one by its id.
"""

from __future__ import annotations

from typing import Final

from gatehound.model import Ended, EndReason
from gatehound.web import api, noticing
from gatehound.web.asking import Ask
from gatehound.web.demand import (
    FORM,
    demand_fresh,
    done_in,
    in_order,
    is_signed_in,
    may_trace,
    with_done,
)
from gatehound.web.reply import Reply
from gatehound.web.serving import Routes, Served, to


class Pages(Served):
    """The pages of a site, behind the middleware: `asgi` and `wsgi` are apps to mount.

    Settings are those of the guard around it (`web`). UsageError where no middleware is around it,
    SettingsError where jinja2 is not installed.
    """

    form = FORM

    def routes(self) -> Routes:
        """Return what is done for each name and method."""
        return _ROUTES

    def is_deep(self, name: str) -> bool:
        """True for notices: each has an address of its own."""
        return name == "notice"

    async def beside(self, ask: Ask, name: str, rest: str) -> Reply | None:
        """Answer the API."""
        return await api.answer(ask, rest) if name == "api" else None

    # --- pages ---

    async def sessions(self, ask: Ask) -> Reply:
        """List the user's sessions; to nobody signed in, say why and where to sign in."""
        visit = ask.visit
        if not is_signed_in(visit):
            return self.signed_out(ask)
        await demand_fresh(visit)
        sessions = in_order(await visit.sessions())
        return self.page(
            ask,
            "sessions.html",
            sessions=sessions,
            token=visit.csrf_token(FORM),
            done=done_in(ask.query),
        )

    async def ended(self, ask: Ask) -> Reply:
        """Say why somebody was signed out."""
        is_here, ended = is_signed_in(ask.visit), ask.visit.ended
        if not is_here and ended is None and "signed-out" in ask.parameters:
            ended = Ended(EndReason.LOGOUT, 0.0)
        return self.page(ask, "ended.html", ended=ended)

    async def address(self, ask: Ask) -> Reply:
        """Show the address that was found, and to `web.trace_roles` how."""
        visit = ask.visit
        return self.page(
            ask,
            "address.html",
            client_ip=visit.client_ip,
            network=visit._guard.network_of(visit.client_ip.address),
            trace=visit.client_ip.explain() if may_trace(visit) else (),
        )

    # --- forms ---

    async def end(self, ask: Ask) -> Reply:
        """End one other session."""
        if (refusal := await self._refused(ask)) is not None:
            return refusal
        ended = await ask.visit.terminate(ask.form.get("session", ""))
        return self._back(ask, "ended" if ended else "gone")

    async def end_others(self, ask: Ask) -> Reply:
        """End all sessions but this one."""
        if (refusal := await self._refused(ask)) is not None:
            return refusal
        count = await ask.visit.terminate_others()
        return self._back(ask, "others" if count else "nothing")

    async def sign_out(self, ask: Ask) -> Reply:
        """End this session; where it is over already, say why."""
        if is_signed_in(ask.visit):
            if (refusal := self.forged(ask)) is not None:
                return refusal
        elif ask.visit.ended is not None:
            return to(f"{ask.root}ended")
        await ask.visit.logout()
        return to(f"{ask.root}ended?signed-out")

    async def confirm(self, ask: Ask) -> Reply:
        """The user says "this was me"; from a place that is not known that needs a proof."""
        if not is_signed_in(ask.visit):
            return self.signed_out(ask)
        if (refusal := self.forged(ask)) is not None:
            return refusal
        done = await ask.visit.confirm()
        return self._back(ask, "confirmed" if done else "nothing")

    # --- answers ---

    async def _refused(self, ask: Ask) -> Reply | None:
        """Refuse a form that ends sessions: of nobody, without its token, or not fresh."""
        if not is_signed_in(ask.visit):
            return self.signed_out(ask)
        if (refusal := self.forged(ask)) is not None:
            return refusal
        await demand_fresh(ask.visit)
        return None

    def _back(self, ask: Ask, done: str) -> Reply:
        """Go to the page that had the form: one of the app's, or ours with a word of it.

        The app's too by a relative path: a proxy may strip a prefix and not say so.
        """
        if "next" in ask.form:
            up = "../" * (ask.request.path.count("/") - 1) or "./"
            return to(up + with_done(ask.visit.next_target(ask.form["next"]), done)[1:])
        return to(with_done(ask.root, done))


_ROUTES: Final[Routes] = {
    "": {"GET": Pages.sessions},
    "ended": {"GET": Pages.ended},
    "address": {"GET": Pages.address},
    "notice": {"GET": noticing.show, "POST": noticing.act},
    "end": {"POST": Pages.end},
    "end-others": {"POST": Pages.end_others},
    "sign-out": {"POST": Pages.sign_out},
    "confirm": {"POST": Pages.confirm},
}

"""The list of sessions for an app's own pages.

Belongs here: one piece of HTML, and where its forms go. Does not: what the forms do (pages.py).

Rules
  1. A fragment shows what the page of sessions would show: nothing where nobody is signed in, and
     no session without a fresh sign-in where `web.require_fresh` asks for one.
  2. Its forms go to the pages, and the pages lead back: the way is signed for this session.
  3. Nothing of it is global to a page: several stand side by side, each with ids of its own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, get_args, overload
from urllib.parse import quote

from gatehound.errors import FreshLoginRequired, UsageError
from gatehound.visit import SyncVisit, Visit
from gatehound.wayback import is_local
from gatehound.web.demand import FORM, demand_fresh, done_in, in_order
from gatehound.web.render import environment, rendered
from gatehound.web.reply import step_up_link, way_back

if TYPE_CHECKING:
    from markupsafe import Markup

Style: TypeAlias = Literal["default", "minimal", "compact"]
STYLES: Final[tuple[Style, ...]] = get_args(Style)
_LEVELS: Final = range(1, 7)
_NAME: Final = "render_sessions()"
_FIRST: Final = "gh-1"  # of several on a page one says what a form has done


@overload
def render_sessions(
    visit: SyncVisit, style: Style = "default", *, at: str | None = None, level: int = 2
) -> Markup: ...
@overload
def render_sessions(
    visit: Visit, style: Style = "default", *, at: str | None = None, level: int = 2
) -> Awaitable[Markup]: ...
def render_sessions(
    visit: SyncVisit | Visit, style: Style = "default", *, at: str | None = None, level: int = 2
) -> Markup | Awaitable[Markup]:
    """Return the user's sessions as HTML, with the forms that end them; await it for a Visit.

    Empty where nobody is signed in, and on `ignore_paths`. `at` is where the pages are, as browsers
    see it; None is `web.path`. `level` is that of the heading. UsageError names what does not fit;
    an outage of the store and a superseded secret raise as `visit.sessions()` does.
    """
    if style not in STYLES:
        raise UsageError(f"{_NAME}: style {style!r} given; allowed are {', '.join(STYLES)}")
    if level not in _LEVELS:
        raise UsageError(f"{_NAME}: level {level!r} given; allowed are 1 to 6, as of h1 to h6")
    plain = visit._target if isinstance(visit, SyncVisit) else visit
    fragment = _Fragment(plain, style, _base(plain, at), level)
    if isinstance(visit, SyncVisit):
        made: Markup = visit._run(fragment.make())
        return made
    return fragment


class _Fragment:
    """What a Visit gets: to be awaited, and with a word for who forgot that."""

    def __init__(self, visit: Visit, style: Style, at: str, level: int) -> None:
        self._visit = visit
        self._style = style
        self._at = at
        self._level = level

    def __await__(self) -> Generator[Any, Any, Markup]:
        return self.make().__await__()

    def __html__(self) -> NoReturn:
        raise UsageError(
            f"{_NAME} was put into a template that does not await it: make the Jinja2 environment "
            "with enable_async=True, await it before, or give it visit.sync in a plain `def`"
        )

    __str__ = __html__

    async def make(self) -> Markup:
        """Return the HTML."""
        from markupsafe import Markup  # of jinja2, which is an extra

        visit = self._visit
        if not visit._passage.checked or visit.session is None:
            return Markup()
        if not await _is_fresh(visit):
            link = _step_up(visit) or visit._guard.settings.web.sign_in_url
            return Markup(self._filled("_sign_in.html", link=link))  # noqa: S704 - our own template, which escapes
        values = {
            "sessions": in_order(await visit.sessions()),
            "token": visit.csrf_token(FORM),
            "next": way_back(visit._passage, visit._guard.settings),
            "style": self._style,
            "uid": (uid := _uid(visit)),
            "done": done_in(visit._passage.request.query) if uid == _FIRST else "",
            "level": self._level,
            "at": self._at,
        }
        return Markup(self._filled("_sessions.html", **values))  # noqa: S704 - as above

    def _filled(self, name: str, **values: Any) -> str:
        passage, settings = self._visit._passage, self._visit._guard.settings.web
        now = passage.now / 1000 or time.time()
        accepted = passage.request.header("accept-language")
        return rendered(settings, accepted, name, now, values).text.strip()


def _base(visit: Visit, at: str | None) -> str:
    """Return where the forms go, with a slash at its end."""
    settings, root = visit._guard.settings.web, visit._passage.request.root
    environment(settings.templates)  # SettingsError where jinja2 is not there
    if at is not None:
        if not is_local(at):
            raise UsageError(
                f"{_NAME}: at {at!r} given; allowed is a path of this site, such as "
                "/account/sessions/"
            )
        return f"{at.rstrip('/')}/"
    if settings.path is None:
        raise UsageError(
            f"{_NAME}: where its forms go is not known; set web.path, or say where you mounted "
            "Pages: at='/account/sessions/'"
        )
    # A root that names another host came out of a header, and no form of ours may follow it.
    return f"{quote(root) if is_local(root) else ''}{settings.path}/"


async def _is_fresh(visit: Visit) -> bool:
    passage = visit._passage
    raised = passage.raised
    try:
        await demand_fresh(visit)
    except FreshLoginRequired:
        passage.raised = raised  # we answer it: a later 500 of the app is its own
        return False
    return True


def _step_up(visit: Visit) -> str:
    """The page to sign in again, with the way back to this one; "" where there is none."""
    settings = visit._guard.settings
    url = settings.web.step_up_url
    return "" if url is None else step_up_link(url, way_back(visit._passage, settings))


def _uid(visit: Visit) -> str:
    visit._passage.fragments += 1
    return f"gh-{visit._passage.fragments}"

"""The page of a security notice: what was signed in, and "this was not me"."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from gatehound import suspicion
from gatehound.errors import StoreError
from gatehound.model import Event, Session
from gatehound.web.asking import Ask
from gatehound.web.reply import Reply
from gatehound.web.serving import outage

if TYPE_CHECKING:
    from gatehound.web.pages import Pages


async def show(pages: Pages, ask: Ask) -> Reply:
    """Show the session that a link names; nothing is changed."""
    named = ask.visit._guard.notices.open(_token(ask))
    if named is None:
        return pages.told(ask, 404, "no_notice")
    session = await _find(ask, *named)
    mark = await _mark(ask, session) if session is not None and session.flagged else None
    place = ask.visit._guard.network_of(ip_address(mark.address)).place if mark else ""
    return pages.page(ask, "notice.html", session=session, mark=mark, place=place)


async def act(pages: Pages, ask: Ask) -> Reply:
    """End the session, or with `everywhere` all sessions of its user.

    The link is the proof: who has it need not be signed in, and no other site knows it.
    """
    guard, passage = ask.visit._guard, ask.visit._passage
    named = guard.notices.open(_token(ask))
    if named is None:
        return pages.told(ask, 404, "no_notice")
    everywhere = ask.form.get("what") == "everywhere"
    try:
        ended = await guard.report(passage, *named, everywhere=everywhere)
    except StoreError as error:
        raise outage(ask, error) from None
    return pages.page(ask, "noticed.html", ended=ended, everywhere=everywhere)


async def _find(ask: Ask, alias: bytes, sid: bytes) -> Session | None:
    guard = ask.visit._guard
    try:
        found = await guard.listed(await guard.store.sessions(alias))
    except StoreError as error:
        raise outage(ask, error) from None
    return next((one for one in found if one.public_id == sid.hex()), None)


async def _mark(ask: Ask, session: Session) -> Event | None:
    """Return what tells from where a flagged session was used last; None where no log says so."""
    guard, public_id = ask.visit._guard, session.public_id
    try:
        marks = await suspicion.marks_of(guard, user_id=session.user_id, public_id=public_id)
    except StoreError as error:
        raise outage(ask, error) from None
    return next(iter(marks.values()), None)


def _token(ask: Ask) -> str:
    return ask.path.rpartition("/")[2]

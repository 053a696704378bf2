"""Everybody's sessions, those of one user, and what an admin does to them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from gatehound import suspicion
from gatehound.model import Detail, Event, Session
from gatehound.web.admin import scan
from gatehound.web.admin.acting import (
    back,
    note,
    on_user,
    page_of,
    told_of_failure,
    user_of,
    who,
)
from gatehound.web.admin.filters import SPANS, SessionFilter
from gatehound.web.admin.naming import people_in
from gatehound.web.asking import Ask, fields_in
from gatehound.web.demand import done_in, with_done
from gatehound.web.reply import Reply
from gatehound.web.serving import Served, to

EVENTS: Final = 20  # of one user, below their sessions


async def listed(pages: Served, ask: Ask) -> Reply:
    """List everybody's sessions, newest first, or those that match."""
    guard, given = ask.visit._guard, ask.parameters
    wanted = SessionFilter.read(given)
    text = given.get("q", "").strip()
    if text:
        return await _people(pages, ask, text)
    found: list[Session] = []
    progress = scan.so_far(given)
    if not wanted.problems:
        now = await guard.store.ping() / 1000
        found, progress = await scan.find(guard, wanted.conditions(now), progress)
    flagged: list[tuple[Session, Event]] = []
    if wanted.network and not wanted.problems and "cursor" not in given:
        flagged = await suspicion.flagged_from(guard, wanted.network)
    more = urlencode(
        {**wanted.given, "cursor": progress.cursor, "looked": progress.looked_at}
        | {"count": progress.count}
    )
    return pages.page(
        ask,
        "admin/sessions.html",
        400 if wanted.problems else 200,
        sessions=found,
        wanted=wanted,
        spans=SPANS,
        flagged=[session for session, _ in flagged],
        marks={(one.user_id, one.public_id): mark for one, mark in flagged},
        progress=progress,
        more=f"sessions?{more}" if progress.cursor else "",
        done=done_in(ask.query),
        finds_names=guard.users.find is not None,
        token=ask.visit.csrf_token(pages.form),
        own=ask.visit._passage.record,
    )


async def _people(pages: Served, ask: Ask, text: str) -> Reply:
    """Show whom a text may mean, or go straight to the only one."""
    found = await ask.visit._guard.find_users(text)
    if len(found) == 1:
        return to(f"user?{urlencode({'id': next(iter(found))})}")
    return pages.page(ask, "admin/people.html", people=found, text=text)


async def of_user(pages: Served, ask: Ask) -> Reply:
    """Show one user: their sessions, whether they are disabled, and what happened of late."""
    guard = ask.visit._guard
    if (user := user_of(ask.parameters.get("id", ""))) is None:
        return pages.told(ask, 404, "no_user")
    sessions = await guard.sessions_of(user)
    is_flagged = any(session.flagged for session in sessions)
    marks = await suspicion.marks_of(guard, user_id=user) if is_flagged else {}
    latest = await guard.events(user_id=user, limit=EVENTS)
    people = people_in(guard, latest.events, user)
    return pages.page(
        ask,
        "admin/user.html",
        user=user,
        user_name=people.get(user, ""),
        people=people,
        sessions=sessions,
        marks=marks,
        disabled=await guard.is_disabled(user),
        events=latest.events,
        has_more=bool(latest.cursor),
        done=done_in(ask.query),
        token=ask.visit.csrf_token(pages.form),
        own=ask.visit._passage.record,
    )


@on_user
async def end(pages: Served, ask: Ask, user: str) -> Reply:
    """End one session of a user."""
    public_id = ask.form.get("session", "")
    detail: Detail = {"of_user": user, "of_session": public_id}
    async with told_of_failure(ask, "ended a session", detail):
        ended = await ask.visit._guard.terminate(user, public_id, by=who(ask))
    if ended:
        await note(ask, "ended a session", detail)
    return back(ask, page_of(user), "ended" if ended else "gone")


@on_user
async def end_user(pages: Served, ask: Ask, user: str) -> Reply:
    """End all sessions of a user."""
    async with told_of_failure(ask, "ended all sessions of a user", {"of_user": user}):
        count = await ask.visit._guard.terminate_user(user, by=who(ask))
    await note(ask, "ended all sessions of a user", {"of_user": user, "count": count})
    return back(ask, page_of(user), "all-ended" if count else "nothing")


@on_user
async def clear(pages: Served, ask: Ask, user: str) -> Reply:
    """Say that a flagged session is fine."""
    public_id = ask.form.get("session", "")
    detail: Detail = {"of_user": user, "of_session": public_id}
    async with told_of_failure(ask, "cleared a flag", detail):
        cleared = await ask.visit._guard.clear_flag(user, public_id, by=who(ask))
    if cleared:
        await note(ask, "cleared a flag", detail)
    return back(ask, page_of(user), "cleared" if cleared else "gone")


@on_user
async def disable(pages: Served, ask: Ask, user: str) -> Reply:
    """End all sessions of a user, and refuse new ones."""
    own = ask.visit._passage.record
    if own is not None and own.user_id == user:
        return pages.told(ask, 403, "yourself")  # nobody could undo it
    async with told_of_failure(ask, "disabled a user", {"of_user": user}):
        count = await ask.visit._guard.disable_user(user, by=who(ask))
    await note(ask, "disabled a user", {"of_user": user, "count": count})
    return back(ask, page_of(user), "disabled")


@on_user
async def enable(pages: Served, ask: Ask, user: str) -> Reply:
    """Let a disabled user sign in again."""
    async with told_of_failure(ask, "enabled a user", {"of_user": user}):
        enabled = await ask.visit._guard.enable_user(user, by=who(ask))
    if enabled:
        await note(ask, "enabled a user", {"of_user": user})
    return back(ask, page_of(user), "enabled" if enabled else "nothing")


def before(ask: Ask) -> str:
    """Return the page from which a form was sent, with a word that nothing was done yet.

    Made of known fields alone, whatever was sent.
    """
    name, user = ask.path.removeprefix("/"), user_of(ask.form.get("user", ""))
    if name in ("matching", "everyone"):
        page = f"matching?{SessionFilter.read(ask.form).query if name == 'matching' else ''}"
    elif "list" in ask.form or user is None:
        given = fields_in(ask.form.get("list", "").encode("utf-8", "replace"))
        page = f"sessions?{SessionFilter.read(given).query}"
    else:
        page = page_of(user)
    return with_done(page, "again")

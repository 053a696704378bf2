"""What every act of an admin needs, and leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import TypeAlias
from urllib.parse import urlencode

from msgspec.structs import replace

from gatehound.errors import StoreError, UsageError
from gatehound.listing import user_text
from gatehound.model import NOTHING, Detail
from gatehound.web.asking import Ask
from gatehound.web.demand import demand_fresh, with_done
from gatehound.web.reply import Reply
from gatehound.web.serving import Act, Served, to

OnUser: TypeAlias = Callable[[Served, Ask, str], Awaitable[Reply]]


async def refused(pages: Served, ask: Ask) -> Reply | None:
    """Refuse a form without its token, or without a fresh sign-in; None where it may act."""
    if (refusal := pages.forged(ask)) is not None:
        return refusal
    await demand_fresh(ask.visit)
    return None


def on_user(act: OnUser) -> Act:
    """Make an act of what is done to the user whom a form names, once it may be done at all."""

    @wraps(act)
    async def acted(pages: Served, ask: Ask) -> Reply:
        if (refusal := await refused(pages, ask)) is not None:
            return refusal
        if (user := user_of(ask.form.get("user", ""))) is None:
            return pages.told(ask, 404, "no_user")
        return await act(pages, ask, user)

    return acted


async def note(ask: Ask, what: str, detail: Detail = NOTHING) -> None:
    """Leave an event that says which admin did what, from where and to whom."""
    guard, passage = ask.visit._guard, ask.visit._passage
    event = guard.event("admin_acted", passage, passage.record, reason=what, detail=detail)
    await guard.tell(replace(event, at=0.0))  # it happens now, and after what it tells of


@asynccontextmanager
async def told_of_failure(ask: Ask, what: str, detail: Detail) -> AsyncIterator[None]:
    """Leave the event also where the store fails: what was asked may have happened all the same.

    The sinks get it in any case, its log where it answers again.
    """
    try:
        yield
    except StoreError:
        await note(ask, f"{what}; the store failed, and it may be incomplete", detail)
        raise


def user_of(text: str) -> str | None:
    """Return a user id; None for what cannot be one."""
    try:
        return user_text(text)
    except UsageError:
        return None


def page_of(user: str) -> str:
    """Return the page of a user, as seen from the other pages."""
    return f"user?{urlencode({'id': user})}"


def who(ask: Ask) -> str:
    """Return the id of the admin, for the events of what they do to others."""
    return ask.visit.user_id or ""


def readable(given: Mapping[str, str]) -> str:
    """Say a filter as people read it, for the log."""
    return ", ".join(f"{name}={value}" for name, value in given.items())


def back(ask: Ask, page: str, done: str) -> Reply:
    """Go to one of these pages, with a word of what was done."""
    return to(with_done(f"{ask.root}{page}", done))

"""Names of the people in events, asked of the app once a page."""

from __future__ import annotations

from collections.abc import Iterable

from gatehound.guard import Guard
from gatehound.model import Event


def people_in(guard: Guard, events: Iterable[Event], *more: str) -> dict[str, str]:
    """Return id -> name of the users and admins in events, and of `more`; without those unknown."""
    if guard.users.describe is None:
        return {}
    ids = set(more)
    for event in events:
        ids |= {one for one in (event.user_id, event.detail.get("by")) if isinstance(one, str)}
    return {one: name for one, (name, _) in guard.users.describe(ids).items() if name}

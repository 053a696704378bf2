"""What is stored of one user, where they ask for it: all of it as a file, or none any more."""

from __future__ import annotations

import json

from gatehound.web.admin.acting import back, note, on_user, page_of, told_of_failure
from gatehound.web.asking import Ask
from gatehound.web.demand import HEADERS, TITLES
from gatehound.web.reply import Reply
from gatehound.web.serving import Served


@on_user
async def export(pages: Served, ask: Ask, user: str) -> Reply:
    """Send all that is stored of a user, as JSON."""
    found = await ask.visit._guard.export_user(user)
    await note(ask, "exported a user", {"of_user": user})
    kind = ("Content-Type", "application/json")
    name = ("Content-Disposition", 'attachment; filename="user.json"')
    return Reply(200, TITLES[200], (kind, name, *HEADERS), json.dumps(found, indent=2).encode())


@on_user
async def forget(pages: Served, ask: Ask, user: str) -> Reply:
    """Erase all that is stored of a user; who they were is not noted either."""
    if ask.form.get("sure") != "yes":
        return back(ask, page_of(user), "not-sure")
    async with told_of_failure(ask, "erased a user", {}):
        count = await ask.visit._guard.forget_user(user)
    await note(ask, "erased a user", {"sessions": count})
    return back(ask, "sessions", "forgotten")

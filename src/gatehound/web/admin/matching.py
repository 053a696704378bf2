"""End all sessions that match: first how many that would be, then in slices that can be stopped.

What is posted carries the whole filter. Who signs in later than `asked` (when counting began) is
left alone; a session that was there and comes to match meanwhile ends too.
"""

from __future__ import annotations

from typing import Any

from gatehound.model import Detail
from gatehound.web.admin import scan
from gatehound.web.admin.acting import back, note, readable, refused, told_of_failure, who
from gatehound.web.admin.filters import SessionFilter, number
from gatehound.web.asking import Ask
from gatehound.web.demand import done_in
from gatehound.web.reply import Reply
from gatehound.web.serving import Served, to


async def count(pages: Served, ask: Ask) -> Reply:
    """Count what matches, and ask whether it is to end."""
    given, wanted = ask.parameters, SessionFilter.read(ask.parameters)
    if wanted.problems:
        return to(f"sessions?{wanted.query}")  # which names them
    if not wanted.given:
        return _shown(pages, ask, "admin/everyone.html", done=done_in(ask.query))
    guard = ask.visit._guard
    asked = number(given.get("asked", "")) or await guard.store.ping() // 1000
    progress = await scan.end(
        guard, _bounded(wanted, asked), scan.so_far(given), dry_run=True, keep=_own(ask)
    )
    shown = {"wanted": wanted, "progress": progress, "asked": asked, "done": done_in(ask.query)}
    return _shown(pages, ask, "admin/matching.html", **shown, ends=False)


async def end(pages: Served, ask: Ask) -> Reply:
    """End what matches, for a moment; the answer goes on."""
    if (refusal := await refused(pages, ask)) is not None:
        return refusal
    wanted, asked = SessionFilter.read(ask.form), number(ask.form.get("asked", ""))
    if wanted.problems or not wanted.given or not asked:
        return to(f"sessions?{wanted.query}")
    before = scan.so_far(ask.form)
    async with told_of_failure(
        ask, "ended sessions that match", {"filter": readable(wanted.given)}
    ):
        progress = await scan.end(
            ask.visit._guard,
            _bounded(wanted, asked),
            before,
            dry_run=False,
            keep=_own(ask),
            by=who(ask),
        )
    if progress.count > before.count:
        detail: Detail = {"count": progress.count - before.count, "filter": readable(wanted.given)}
        await note(ask, "ended sessions that match", detail)
    return _shown(
        pages, ask, "admin/matching.html", wanted=wanted, progress=progress, asked=asked, ends=True
    )


async def end_everyone(pages: Served, ask: Ask) -> Reply:
    """End all sessions of the site, that of the admin too."""
    if (refusal := await refused(pages, ask)) is not None:
        return refusal
    if ask.form.get("sure") != "yes":
        return back(ask, "matching", "not-sure")
    await note(ask, "ended all sessions of the site")
    await ask.visit._guard.terminate_everyone()
    return to(f"{ask.root}sessions")


def _shown(pages: Served, ask: Ask, name: str, **values: Any) -> Reply:
    return pages.page(ask, name, token=ask.visit.csrf_token(pages.form), **values)


def _bounded(wanted: SessionFilter, asked: int) -> dict[str, Any]:
    """Return the conditions as they were when counting began."""
    conditions = wanted.conditions(asked)
    before = conditions["created_before"]
    return {**conditions, "created_before": asked + 1 if before is None else before}


def _own(ask: Ask) -> str:
    record = ask.visit._passage.record
    return "" if record is None else record.public_id

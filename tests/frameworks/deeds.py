"""What the apps of these tests do with a visit, once awaited and once plain.

Each framework has the same routes over these; only the framework around them differs.
"""

from __future__ import annotations

from typing import Any

from gatehound import SyncVisit, UsageError, Visit

Answer = dict[str, Any]
GETS = ("me", "fresh", "public")
POSTS = ("login", "logout", "count", "forget", "login-raise", "login-500", "login-stale")
OUTCOMES = {"login-500": 500}  # any other deed that returns answers 200


class AppError(Exception):
    """An error of the app that has nothing to do with us."""


async def deed(name: str, visit: Visit) -> Answer:
    """Do one thing, under ASGI."""
    if name.startswith("login"):
        session = await visit.login("ann", roles=("editor",))
        if name == "login-stale":
            await visit.require_fresh(-1)
        _fail(name)
        return {"user": session.user_id, "id": session.public_id}
    if name == "logout":
        return {"done": await visit.logout()}
    if name == "fresh":
        await visit.require_fresh()
    if name == "count":
        return {"n": await visit.data.incr("n"), "all": await visit.data.all()}
    if name == "forget":
        return {"done": await visit.data.delete("n"), "n": await visit.data.get("n", "gone")}
    return _seen(name, visit)


def plain_deed(name: str, visit: SyncVisit) -> Answer:
    """Do one thing, with the plain face."""
    if name.startswith("login"):
        session = visit.login("ann", roles=("editor",))
        if name == "login-stale":
            visit.require_fresh(-1)
        _fail(name)
        return {"user": session.user_id, "id": session.public_id}
    if name == "logout":
        return {"done": visit.logout()}
    if name == "fresh":
        visit.require_fresh()
    if name == "count":
        return {"n": visit.data.incr("n"), "all": visit.data.all()}
    if name == "forget":
        return {"done": visit.data.delete("n"), "n": visit.data.get("n", "gone")}
    return _seen(name, visit)


def refused_sync(visit: Visit) -> Answer:
    """Use the plain face where it cannot work: on the loop's own thread."""
    try:
        visit.sync.login("ann")
    except UsageError as error:
        return {"error": str(error)}
    return {"error": ""}


def _fail(name: str) -> None:
    if name == "login-raise":
        raise AppError


def _seen(name: str, visit: Visit | SyncVisit) -> Answer:
    if name == "public":
        return {"ip": str(visit.client_ip.address)}
    session = visit.session
    return {
        "user": visit.user_id,
        "id": session.public_id if session else None,
        "ended": visit.ended.reason.value if visit.ended else None,
    }

"""A small site, once as an ASGI and once as a WSGI app, over settings from the environment.

Pages are made by the same functions for both; `act` does what a form asks for.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import gatehound
from gatehound import Guard, Session, Visit
from gatehound.asgi import GatehoundMiddleware as ASGIMiddleware
from gatehound.wsgi import GatehoundMiddleware as WSGIMiddleware

guard = Guard()
if os.environ.get("SHOP_TOUCHES_STORE") == "1":
    # What apps do by accident: a look into the store before the server forks its workers.
    guard.sync.sessions_of("ann")

SIGN_IN = (
    "<form method=post action=/login><input name=user><button id=enter>Sign in</button></form>"
)
SIGN_OUT = "<form method=post action=/logout><button id=leave>Sign out</button></form>"


def page(visit: Any, sessions: list[Session]) -> str:
    """Show who is signed in and where; or why not, and the form for it."""
    where = f"<p id=ip>{visit.client_ip.address}</p>"
    if visit.session is None:
        ended = f"<p id=ended>{html.escape(visit.ended.text)}</p>" if visit.ended else ""
        return f"<!doctype html><title>Shop</title>{ended}{where}{SIGN_IN}"
    token = visit.csrf_token("end")
    rows = "".join(
        f"<tr id=s{s.public_id} data-current={int(s.current)}><td class=ip>{s.address}"
        f"<td class=device>{html.escape(s.device)}"
        f"<td><form method=post action=/end><input type=hidden name=id value={s.public_id}>"
        f"<input type=hidden name=token value={token}><button>End</button></form>"
        for s in sessions
    )
    user = f"<p id=user>{html.escape(visit.user_id)}</p>"
    return f"<!doctype html><title>Shop</title>{user}{where}<table>{rows}</table>{SIGN_OUT}"


def how(form: Mapping[str, str]) -> dict[str, Any]:
    """How and as what somebody signs in; this shop believes whoever asks."""
    return {
        "methods": tuple(form.get("methods", "password").split()),
        "roles": tuple(form.get("roles", "").split()),
    }


def facts(visit: Any) -> str:
    """Say the same to programs."""
    ended = visit.ended.reason.value if visit.ended else None
    return json.dumps({"user": visit.user_id, "ip": str(visit.client_ip.address), "ended": ended})


# --- ASGI ---


async def _post(request: Request) -> Response:
    visit: Visit = gatehound.current(request)
    form = dict(parse_qsl((await request.body()).decode()))
    if request.url.path == "/login":
        await visit.login(form["user"], **how(form))
    elif request.url.path == "/logout":
        await visit.logout()
    elif not visit.check_csrf(form["token"], "end") or not await visit.terminate(form["id"]):
        return Response("refused", 403)
    return Response(status_code=303, headers={"Location": "/"})


async def _page(request: Request) -> Response:
    visit: Visit = gatehound.current(request)
    return Response(page(visit, await visit.sessions()), media_type="text/html")


async def _facts(request: Request) -> Response:
    return Response(facts(gatehound.current(request)), media_type="application/json")


routes = [
    Route("/", _page),
    Route("/me", _facts),
    *(Route(path, _post, methods=["POST"]) for path in ("/login", "/logout", "/end")),
]
asgi = ASGIMiddleware(Starlette(routes=routes), guard)


# --- WSGI ---


def _shop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    visit, path = gatehound.current(environ), environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        form = dict(parse_qsl(environ["wsgi.input"].read(length).decode()))
        if _done(visit, path, form):
            return _answer(start_response, "303 See Other", "", {"Location": "/"})
        return _answer(start_response, "403 Forbidden", "refused")
    if path == "/me":
        return _answer(start_response, "200 OK", facts(visit))
    if path == "/":
        return _answer(start_response, "200 OK", page(visit, visit.sessions()))
    return _answer(start_response, "404 Not Found", "")


def _done(visit: Any, path: str, form: Mapping[str, str]) -> bool:
    if path == "/login":
        visit.login(form["user"], **how(form))
    elif path == "/logout":
        visit.logout()
    else:
        return bool(visit.check_csrf(form["token"], "end") and visit.terminate(form["id"]))
    return True


def _answer(
    start_response: Any, status: str, text: str, more: Mapping[str, str] | None = None
) -> list[bytes]:
    body = text.encode()
    kind = "application/json" if text.startswith("{") else "text/html; charset=utf-8"
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
    start_response(status, list(headers.items()))
    return [body]


wsgi = WSGIMiddleware(_shop, guard)

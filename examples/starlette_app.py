"""Starlette: sign in, see your sessions, end one, sign out. Run: uvicorn starlette_app:app"""

import os

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gatehound import Guard, Settings, Visit, current
from gatehound.asgi import GatehoundMiddleware

environment = dict(os.environ)
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"


async def sign_in(request: Request) -> JSONResponse:
    visit, form = current(request), await request.json()
    attempt = await visit.begin_login(form["name"])
    if (form["name"], form["password"]) != ("ada", "analytical"):  # your own password check
        await visit.login_failed(form["name"], "wrong password")
        raise HTTPException(401, "wrong name or password")
    session = await visit.login(form["name"], attempt)
    return JSONResponse({"id": session.public_id, "csrf": visit.csrf_token()})


async def mine(request: Request) -> JSONResponse:
    sessions = await current(request).sessions()
    rows = [{"id": s.public_id, "device": s.device, "current": s.current} for s in sessions]
    return JSONResponse(rows)


def check_csrf(request: Request) -> Visit:
    visit: Visit = current(request)
    if not visit.check_csrf(request.headers.get("x-csrf", "")):
        raise HTTPException(403, "send the token of /sign-in as X-CSRF")
    return visit


async def end(request: Request) -> JSONResponse:
    visit = check_csrf(request)
    await visit.require_fresh()
    return JSONResponse({"ended": await visit.terminate(request.path_params["id"])})


async def sign_out(request: Request) -> JSONResponse:
    return JSONResponse({"ended": await check_csrf(request).logout()})


posts = {"/sign-in": sign_in, "/end/{id}": end, "/sign-out": sign_out}
routes = [Route("/sessions", mine), *(Route(p, f, methods=["POST"]) for p, f in posts.items())]
app = GatehoundMiddleware(Starlette(routes=routes), Guard(Settings.from_env(environment)))

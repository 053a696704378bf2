"""FastAPI: sign in, see your sessions, end one, sign out. Run: uvicorn fastapi_app:app"""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request

from gatehound import Guard, Settings, Visit, current
from gatehound.asgi import GatehoundMiddleware

environment = dict(os.environ)
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"


def check_csrf(request: Request, x_csrf: Annotated[str, Header()] = "") -> Visit:
    if not current(request).check_csrf(x_csrf):
        raise HTTPException(403, "send the token of /sign-in as X-CSRF")
    return current(request)


Checked = Annotated[Visit, Depends(check_csrf)]
api = FastAPI()


@api.post("/sign-in")
async def sign_in(request: Request, form: dict[str, str]) -> dict[str, str]:
    visit = current(request)
    attempt = await visit.begin_login(form["name"])
    if (form["name"], form["password"]) != ("ada", "analytical"):  # your own password check
        await visit.login_failed(form["name"], "wrong password")
        raise HTTPException(401, "wrong name or password")
    session = await visit.login(form["name"], attempt)
    return {"id": session.public_id, "csrf": visit.csrf_token()}


@api.get("/sessions")
async def mine(request: Request) -> list[dict[str, Any]]:
    sessions = await current(request).sessions()
    return [{"id": s.public_id, "device": s.device, "current": s.current} for s in sessions]


@api.post("/end/{public_id}")
async def end(public_id: str, visit: Checked) -> dict[str, bool]:
    await visit.require_fresh()
    return {"ended": await visit.terminate(public_id)}


@api.post("/sign-out")
async def sign_out(visit: Checked) -> dict[str, bool]:
    return {"ended": await visit.logout()}


app = GatehoundMiddleware(api, Guard(Settings.from_env(environment)))

"""Plain ASGI: sign in, see your sessions, end one, sign out. Run: uvicorn plain_asgi:app"""

import os
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from gatehound import Guard, Settings, Visit
from gatehound.asgi import GatehoundMiddleware

environment = dict(os.environ)
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"
FORM = """<form method=post action={}><input type=hidden name=csrf value={}>
<button>{}</button></form>"""
SIGN_IN = """<form method=post action=/sign-in><input name=name>
<input name=password type=password><button>Sign in</button></form>"""


async def page(visit: Visit) -> str:
    if visit.user_id is None:
        return SIGN_IN
    csrf, rows = visit.csrf_token(), []
    for one in await visit.sessions():
        end = " (this one)" if one.current else FORM.format(f"/end/{one.public_id}", csrf, "End")
        rows.append(f"<p>{escape(one.device)}{end}")
    return "".join([*rows, FORM.format("/sign-out", csrf, "Sign out")])


async def change(visit: Visit, path: str, form: dict[str, str]) -> int:
    if path == "/sign-in":
        attempt = await visit.begin_login(form["name"])
        if (form["name"], form["password"]) != ("ada", "analytical"):  # your own password check
            await visit.login_failed(form["name"], "wrong password")
            return 401
        await visit.login(form["name"], attempt)
    elif not visit.check_csrf(form.get("csrf", "")):
        return 403
    elif path.startswith("/end/"):
        await visit.require_fresh()
        await visit.terminate(path.removeprefix("/end/"))
    else:
        await visit.logout()
    return 303


async def bare(scope: Any, receive: Any, send: Any) -> None:
    visit, status = scope["gatehound"], 200  # a KeyError refuses the lifespan scope
    if scope["method"] == "POST":
        body = (await receive())["body"]  # a form this short comes in one message
        status = await change(visit, scope["path"], dict(parse_qsl(body.decode())))
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"location", b"/")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": (await page(visit)).encode()})


app = GatehoundMiddleware(bare, Guard(Settings.from_env(environment)))

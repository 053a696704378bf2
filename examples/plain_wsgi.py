"""Plain WSGI: sign in, see your sessions, end one, sign out. Run: python plain_wsgi.py"""

import os
from html import escape
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.simple_server import make_server

from gatehound import Guard, Settings, SyncVisit
from gatehound.wsgi import GatehoundMiddleware

environment = dict(os.environ)
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"
FORM = """<form method=post action={}><input type=hidden name=csrf value={}>
<button>{}</button></form>"""
SIGN_IN = """<form method=post action=/sign-in><input name=name>
<input name=password type=password><button>Sign in</button></form>"""


def page(visit: SyncVisit) -> str:
    if visit.user_id is None:
        return SIGN_IN
    csrf, rows = visit.csrf_token(), []
    for one in visit.sessions():
        end = " (this one)" if one.current else FORM.format(f"/end/{one.public_id}", csrf, "End")
        rows.append(f"<p>{escape(one.device)}{end}")
    return "".join([*rows, FORM.format("/sign-out", csrf, "Sign out")])


def change(visit: SyncVisit, path: str, form: dict[str, str]) -> str:
    if path == "/sign-in":
        attempt = visit.begin_login(form["name"])
        if (form["name"], form["password"]) != ("ada", "analytical"):  # your own password check
            visit.login_failed(form["name"], "wrong password")
            return "401 Unauthorized"
        visit.login(form["name"], attempt)
    elif not visit.check_csrf(form.get("csrf", "")):
        return "403 Forbidden"
    elif path.startswith("/end/"):
        visit.require_fresh()
        visit.terminate(path.removeprefix("/end/"))
    else:
        visit.logout()
    return "303 See Other"


def bare(environ: dict[str, Any], start: Any) -> list[bytes]:
    visit, status = environ["gatehound"], "200 OK"
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status = change(visit, environ["PATH_INFO"], dict(parse_qsl(body.decode())))
    start(status, [("Content-Type", "text/html; charset=utf-8"), ("Location", "/")])
    return [page(visit).encode()]


app = GatehoundMiddleware(bare, Guard(Settings.from_env(environment)))
if __name__ == "__main__":
    make_server("127.0.0.1", 8000, app).serve_forever()

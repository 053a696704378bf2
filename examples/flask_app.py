"""Flask: sign in, see your sessions, end one, sign out. Run: flask --app flask_app run"""

import os
from typing import Any

from flask import Flask, abort, redirect, render_template_string, request

from gatehound import Guard, Settings, SyncVisit, current
from gatehound.wsgi import GatehoundMiddleware

environment = dict(os.environ)
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"
PAGE = """{% if not sessions %}<form method=post action=/sign-in><input name=name>
<input name=password type=password><button>Sign in</button></form>{% else %}
{% for s in sessions %}<p>{{ s.device }}{% if s.current %} (this one){% else %}
<form method=post action=/end/{{ s.public_id }}><input type=hidden name=csrf value={{ csrf }}>
<button>End</button></form>{% endif %}{% endfor %}
<form method=post action=/sign-out><input type=hidden name=csrf value={{ csrf }}>
<button>Sign out</button></form>{% endif %}"""
app = Flask(__name__)
app.wsgi_app = GatehoundMiddleware(app.wsgi_app, Guard(Settings.from_env(environment)))


@app.get("/")
def home() -> str:
    visit = current(request)
    csrf = visit.csrf_token() if visit.user_id else ""
    return render_template_string(PAGE, sessions=visit.sessions(), csrf=csrf)


@app.post("/sign-in")
def sign_in() -> Any:
    visit, name = current(request), request.form["name"]
    attempt = visit.begin_login(name)
    if (name, request.form["password"]) != ("ada", "analytical"):  # your own password check
        visit.login_failed(name, "wrong password")
        abort(401)
    visit.login(name, attempt)
    return redirect("/", 303)


@app.post("/<any(end):what>/<public_id>")
@app.post("/<any('sign-out'):what>")
def change(what: str, public_id: str = "") -> Any:
    visit: SyncVisit = current(request)
    if not visit.check_csrf(request.form.get("csrf", "")):
        abort(403)
    if what == "end":
        visit.require_fresh()
        visit.terminate(public_id)
    else:
        visit.logout()
    return redirect("/", 303)

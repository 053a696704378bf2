"""A page "Account security": codes of an app, passkeys, and where you are signed in.

An example of how these parts fit together, and no login to copy: users live in memory, passwords in
the source, and nothing counts wrong attempts. Sessions remember how each of them was signed in.

Run: pip install "gatehound[web]" flask pyotp webauthn && flask --app account_security run
Then open http://localhost:5000 and sign in as ada, with the password "analytical".
"""

import os
import secrets
import time
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

import pyotp
import webauthn
from flask import Flask, Response, abort, redirect, render_template_string, request
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, structs
from webauthn.helpers.exceptions import WebAuthnException

from gatehound import Guard, Settings, SyncVisit, current
from gatehound.web import render_sessions
from gatehound.wsgi import GatehoundMiddleware

ORIGIN = os.environ.get("ORIGIN", "http://localhost:5000")  # where browsers find this site
HOST = urlsplit(ORIGIN).hostname or ""
environment = {
    "GATEHOUND_STORE": "memory://",  # sessions go with the process, as its users do
    "GATEHOUND_WEB__PATH": "/sessions",
    "GATEHOUND_WEB__SIGN_IN_URL": "/",
    "GATEHOUND_WEB__STEP_UP_URL": "/again",
    **os.environ,
}
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"


@dataclass
class User:
    password: str
    totp: str = ""  # the secret of the app, "" where there is none
    used: int = 0  # the time step of the last code: each is good once (RFC 6238, 5.2)
    handle: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    passkeys: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)  # key, sign count


USERS = {"ada": User("analytical")}
PAGE = """<!doctype html><meta charset="utf-8"><title>Account security</title>
<link rel="stylesheet" href="/sessions/static/gatehound.css">
<script src="/sessions/static/gatehound.js" defer></script>
{% if not name %}<h1>Sign in</h1>{% if visit.ended %}<p>{{ visit.ended.text }}</p>{% endif %}
{% if visit.user_id %}<p>It is a while since you did.</p>{% endif %}
<form method="post" action="/sign-in">{% for one, value in (("csrf", csrf), ("next", next)) %}
<input type="hidden" name="{{ one }}" value="{{ value }}">{% endfor %}
<label>Name <input name="name" value="{{ visit.user_id or '' }}" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<label>Code, if you have an app <input name="code" autocomplete="one-time-code"></label>
<button>Sign in</button></form><button data-passkey="use">Sign in with a passkey</button>
{% else %}<h1>Account security of {{ name }}</h1><h2>Codes of an app</h2>
{% if user.totp %}<p>On.</p>{% else %}<p>Give your app this secret: <code>{{ secret }}</code></p>
<form method="post" action="/totp"><input type="hidden" name="csrf" value="{{ csrf }}">
<label>The code that it shows <input name="code"></label><button>Turn on</button></form>{% endif %}
<h2>Passkeys</h2><p>You have {{ user.passkeys | length }}.</p>
<button data-passkey="add">Add a passkey</button>
{{ render_sessions(visit, style="compact") }}{% endif %}
<script src="/passkey.js" data-csrf="{{ csrf }}"></script>"""
SCRIPT = """const csrf = document.currentScript.dataset.csrf;
const ask = async (path, body) => {
  const headers = {"Content-Type": "application/json", "X-CSRF": csrf};
  const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
};
for (const button of document.querySelectorAll("[data-passkey]")) button.onclick = async () => {
  const what = button.dataset.passkey, options = await ask(`/passkey/${what}/options`, {});
  const publicKey = what === "add" ? PublicKeyCredential.parseCreationOptionsFromJSON(options)
    : PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const credentials = navigator.credentials;
  const made = await (what === "add" ? credentials.create({publicKey})
    : credentials.get({publicKey}));
  await ask(`/passkey/${what}`, made.toJSON());
  location.href = "/";
};"""
app = Flask(__name__)
guard = Guard(Settings.from_env(environment))
app.wsgi_app = GatehoundMiddleware(app.wsgi_app, guard)  # type: ignore[method-assign] # as Flask says
app.jinja_env.globals["render_sessions"] = render_sessions


def check_csrf(token: str) -> SyncVisit:
    visit: SyncVisit = current(request)
    if not visit.check_csrf(token):
        abort(403)
    return visit


def is_code(user: User, secret: str, code: str) -> bool:
    """Say whether a code is that of now or of the half minute before, and use it up."""
    step = int(time.time()) // 30
    for one in (step, step - 1):
        right = pyotp.TOTP(secret).generate_otp(one)
        if one > user.used and compare_digest(right.encode(), code.encode()):
            user.used = one
            return True
    return False


@app.get("/")
def home() -> str:
    visit: SyncVisit = current(request)
    name, secret = visit.user_id, ""
    user = USERS[name] if name else None
    if user and not user.totp:
        secret = visit.data.get("totp") or pyotp.random_base32()
        visit.data.set("totp", secret)
    shown = {"name": name, "user": user, "secret": secret, "csrf": visit.csrf_token()}
    return render_template_string(PAGE, visit=visit, **shown)


@app.get("/again")
def again() -> str:
    """Ask who is signed in already, where that was too long ago."""
    visit, back = current(request), request.args.get("next", "")
    return render_template_string(PAGE, visit=visit, csrf=visit.csrf_token(), next=back)


@app.get("/passkey.js")
def script() -> Response:
    return Response(SCRIPT, content_type="text/javascript")


@app.post("/sign-in")
def sign_in() -> Any:
    visit, form = check_csrf(request.form.get("csrf", "")), request.form  # or others sign people in
    name, user = form["name"], USERS.get(form["name"])
    attempt = visit.begin_login(name)
    if user is None or not compare_digest(user.password.encode(), form["password"].encode()):
        visit.login_failed(name, "wrong password")
        abort(401)
    if user.totp and not is_code(user, user.totp, form.get("code", "")):
        visit.login_failed(name, "wrong code")
        abort(401)
    methods = ("password", "totp") if user.totp else ("password",)
    welcome(visit, name, attempt, methods)
    return redirect(visit.next_target(form.get("next")), 303)


@app.post("/totp")
def turn_on() -> Any:
    visit = check_csrf(request.form.get("csrf", ""))
    visit.require_fresh()  # nobody adds a factor to a session that was left open
    user, secret = USERS[visit.user_id or ""], visit.data.get("totp", "")
    if user.totp or not secret or not is_code(user, secret, request.form["code"]):
        abort(403)
    user.totp = secret
    visit.data.delete("totp")
    return redirect("/", 303)


@app.post("/passkey/<any(add, use):what>/options")
def options(what: str) -> Response:
    visit = check_csrf(request.headers.get("X-CSRF", ""))
    challenge, need = secrets.token_bytes(32), structs.UserVerificationRequirement.REQUIRED
    made: Any
    if what == "add":
        visit.require_fresh()
        name = visit.user_id or ""
        user = USERS[name]
        visit.data.set("challenge", challenge.hex())
        made = webauthn.generate_registration_options(
            rp_id=HOST,
            rp_name="Account security",
            user_name=name,
            user_id=user.handle,
            challenge=challenge,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED, user_verification=need
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(p) for p in user.passkeys],
        )
    else:
        visit.anonymous.set("challenge", challenge.hex())
        made = webauthn.generate_authentication_options(
            rp_id=HOST, challenge=challenge, user_verification=need
        )
    return Response(webauthn.options_to_json(made), content_type="application/json")


@app.post("/passkey/<any(add, use):what>")
def passkey(what: str) -> dict[str, str]:
    visit, said = check_csrf(request.headers.get("X-CSRF", "")), request.get_json()
    data = visit.data if what == "add" else visit.anonymous
    challenge = bytes.fromhex(data.get("challenge", ""))
    if not challenge or not data.delete("challenge"):  # each is good once
        abort(403)
    expected: dict[str, Any] = {
        "expected_challenge": challenge,
        "expected_rp_id": HOST,
        "expected_origin": ORIGIN,
        "require_user_verification": True,
    }
    try:
        return add(visit, said, expected) if what == "add" else use(visit, said, expected)
    except (WebAuthnException, KeyError, StopIteration, TypeError, ValueError):
        return abort(403)


def add(visit: SyncVisit, said: Any, expected: dict[str, Any]) -> dict[str, str]:
    visit.require_fresh()
    found = webauthn.verify_registration_response(credential=said, **expected)
    kept = found.credential_public_key, found.sign_count
    USERS[visit.user_id or ""].passkeys[found.credential_id] = kept
    return {"passkey": bytes_to_base64url(found.credential_id)}


def use(visit: SyncVisit, said: Any, expected: dict[str, Any]) -> dict[str, str]:
    key_id, handle = (base64url_to_bytes(x) for x in (said["id"], said["response"]["userHandle"]))
    name, user = next((n, u) for n, u in USERS.items() if u.handle == handle)
    attempt = visit.begin_login(name)
    key, count = user.passkeys[key_id]
    found = webauthn.verify_authentication_response(
        credential=said,
        credential_public_key=key,
        credential_current_sign_count=count,
        **expected,
    )
    user.passkeys[key_id] = key, found.new_sign_count
    welcome(visit, name, attempt, ("passkey",))
    return {"user": name}


def welcome(visit: SyncVisit, name: str, attempt: Any, methods: tuple[str, ...]) -> None:
    if visit.user_id == name:
        visit.reauthenticate(methods)
    else:
        visit.login(name, attempt, methods=methods)

"""People of a site with `csrf.protect`, and what their browsers say of where they are."""

from __future__ import annotations

import json
from typing import Any

from flow_kit import Browser
from stepup_kit import reached

# The browsers of flow_kit ask the host "localhost".
HERE, EVIL, ADMIN = "https://localhost", "https://evil.example", "https://admin.example"
FORM = {"accept": "text/html"}
HERE_FORM = {**FORM, "sec-fetch-site": "same-origin", "origin": HERE}


def protected(**csrf: Any) -> dict[str, Any]:
    return {"csrf": {"protect": True, **csrf}}


def sign_in(browser: Browser, user: str = "alice") -> Browser:
    reply = browser.do(lambda visit: visit.login(user), method="POST", headers=HERE_FORM)
    assert (reply.status, reply.error) == (200, None)
    return browser


def token_of(browser: Browser, action: str = "") -> str:
    return str(browser.do(lambda visit: visit.csrf_token(action)).value)


def passes(browser: Browser, path: str = "/pay", method: str = "POST", **headers: str) -> bool:
    """True where the app is called; else it is refused as cross-site, and nothing is set."""
    sent = {"accept": "*/*", **{name.replace("_", "-"): value for name, value in headers.items()}}
    reply = browser.do(reached, path=path, method=method, headers=sent)
    if reply.value is None:
        assert reply.status == 403
        assert json.loads(reply.body)["type"] == "urn:gatehound:cross-site"
        assert reply.all("set-cookie") == []
    return bool(reply.value == "reached")

"""Where `csrf.protect` holds: paths that are exempt, websockets, development mode; its rules."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from csrf_kit import ADMIN, EVIL, HERE, passes, protected, sign_in, token_of
from stepup_kit import MakeSite, as_sent, reached

from gatehound import Guard, Settings, SettingsError
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware

# --- exempt paths ---


@pytest.mark.parametrize("path", ["/hook", "/hooks/", "/hooks/a/b", "/p/x.cgi", "/только"])
def test_exempt(make_site: MakeSite, path: str) -> None:
    exempt = ["/hook", "POST /hooks/*", "/p/?.cgi", "/только"]
    alice = sign_in(make_site(**protected(exempt=exempt)).browser())
    for headers in ({"sec_fetch_site": "cross-site"}, {"origin": EVIL}, {}):
        assert passes(alice, path, **headers)
    assert passes(alice, path, "PUT") is not path.startswith("/hooks/")


@pytest.mark.parametrize(
    "path",
    [
        *("/hook/", "/Hook", "/hookx", "//hook", "/hooks", "/pay", "/", "/pay/hook"),
        *("/hook/../pay", "/hooks/../pay", "//pay", "/hooks//pay", "/hooks/./pay", "/hooks/.."),
        *("/hooks/%2e%2e/pay", "/hooks/..%2fpay", "/hooks/%2Fpay", "/hooks\\..\\pay"),
        *("/hooks/..\\pay", "/hooks/\x00pay", "/hooks/\npay", "/hooks/a%", "/p/%.cgi"),
    ],
)
def test_a_path_is_exempt_as_it_is_written(make_site: MakeSite, path: str) -> None:
    """Whatever a framework behind makes of it; as a server hands it on, once decoded."""
    exempt = ["/hook", "POST /hooks/*", "/p/?.cgi"]
    site = make_site(**protected(exempt=exempt))
    alice = sign_in(site.browser())
    with as_sent(site, path=path):
        assert not passes(alice, "/", sec_fetch_site="cross-site", origin=EVIL)
        assert passes(alice, "/", sec_fetch_site="same-origin")


def test_ignored_paths_are_protected(make_site: MakeSite) -> None:
    """No session is looked up there, and the app may have other cookies than ours."""
    alice = sign_in(make_site(**protected(), ignore_paths=["/health"]).browser())
    assert not passes(alice, "/health", origin=EVIL)
    assert passes(alice, "/health", origin=HERE)


# --- websockets ---


async def handshake(
    guard: Guard, headers: dict[str, str], *, path: str = "/ws", denies: bool = True
) -> tuple[bool, list[Any]]:
    """Open a websocket; return whether the app was called, and what the server was told."""
    sent: list[Any] = []
    called = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope)
        await send({"type": "websocket.accept"})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "scheme": "wss",
        "client": ("203.0.113.7", 50000),
        "server": ("localhost", 443),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "extensions": {"websocket.http.response": {}} if denies else {},
    }
    await AsgiMiddleware(app, guard)(scope, receive, send)
    return bool(called), sent


@pytest.mark.parametrize(
    ("headers", "signed_in", "nobody"),
    [
        ({"origin": HERE}, True, True),
        ({"origin": ADMIN}, True, True),
        ({"origin": EVIL}, False, False),
        ({"origin": "null"}, False, False),
        ({"origin": EVIL, "sec-fetch-site": "same-origin"}, False, False),
        ({"origin": HERE, "sec-fetch-site": "cross-site"}, True, True),
        ({"sec-fetch-site": "same-origin"}, False, True),
        ({}, False, True),
    ],
)
def test_whose_websocket_it_is(
    make_site: MakeSite, headers: dict[str, str], signed_in: bool, nobody: bool
) -> None:
    site = make_site(**protected(trusted_origins=[ADMIN], exempt=["/open/*", "POST /ws"]))
    alice = sign_in(site.browser())
    sent = {"host": "localhost", "user-agent": alice.agent, **headers}
    own = {**sent, "cookie": "; ".join(f"{k}={v}" for k, v in alice.cookies.items())}
    assert asyncio.run(handshake(site.guard, own))[0] is signed_in
    assert asyncio.run(handshake(site.guard, sent))[0] is nobody
    assert asyncio.run(handshake(site.guard, {**own, "x-csrf-token": token_of(alice)}))[0]
    assert asyncio.run(handshake(site.guard, own, path="/open/ws"))[0]
    assert asyncio.run(handshake(site.guard, own, path="/open/../ws"))[0] is signed_in


def test_a_websocket_is_refused_at_its_handshake(make_site: MakeSite) -> None:
    guard = make_site(**protected()).guard
    headers = {"host": "localhost", "origin": EVIL}
    called, sent = asyncio.run(handshake(guard, headers))
    start, body = sent
    assert (called, start["type"], start["status"]) == (False, "websocket.http.response.start", 403)
    assert json.loads(body["body"])["type"] == "urn:gatehound:cross-site"
    called, sent = asyncio.run(handshake(guard, headers, denies=False))
    assert (called, sent) == (False, [{"type": "websocket.close", "code": 1008}])


# --- development mode ---


def test_development_mode_has_both(make_site: MakeSite) -> None:
    site = make_site(development=True, **protected())
    alice = site.browser(address="127.0.0.1")
    sign_in(alice)
    assert not passes(alice, origin=EVIL)
    assert passes(alice, origin="http://localhost:8000", host="localhost:8000")
    far = alice.do(reached, headers={"accept": "*/*", "host": "shop.example"})
    assert json.loads(far.body)["type"] == "urn:gatehound:development-mode"


# --- settings ---

KEYS = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"exempt": ["hook"]}, "csrf.exempt: 'hook' was given; a pattern is a path glob"),
        ({"exempt": ["/*"]}, "csrf.exempt: '/*' given, which is every path"),
        ({"exempt": ["POST *"]}, "csrf.exempt: 'POST *' given, which is every path"),
        *(
            ({"trusted_origins": [origin]}, f"csrf.trusted_origins: {origin!r} given; allowed is")
            for origin in (
                *("*", "null", "", "admin.example", "https://admin.example/", "https://", "://a"),
                *("https://*.example", "https://Admin.example", "HTTPS://admin.example"),
                *(
                    "https://admin.example:443",
                    "http://admin.example:80",
                    "https://a:0",
                    "https://a:",
                ),
                *("https://a@admin.example", "https://admin.example/a", "https://admin.example?a"),
                *(
                    "https://админ.example",
                    "https://admin.example https://b.example",
                    "https://a\n",
                ),
                *("https://admin..example", "https://.example", "https://[::1"),
            )
        ),
    ],
)
def test_rules(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({**KEYS, "csrf": given})
    (problem,) = caught.value.problems
    assert problem.startswith(said)


def test_allowed() -> None:
    origins = ["https://admin.example", "http://localhost:8080", "https://[::1]:8443"]
    origins += ["https://xn--80aimpg.example", "capacitor://localhost", "http://a:443"]
    csrf = {"protect": True, "exempt": ["/", "*/hook", "/a?"], "trusted_origins": origins}
    assert Settings.from_dict({**KEYS, "csrf": csrf}).problems() == []
    read = Settings.from_env(
        {"GATEHOUND_SECRET_KEYS": "s" * 40, "GATEHOUND_IDENTITY_KEY": "i" * 40}
        | {"GATEHOUND_CSRF__PROTECT": "true", "GATEHOUND_STORE": "memory://"}
        | {"GATEHOUND_CSRF__TRUSTED_ORIGINS": "https://a.example,https://b.example"}
    )
    assert read.csrf.protect
    assert read.csrf.trusted_origins == ("https://a.example", "https://b.example")

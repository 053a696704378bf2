"""The example of an account page: codes, passkeys and sessions work together.

Passkeys of a software authenticator in-process, and of Chromium's own in a real browser. Not
checked here: attestation, which the example does not ask for, and authenticators of metal.
"""

from __future__ import annotations

import html
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.validate import validator

import pyotp
import pytest
from playwright.sync_api import expect, sync_playwright
from werkzeug.test import Client, TestResponse

from parts import require
from passkey_kit import Authenticator
from serving import free_port, servers

EXAMPLE = Path(__file__).parent.parent / "examples/account_security.py"
MAX_LINES = 240
ORIGIN = "http://localhost:5000"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A fresh copy, with users of its own."""
    for name in ("GATEHOUND_SECRET_KEYS", "GATEHOUND_IDENTITY_KEY", "ORIGIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEHOUND_STORE", "memory://")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("example_account", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example_account", module)  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@dataclass
class Person:
    """A browser on the account page."""

    client: Client

    def post(self, path: str, **fields: str) -> TestResponse:
        return self._post(path, {"Origin": ORIGIN}, data=fields)

    def sign_in(self, code: str = "", password: str = "analytical") -> int:
        fields = {"name": "ada", "password": password, "code": code, "csrf": self.csrf()}
        return self.post("/sign-in", **fields).status_code

    def page(self) -> str:
        return self.client.get("/", base_url=ORIGIN, buffered=True).text

    def csrf(self) -> str:
        found = re.search(r'data-csrf="([^"]+)"', self.page())
        assert found is not None
        return html.unescape(found[1])

    def call(self, path: str, body: Any = None, csrf: str | None = None) -> TestResponse:
        headers = {"X-CSRF": self.csrf() if csrf is None else csrf, "Origin": ORIGIN}
        return self._post(path, headers, json=body or {})

    def _post(self, path: str, headers: dict[str, str], **body: Any) -> TestResponse:
        return self.client.post(path, base_url=ORIGIN, headers=headers, buffered=True, **body)

    def add(self, authenticator: Authenticator) -> TestResponse:
        options = json.loads(self.call("/passkey/add/options").text)
        return self.call("/passkey/add", authenticator.make(options))

    def use(self, authenticator: Authenticator) -> TestResponse:
        options = json.loads(self.call("/passkey/use/options").text)
        return self.call("/passkey/use", authenticator.sign(options))


@pytest.fixture
def ada(example: ModuleType) -> Person:
    person = other(example)
    assert person.sign_in() == 303
    return person


def other(example: ModuleType) -> Person:
    """Another browser."""
    return Person(Client(validator(example.app)))


def methods(example: ModuleType) -> list[tuple[str, ...]]:
    """How the sessions of ada were signed in, the newest last."""
    found = sorted(example.guard.sync.sessions_of("ada"), key=lambda one: one.created)
    return [one.methods for one in found]


def turn_on_codes(ada: Person) -> str:
    found = re.search(r"<code>(\w+)</code>", ada.page())
    assert found is not None
    answer = ada.post("/totp", csrf=ada.csrf(), code=pyotp.TOTP(found[1]).now())
    assert answer.status_code == 303
    return found[1]


def test_code_of_an_app_is_a_second_factor(example: ModuleType, ada: Person) -> None:
    secret = turn_on_codes(ada)
    assert "<p>On.</p>" in ada.page()
    assert secret not in ada.page()
    phone = other(example)
    assert phone.sign_in() == 401
    assert phone.sign_in("000000") == 401
    assert phone.sign_in(pyotp.TOTP(secret).now()) == 401  # it turned the codes on, and is used up
    example.USERS["ada"].used = 0
    assert phone.sign_in(pyotp.TOTP(secret).now(), password="wrong") == 401
    assert phone.sign_in(pyotp.TOTP(secret).now()) == 303
    assert methods(example) == [("password",), ("password", "totp")]


def test_wrong_code_turns_nothing_on(example: ModuleType, ada: Person) -> None:
    assert ada.post("/totp", csrf=ada.csrf(), code="12345").status_code == 403
    assert ada.post("/totp", csrf="guessed", code="12345").status_code == 403
    assert example.USERS["ada"].totp == ""


def test_sessions_are_shown_and_ended(example: ModuleType, ada: Person) -> None:
    phone = other(example)
    phone.sign_in()
    page = ada.page()
    assert page.count("This device") == 1
    [path] = re.findall(r'action="(/sessions/end-others)"', page)
    fields = {
        name: re.findall(rf'name="{name}" value="([^"]+)"', page)[0] for name in ("token", "next")
    }
    answer = ada.post(path, **fields)
    assert answer.status_code == 303
    assert "signed in here and nowhere else" in ada.page()
    assert "Sign in with a passkey" in phone.page()
    assert "You ended this session from another device." in phone.page()


def test_signing_in_again_leads_back(example: ModuleType, ada: Person) -> None:
    page = ada.client.get("/again?next=x", base_url=ORIGIN, buffered=True).text
    assert 'name="next" value="x"' in page
    fields = {"name": "ada", "password": "analytical", "next": "x", "csrf": ada.csrf()}
    assert ada.post("/sign-in", **fields).status_code == 303
    assert methods(example) == [("password",)]


def test_another_site_signs_nobody_in(example: ModuleType) -> None:
    answer = other(example).post("/sign-in", name="ada", password="analytical")
    assert answer.status_code == 403
    assert methods(example) == []


def test_passkey_signs_in(example: ModuleType, ada: Person) -> None:
    authenticator = Authenticator(ORIGIN)
    assert ada.add(authenticator).status_code == 200
    assert "You have 1." in ada.page()
    phone = other(example)
    for _ in range(2):
        assert phone.use(authenticator).json == {"user": "ada"}
    assert methods(example) == [("password",), ("passkey",)]


def test_passkey_options_name_the_site(example: ModuleType, ada: Person) -> None:
    made = json.loads(ada.call("/passkey/add/options").text)
    assert (made["rp"]["id"], made["user"]["name"]) == ("localhost", "ada")
    assert made["authenticatorSelection"]["userVerification"] == "required"
    used = json.loads(other(example).call("/passkey/use/options").text)
    assert used["rpId"] == "localhost"
    assert used["challenge"] != made["challenge"]


@pytest.mark.slow
def test_passkey_that_is_not_right_signs_nobody_in(example: ModuleType, ada: Person) -> None:
    known, stranger = Authenticator(ORIGIN), Authenticator(ORIGIN)
    ada.add(known)
    phone = other(example)
    stranger.handle = known.handle
    assert phone.use(stranger).status_code == 403  # a key that nobody registered
    stranger.handle = "AAAA"
    assert phone.use(stranger).status_code == 403  # of nobody
    elsewhere = Authenticator("http://evil.example", known.key, known.id, known.handle, known.count)
    assert phone.use(elsewhere).status_code == 403
    forged = Authenticator(ORIGIN, stranger.key, known.id, known.handle, known.count)
    assert phone.use(forged).status_code == 403
    options = json.loads(phone.call("/passkey/use/options").text)
    signed = known.sign(options)
    assert phone.call("/passkey/use", signed, csrf="guessed").status_code == 403
    assert phone.call("/passkey/use", signed).status_code == 200
    assert other(example).call("/passkey/use", signed).status_code == 403  # its challenge is used
    for rubbish in ({}, {"id": 1}, {"id": "x", "response": {}}):
        person = other(example)
        person.call("/passkey/use/options")
        assert person.call("/passkey/use", rubbish).status_code == 403


def test_nobody_adds_a_passkey_without_a_session(example: ModuleType) -> None:
    assert other(example).call("/passkey/add/options").status_code == 401
    assert other(example).call("/passkey/add").status_code == 403


def test_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= MAX_LINES


# --- a real browser, with the authenticator that Chromium has for tests ---


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    environ = {
        "ORIGIN": f"http://localhost:{port}",
        "GATEHOUND_STORE": f"sqlite:///{tmp_path}/sessions.db",
        "XDG_STATE_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "flask", "--app", str(EXAMPLE), "run", "--port", str(port)]
    with servers(tmp_path) as started:
        started.start("flask", command, port, environ)
        yield environ["ORIGIN"]


@pytest.mark.slow
def test_passkey_in_a_browser(site: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.on("dialog", lambda dialog: dialog.accept())  # "Sign out here?"
        page.set_default_timeout(15_000)
        tools = page.context.new_cdp_session(page)
        tools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto(site)
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("analytical")
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_text("You have 1.")).to_be_visible()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.goto(site)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("heading", name="Account security of ada")).to_be_visible()
        expect(page.get_by_text("This device")).to_be_visible()
        browser.close()

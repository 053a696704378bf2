"""Every example signs in, lists, ends one and signs out, driven in-process.

Not checked here: that the servers named in the examples run them.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.validate import validator

import pytest
from django.conf import empty, settings
from starlette.testclient import TestClient
from werkzeug.test import Client

EXAMPLES = Path(__file__).parent.parent / "examples"
MAX_LINES = 60
_loaded: dict[str, ModuleType] = {}
_django: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def _memory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Development mode over the memory store, with its keys in a folder of the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GATEHOUND_SECRET_KEYS", "GATEHOUND_IDENTITY_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("GATEHOUND_STORE", "memory://")
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _own_django() -> Any:
    """Django has one set of settings in a process: lend it the example's, then give it back."""
    others, settings._wrapped = settings._wrapped, _django.get("settings", empty)
    yield
    _django["settings"], settings._wrapped = settings._wrapped, others


def load(name: str) -> ModuleType:
    """Import an example once: Django can be configured only once in a process."""
    if name not in _loaded:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # Django and pydantic look it up by its name
        spec.loader.exec_module(module)
        _loaded[name] = module
    return _loaded[name]


class Browser:
    """One browser, over ASGI or WSGI, with its own cookies. Calls return (status, text)."""

    def __init__(self, app: Any, *, asgi: bool) -> None:
        self._client: Any
        if asgi:
            self._client = TestClient(app, base_url="http://localhost", follow_redirects=False)
        else:
            self._client = Client(validator(app))
        self._options: dict[str, Any] = {} if asgi else {"buffered": True}

    def get(self, path: str) -> tuple[int, str]:
        return self._told(self._client.get(path, **self._options))

    def post(self, path: str, **options: Any) -> tuple[int, str]:
        return self._told(self._client.post(path, **options, **self._options))

    def _told(self, response: Any) -> tuple[int, str]:
        return response.status_code, response.text


def opener(name: str, app: str, *, asgi: bool) -> Callable[[], Browser]:
    return lambda: Browser(getattr(load(name), app), asgi=asgi)


APIS = {
    "fastapi": (opener("fastapi_app", "app", asgi=True), "json"),
    "starlette": (opener("starlette_app", "app", asgi=True), "json"),
    "django-asgi": (opener("django_app", "asgi_app", asgi=True), "data"),
    "django-wsgi": (opener("django_app", "wsgi_app", asgi=False), "data"),
}
PAGES = {
    "flask": opener("flask_app", "app", asgi=False),
    "plain-wsgi": opener("plain_wsgi", "app", asgi=False),
    "plain-asgi": opener("plain_asgi", "app", asgi=True),
}


@pytest.mark.parametrize("name", APIS)
def test_api(name: str) -> None:
    open_browser, form = APIS[name]
    laptop, phone = open_browser(), open_browser()
    assert laptop.post("/sign-in", **{form: {"name": "ada", "password": "x"}})[0] == 401
    signed_in = [
        browser.post("/sign-in", **{form: {"name": "ada", "password": "analytical"}})
        for browser in (laptop, phone)
    ]
    assert [status for status, _ in signed_in] == [200, 200]
    mine, other = (json.loads(text) for _, text in signed_in)

    def listed(browser: Browser) -> dict[str, bool]:
        return {one["id"]: one["current"] for one in json.loads(browser.get("/sessions")[1])}

    assert listed(laptop) == {mine["id"]: True, other["id"]: False}
    assert laptop.post(f"/end/{other['id']}")[0] == 403  # no CSRF token
    headers = {"X-CSRF": mine["csrf"]}
    assert laptop.post(f"/end/{other['id']}", headers=headers) == (200, _json(ended=True, of=name))
    assert listed(phone) == {}
    assert listed(laptop) == {mine["id"]: True}
    assert laptop.post("/sign-out", headers=headers)[0] == 200
    assert listed(laptop) == {}


def _json(*, ended: bool, of: str) -> str:
    space = " " if of.startswith("django") else ""  # each framework spaces JSON in its own way
    return f'{{"ended":{space}{str(ended).lower()}}}'


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str) -> None:
    laptop, phone = PAGES[name](), PAGES[name]()
    assert "Sign in" in laptop.get("/")[1]
    assert laptop.post("/sign-in", data={"name": "ada", "password": "x"})[0] == 401
    for browser in (laptop, phone):
        answer = browser.post("/sign-in", data={"name": "ada", "password": "analytical"})
        assert answer[0] == 303
    page = laptop.get("/")[1]
    assert page.count("(this one)") == 1
    (end,) = re.findall(r"action=(/end/[0-9a-f]{16})", page)
    csrf = {"csrf": re.findall(r"name=csrf value=([^>]+)>", page)[0]}
    assert laptop.post(end, data={"csrf": "guessed"})[0] == 403
    assert "Sign out" in phone.get("/")[1]
    assert laptop.post(end, data=csrf)[0] == 303
    assert "Sign in" in phone.get("/")[1]
    assert laptop.post("/sign-out", data=csrf)[0] == 303
    assert "Sign in" in laptop.get("/")[1]


def test_every_example_is_driven_and_short() -> None:
    files = {path.stem: path for path in EXAMPLES.glob("*.py")}
    del files["account_security"]  # has more to show: see test_examples_account.py
    assert set(files) == {
        "django_app",
        "fastapi_app",
        "flask_app",
        "plain_asgi",
        "plain_wsgi",
        "starlette_app",
    }
    for path in files.values():
        assert len(path.read_text().splitlines()) <= MAX_LINES, path.name

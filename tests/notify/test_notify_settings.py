"""The settings: what is refused, with what fix, and that no secret is shown."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from notify_kit import IDENTITY, SECRET, WHSEC
from rich.console import Console
from rich.traceback import Traceback

from gatehound import Guard, Settings, SettingsError
from gatehound._notify_rules import is_address, secret_of, server_of, webhook_of
from gatehound.audit.places import far_hosts
from gatehound.listing import Users
from gatehound.model import is_loopback
from gatehound.notify import Letter
from gatehound.settings import NotifySettings
from gatehound.stores.memory import MemoryStore
from gatehound.transport import is_own_host

PASSWORD = "hunter2-hunter2"
URL = f"smtp://post:{PASSWORD}@mail.example:2525"
MAIL = {"smtp": URL, "mail_from": "no-reply@shop.example", "admins": ["root@shop.example"]}


def problems(notify: Mapping[str, Any]) -> list[str]:
    data = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": "memory://"}
    try:
        Settings.from_dict({**data, "notify": notify})
    except SettingsError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    "notify",
    [
        {},
        MAIL,
        {**MAIL, "admins": [], "users": True},
        {"webhook": "https://hooks.example/x?y=z", "webhook_secrets": [WHSEC]},
        {"webhook": "http://127.0.0.1:8080", "webhook_secrets": [WHSEC, WHSEC]},
        {"log": True},
        {"site_url": "https://shop.example/below", "site_name": "Der Laden", "language": "de"},
        {"site_url": "http://localhost:8000"},
        {"per_hour": 1, "per_two_days": 1},
    ],
)
def test_what_is_allowed(notify: dict[str, Any]) -> None:
    assert problems(notify) == []


@pytest.mark.parametrize(
    ("notify", "begins"),
    [
        ({**MAIL, "mail_from": None}, "notify.mail_from: none given"),
        ({**MAIL, "mail_from": "Shop <a@b.example>"}, "notify.mail_from: 'Shop"),
        ({**MAIL, "admins": []}, "notify.admins: none given, and notify.users is false"),
        ({**MAIL, "admins": ["a@b.example", "a@b.example, c@d.example"]}, "notify.admins[1]:"),
        ({**MAIL, "smtp": "http://mail.example"}, "notify.smtp: the scheme 'http'"),
        ({**MAIL, "smtp": "smtp://"}, "notify.smtp: no host"),
        ({**MAIL, "smtp": "smtp://h:port"}, "notify.smtp: what cannot be read"),
        ({**MAIL, "smtp": "smtp://h/path"}, "notify.smtp: no host alone"),
        ({**MAIL, "smtp": "smtp://h?tls=maybe"}, "notify.smtp: options"),
        ({**MAIL, "smtp": "smtps://h?tls=never"}, "notify.smtp: options"),
        ({**MAIL, "smtp": "smtp://user@h"}, "notify.smtp: a user or a password alone"),
        ({"webhook": "https://h/"}, "notify.webhook_secrets: none given"),
        ({"webhook": "http://h/", "webhook_secrets": [WHSEC]}, "notify.webhook: plain http"),
        ({"webhook": "ftp://h/", "webhook_secrets": [WHSEC]}, "notify.webhook: no web address"),
        ({"webhook": "https://u@h/", "webhook_secrets": [WHSEC]}, "notify.webhook: a user"),
        ({"webhook": "https://h/ x", "webhook_secrets": [WHSEC]}, "notify.webhook: a user"),
        ({"webhook": "https://[h", "webhook_secrets": [WHSEC]}, "notify.webhook: what cannot"),
        ({"webhook_secrets": ["secret"]}, "notify.webhook_secrets[0]: no secret"),
        ({"webhook_secrets": [WHSEC, "whsec_?"]}, "notify.webhook_secrets[1]: no base64"),
        ({"webhook_secrets": ["whsec_AAAA"]}, "notify.webhook_secrets[0]: 3 bytes"),
        ({"site_url": "shop.example"}, "notify.site_url:"),
        ({"site_url": "https://shop.example/"}, "notify.site_url:"),
        ({"site_url": "https://shop.example/?a"}, "notify.site_url:"),
        ({"site_name": "a\nb"}, "notify.site_name:"),
        ({"site_name": ""}, "notify.site_name:"),
        ({"site_name": "x" * 61}, "notify.site_name:"),
        ({"per_hour": 0}, "notify.per_hour:"),
        ({"per_hour": 5, "per_two_days": 4}, "notify.per_hour:"),
        ({"per_two_days": 11}, "notify.per_hour:"),
        ({"language": "fr"}, "notify.language: 'fr'"),
        ({"language": "auto"}, "notify.language: 'auto'"),
        ({"templates": "/nowhere"}, "notify.templates: '/nowhere'"),
    ],
)
def test_what_is_refused(notify: dict[str, Any], begins: str) -> None:
    [problem] = problems(notify)
    assert problem.startswith(begins)
    assert re.search("allowed|needs|make it|list|give|leave", problem)
    for secret in (PASSWORD, WHSEC, "user@h"):
        assert secret not in problem


@pytest.mark.parametrize("wrong", [[URL], {"a": URL}, 5])
def test_no_secret_is_shown_where_it_cannot_be_read(wrong: Any) -> None:
    for name in ("smtp", "webhook"):
        [problem] = problems({name: wrong})
        assert PASSWORD not in problem


def test_no_secret_is_shown() -> None:
    made = NotifySettings(smtp=URL, webhook="https://h/token", webhook_secrets=(WHSEC,))
    for text in (repr(made), repr(made.__rich_repr__()), repr(server_of(URL))):
        for secret in (PASSWORD, WHSEC, "token", "post"):
            assert secret not in text


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "user", "password"),
    [
        ("smtp://mail.example", "mail.example", 587, "always", "", ""),
        ("smtp://mail.example/", "mail.example", 587, "always", "", ""),
        ("smtp://mail.example:25?tls=never", "mail.example", 25, "never", "", ""),
        (
            "smtps://u:p%40ss%2Fword@mail.example",
            "mail.example",
            465,
            "from_the_start",
            "u",
            "p@ss/word",
        ),
        ("smtp://u%40x:p@[::1]:2525", "::1", 2525, "able", "u@x", "p"),
        ("smtp://localhost", "localhost", 587, "able", "", ""),
        ("smtp://127.0.0.2:26", "127.0.0.2", 26, "able", "", ""),
    ],
)
def test_mail_servers(url: str, host: str, port: int, tls: str, user: str, password: str) -> None:
    server = server_of(url)
    assert (server.host, server.port, server.tls) == (host, port, tls)
    assert (server.user, server.password) == (user, password)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("ada@people.example", True),
        ("a.d+a@x-y.example", True),
        ("root@localhost", True),
        ("ada@people.example\n", False),
        ("ada@people.example\r\nBcc: eve@evil.example", False),
        ("ada@people.example,eve@evil.example", False),
        ("Ada <ada@people.example>", False),
        ('"ada"@people.example', False),
        ("ada@people..example", False),
        ("ada@-people.example", False),
        ("ada@", False),
        ("@people.example", False),
        ("ada", False),
        ("ädä@people.example", False),
        ("ada@münchen.example", False),
        ("ada@people.example@evil.example", False),
        ("a" * 65 + "@people.example", False),
        ("ada@" + "a" * 254, False),
    ],
)
def test_addresses(address: str, is_one: bool) -> None:
    assert is_address(address) is is_one


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("mail.localhost", True),
        ("LOCALHOST", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.evil.example", False),
        ("mylocalhost", False),
        ("10.0.0.1", False),
        ("::2", False),
        ("", False),
    ],
)
def test_this_machine_is_the_same_for_all(host: str, is_here: bool) -> None:
    """What mail may be sent to in the open, is no far store, and needs no HTTPS."""
    assert is_loopback(host) is is_here
    written = f"[{host}]" if ":" in host else host
    assert is_own_host(f"{written}:80") is is_here
    if host:
        assert (server_of(f"smtp://{written}").tls == "able") is is_here
        assert (far_hosts(f"redis://{written}:1") == []) is is_here


def test_rich_shows_no_password() -> None:
    def connect(server: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        connect(server_of(URL))
    shown = Traceback.from_exception(caught.type, caught.value, caught.tb, show_locals=True)
    out = io.StringIO()
    Console(file=out, width=120).print(shown)
    assert "host='mail.example'" in out.getvalue()
    assert PASSWORD not in out.getvalue()


def test_secrets_and_webhooks() -> None:
    assert len(secret_of(WHSEC)) == 24
    assert webhook_of("https://hooks.example:444/x").port == 444


# --- the guard ---


def guard(notify: Mapping[str, Any], known: Users | None = None, call: Any = None) -> Guard:
    settings = {"secret_keys": [SECRET], "identity_key": IDENTITY, "notify": notify}
    return Guard(settings, store=MemoryStore(), users=known, notify=call)


def test_nothing_is_built_where_nothing_is_set() -> None:
    assert guard({}).notifier is None
    assert guard({"site_url": "https://shop.example"}).notifier is None


@pytest.mark.parametrize(
    ("notify", "names"),
    [
        ({"log": True}, ["log"]),
        (MAIL, ["smtp"]),
        ({"webhook": "https://h/", "webhook_secrets": [WHSEC]}, ["webhook"]),
        (
            {**MAIL, "webhook": "https://h/", "webhook_secrets": [WHSEC], "log": True},
            ["smtp", "webhook", "log"],
        ),
    ],
)
def test_channels_of_the_settings(notify: dict[str, Any], names: list[str]) -> None:
    found = guard(notify).notifier
    assert found is not None
    assert list(found._channels) == names


def test_a_function_is_a_channel() -> None:
    got: list[Letter] = []
    found = guard(MAIL, call=got.append).notifier
    assert found is not None
    assert list(found._channels) == ["smtp", "call"]


def test_mail_to_users_needs_their_addresses() -> None:
    with pytest.raises(SettingsError, match=r"notify\.users.*Users\(mail=\.\.\.\)"):
        guard({**MAIL, "users": True})
    assert guard({**MAIL, "users": True}, Users(mail=lambda ids: {})).notifier


def test_a_function_has_to_be_one() -> None:
    with pytest.raises(SettingsError, match="notify: 'x' was given"):
        guard({}, call="x")


def test_a_store_that_waits_is_refused() -> None:
    store = MemoryStore()
    store.suspends = True
    with pytest.raises(SettingsError, match="waits for an event loop"):
        Guard(
            {"secret_keys": [SECRET], "identity_key": IDENTITY, "notify": {"log": True}},
            store=store,
        )


def test_letters_need_jinja2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.notify.letter.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"gatehound\[notify\]"):
        guard(MAIL)
    assert guard({"log": True}).notifier  # which writes none


def test_no_letter_shows_in_a_repr_of_settings() -> None:
    out = io.StringIO()
    settings = Settings.from_dict(
        {
            "secret_keys": [SECRET],
            "identity_key": IDENTITY,
            "store": "memory://",
            "notify": {**MAIL},
        }
    )
    print(settings, settings.notify, file=out)
    assert PASSWORD not in out.getvalue()


@pytest.mark.full
@pytest.mark.ci
def test_nothing_of_it_is_loaded_without_it() -> None:
    import subprocess

    code = (
        "import sys, logging; logging.disable()\n"
        "from gatehound import Guard\n"
        "Guard({'secret_keys': ['s' * 40], 'identity_key': 'i' * 40, 'store': 'memory://'})\n"
        "names = ('gatehound.notify', 'gatehound._notify_rules', 'smtplib', 'jinja2')\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

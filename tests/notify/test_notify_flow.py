"""Through both adapters: what happens to a site becomes mail, and its link works."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from notify_kit import Inbox, mail_of, mail_server

from flow.flow_kit import FIREFOX, NAVIGATE, Browser, Result, Site
from gatehound import Detector, Guard, Observation, Signal
from gatehound.listing import Users
from gatehound.notify import Notifier, Step
from gatehound.stores.base import Store
from gatehound.testing import FakeClock

WORLDS = ("asgi", "wsgi")


class OddHeader(Detector):
    """Weighs a header, so that no test depends on what the built-in detectors weigh."""

    name = "odd_header"

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        if observation.request.header("x-odd"):
            yield Signal("odd_header", 7.0, "Used by somebody with an odd header")


class Thief(Browser):
    """Somebody with a copy of another browser's cookies, and the odd header."""

    def do(self, *args: Any, **options: Any) -> Result:
        return super().do(*args, **{**options, "headers": {**NAVIGATE, "x-odd": "1"}})


def thief_of(browser: Browser) -> Thief:
    return Thief(browser.site, FIREFOX, "198.51.100.7", dict(browser.cookies))


Open = Callable[..., tuple[Site, Notifier]]


@pytest.fixture
def open_site(store: Store) -> Open:
    def make(inbox: Inbox, world: str, mode: str = "flag", **policy: Any) -> tuple[Site, Notifier]:
        guard = Guard(
            {
                "secret_keys": ["s" * 40],
                "identity_key": "i" * 40,
                "web": {"path": "/account/sessions", "step_up_url": "/again"},
                "detection": {"mode": mode},
                "policy": policy,
                "notify": {
                    "smtp": f"smtp://127.0.0.1:{inbox.port}?tls=never",
                    "mail_from": "no-reply@shop.example",
                    "admins": ["root@shop.example"],
                    "users": True,
                    "site_url": "https://shop.example",
                    "thread": False,
                },
            },
            store=store,
            sinks=[],
            users=Users(mail=mail_of),
            detectors=[OddHeader()],
        )
        assert guard.notifier is not None
        guard.notifier.run_once()
        return Site(world, guard), guard.notifier

    return make


def texts(inbox: Inbox, address: str) -> list[str]:
    found = []
    for one in inbox.taken:
        raw = one.original_content or b""
        message = email.message_from_bytes(raw, policy=email.policy.default)
        body = message.get_body(("plain",))
        if one.rcpt_tos == [address] and body is not None:
            found.append(str(body.get_content()))
    return found


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.parametrize("world", WORLDS)
def test_a_theft_is_one_mail_with_a_way_out(world: str, open_site: Open, clock: FakeClock) -> None:
    with mail_server() as inbox:
        site, notifier = open_site(inbox, world)
        owner = site.browser()
        owner.login("ada")
        thief = thief_of(owner)
        for _ in range(5):
            thief.see()
            owner.see()
            clock.advance(1)
            notifier.run_once()
        clock.advance(60)
        notifier.run_once()
        [mail] = texts(inbox, "ada@people.example")
        assert "Unusual activity in your account" in mail
        assert "odd header" in mail
        assert "Used from: 198.51.100.7" in mail
        assert "Browser there: " in mail  # the event has the device, of a flag that is new
        assert "The session began on: " in mail
        [digest] = texts(inbox, "root@shop.example")
        assert "User: ada" in digest
        [path] = re.findall(r"https://shop\.example(/account\S+)", mail)
        assert path not in digest
        stranger = site.browser()
        shown = stranger.do(lambda visit: None, path=path)
        assert "Was this you?" in shown.body.decode()


@pytest.mark.parametrize("world", WORLDS)
def test_an_end_by_policy_is_told_whole(world: str, open_site: Open, clock: FakeClock) -> None:
    with mail_server() as inbox:
        site, notifier = open_site(inbox, world, "step-up", terminate=7.0, on_terminate="all")
        browsers = [site.browser() for _ in range(3)]
        for browser in browsers:
            browser.login("ada")
        thief_of(browsers[0]).do()
        clock.advance(6)
        assert notifier.run_once() == Step(sent=2)
        [mail] = texts(inbox, "ada@people.example")
        assert "it looked as if somebody else was using it" in mail
        assert "notice/" not in mail
        assert mail.count("was using it") == 3  # each session, in one mail


@pytest.mark.parametrize("world", WORLDS)
def test_failed_logins_send_nothing(world: str, open_site: Open, clock: FakeClock) -> None:
    with mail_server() as inbox:
        site, notifier = open_site(inbox, world)
        for _ in range(20):
            site.browser().call("login_failed", "ada", reason="wrong password")
        clock.advance(60)
        notifier.run_once()
        assert texts(inbox, "ada@people.example") == []

"""What letters say: in both languages, to users and admins, with what is known and without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from notify_kit import ENDED, FLAGGED, PROXY, PUBLIC_ID, SITE, Desk, MakeDesk

from gatehound import Event, Session
from gatehound._sync import run_sync
from gatehound.events import NAMES
from gatehound.listing import Users
from gatehound.notify import Letter
from gatehound.notify.fact import plain
from gatehound.stores.answer import NewSession
from gatehound.stores.record import Seen, secret_hash
from gatehound.tokens import NoticeTokens

SETTLED = 6.0
HOSTILE = '<img src=x onerror="alert(1)">\r\nBcc: eve@evil.example http://evil.example'


def told(desk: Desk, *events: Event, whom: str = "user") -> Letter:
    for event in events:
        desk.tell(event)
    desk.step(SETTLED)
    [letter] = desk.box.to(whom)
    return letter


def test_a_flag_in_words(make_desk: MakeDesk) -> None:
    desk = make_desk(site_name="The Shop", web={"password_url": "/password"})
    letter = told(desk, FLAGGED)
    assert letter.subject == "Unusual activity in your account - The Shop"
    assert letter.text == (
        "Unusual activity in your account\n"
        "\n"
        "Your account was used in a way that is unusual for you.\n"
        "\n"
        "Used from: 203.0.113.7\n"
        "Time: 2027-01-15 08:00 UTC\n"
        "\n"
        "Why we tell you:\n"
        "- A country that is new\n"
        "- Another browser\n"
        "\n"
        "If it was you, there is nothing to do. "
        "If it was not, change your password; that session is over already.\n"
        "\n"
        "Change your password: https://shop.example/password\n"
        "\n"
        "-- \n"
        "The Shop <https://shop.example>\n"
        "You get this mail because it is about the security of your account. "
        "We never ask for your password by mail.\n"
    )
    for said in ("203.0.113.7", "A country that is new", 'href="https://shop.example/password"'):
        assert said in letter.html


def test_the_html_says_what_the_text_says(desk: Desk) -> None:
    letter = told(desk, FLAGGED)
    shown = " ".join(
        re.sub(r"<style>.*?</style>|<[^>]+>", " ", letter.html, flags=re.DOTALL).split()
    )
    for line in letter.text.splitlines():
        for part in line.lstrip("- ").split(": "):
            if part and "<" not in part:
                assert part in shown


EXPECTED = {
    "session_flagged": ("Unusual activity in your account", "A session became suspicious"),
    "session_terminated": ("We signed a device out", "A suspicious session was ended"),
    "login_new_device": ("New sign-in to your account", "A security notice"),
    "proxy_misconfigured": ("A security notice for your account", "A proxy is not declared"),
    "sessions_moved": ("", "Many sessions moved at once"),
    "login_spray": ("", "Somebody tries passwords of many users"),
    "login_guessing": ("", "Somebody guesses the password of a user"),
    "user_disabled": ("A security notice for your account", "A security notice"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_subjects(desk: Desk, name: str) -> None:
    for whom, begins in zip(("user", "admins"), EXPECTED[name], strict=True):
        if not begins:
            continue  # what strangers can cause is not told to users
        letter = told(desk, Event(name, user_id="ada", notify="both"), whom=whom)
        assert letter.subject.startswith(begins)
        desk.box.letters.clear()
        desk.clock.advance(2 * 86_400)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("suspicious", "it looked as if somebody else was using it"),
        ("reported", "because you said that it was not yours"),
        ("admin", "A session was ended."),
    ],
)
def test_why_it_ended(desk: Desk, reason: str, said: str) -> None:
    assert said in told(desk, replace(ENDED, reason=reason)).text


def test_who_reported_it_is_not_told_of_their_own_address(desk: Desk) -> None:
    signed_in = Event(
        "session_created",
        user_id="ada",
        public_id=PUBLIC_ID,
        address="198.51.100.4",
        detail={"device": "Firefox on Linux", "place": "Oslo, NO", "methods": "password"},
    )
    reported = replace(ENDED, reason="reported", public_id=PUBLIC_ID, address="203.0.113.9")
    letter = told(desk, signed_in, reported)
    assert "203.0.113.9" not in letter.text
    assert "The session began on: Firefox on Linux\nThe session began in: Oslo, NO\n" in letter.text
    assert "Used from" not in letter.text
    assert "Browser there" not in letter.text


def test_admins_learn_who(make_desk: MakeDesk) -> None:
    users = Users(describe=lambda ids: dict.fromkeys(ids, ("Ada Lovelace", "")))
    desk = make_desk(guard={"users": users}, users=False)
    letter = told(desk, FLAGGED, PROXY, whom="admins")
    assert "User: Ada Lovelace (ada)" in letter.text
    assert letter.subject.startswith("A proxy is not declared")  # what somebody has to mend
    assert "because you are an admin" in letter.text
    assert letter.user_id is None


@pytest.mark.parametrize(("precision", "shown"), [("full", "203.0.113.7"), ("none", "")])
def test_address_is_as_precise_as_the_settings_say(
    make_desk: MakeDesk, precision: str, shown: str
) -> None:
    """What is in the log is what the settings let be kept; see Telling.tell."""
    desk = make_desk()
    desk.tell(desk.guard._events.redacted(FLAGGED))
    assert shown in told(desk).text


def test_text_stays_as_it_is_and_html_is_escaped(desk: Desk) -> None:
    letter = told(desk, replace(FLAGGED, reason='Seen on "A & <B>"'))
    assert 'Seen on "A & <B>"' in letter.text
    assert "A &amp; &lt;B&gt;" in letter.html


# --- the link ---


def signed_in(desk: Desk) -> Session:
    """A living session of ada, in the store."""
    guard = desk.guard.blocking()
    new = NewSession(  # as a login makes it
        alias=guard.alias("ada"),
        user_id="ada",
        sid=bytes.fromhex(PUBLIC_ID),
        secret_hash=secret_hash(b"s" * 32),
        idle=3_600_000,
        absolute=86_400_000,
        seen=Seen(last_seen=0),
    )
    run_sync(guard.store.create(new))
    [session] = desk.guard.sync.sessions_of("ada")
    return session


def test_the_link_names_the_session(desk: Desk) -> None:
    signed_in(desk)
    letter = told(desk, FLAGGED)
    [link] = re.findall(rf"{SITE}/account/sessions/notice/(\S+)", letter.text)
    assert f'href="{SITE}/account/sessions/notice/{link}"' in letter.html
    tokens = NoticeTokens(secret_keys=["s" * 40], namespace="default")
    assert tokens.open(link) == (desk.guard.alias("ada"), bytes.fromhex(PUBLIC_ID))


def test_nothing_is_announced_from_the_thread_of_the_notifier(desk: Desk) -> None:
    """What expired is ended and announced by who asks in a request."""
    signed_in(desk)
    desk.tell(FLAGGED)
    assert desk.step(7200).sent == 3
    assert "notice/" not in desk.box.to("user")[0].text
    assert desk.events == []
    desk.guard.sync.sessions_of("ada")
    assert desk.names() == ["session_expired"]


def test_admins_get_no_link(desk: Desk) -> None:
    """Whoever has it can end the session."""
    signed_in(desk)
    assert "notice/" not in told(desk, FLAGGED, whom="admins").text


def test_no_link_where_the_session_is_over_or_there_are_no_pages(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert "notice/" not in told(desk, FLAGGED).text
    changes: list[dict[str, Any]] = [{"site_url": None}, {"web": {"path": None}}]
    for number, change in enumerate(changes):
        other = make_desk(**change)
        signed_in(other)
        other.tell(replace(FLAGGED, address=f"10.{number}.0.1"))
        other.step(SETTLED)
        assert "notice/" not in other.box.letters[-1].text


@pytest.mark.parametrize("name", ["session_flagged", "login_new_device"])
def test_without_a_link_it_says_what_to_do_if_it_was_somebody_else(
    make_desk: MakeDesk, name: str
) -> None:
    other = "If it was not, change your password"
    event = replace(FLAGGED, name=name)
    assert f"{other}; that session is over already." in told(make_desk(), event).text
    desk = make_desk(site_url=None)
    signed_in(desk)
    desk.tell(replace(event, address="10.9.0.1"))
    desk.step(SETTLED)
    assert f"{other}, and sign out on all devices." in desk.box.to("user")[0].text


def test_with_a_link_that_is_what_to_do(desk: Desk) -> None:
    signed_in(desk)
    letter = told(desk, FLAGGED)
    assert "If it was not" not in letter.text
    assert "This was not me:" in letter.text


def test_admins_get_a_link_to_the_user(make_desk: MakeDesk) -> None:
    web = {"admin_path": "/staff/sessions"}
    desk = make_desk(web=web)
    event = replace(FLAGGED, user_id="a&b <x>")
    letter = told(desk, event, whom="admins")
    page = f"{SITE}/staff/sessions/user?id=a%26b%20%3Cx%3E"
    assert f"The user's page:\n{page}\n" in letter.text
    assert f'href="{page}"' in letter.html
    assert "user?id=" not in desk.box.to("user")[0].text + desk.box.to("user")[0].html


@pytest.mark.parametrize(
    ("change", "event"),
    [
        ({"site_url": None, "web": {"admin_path": "/staff"}}, FLAGGED),
        ({}, FLAGGED),
        ({"web": {"admin_path": "/staff"}}, PROXY),
    ],
)
def test_no_page_where_nobody_can_be_shown(
    make_desk: MakeDesk, change: dict[str, Any], event: Event
) -> None:
    assert "user's page" not in told(make_desk(**change), event, whom="admins").text


# --- whose it is ---


def test_what_is_of_a_thief_is_not_mixed_with_what_is_of_the_owner(desk: Desk) -> None:
    sign_in = Event(
        "session_created",
        user_id="ada",
        public_id=PUBLIC_ID,
        address="203.0.113.7",
        detail={"device": "Chrome on Windows", "place": "Oslo, NO", "methods": "password"},
    )
    thief = {"device": "curl", "place": "Lima, PE"}
    desk.tell(sign_in)
    desk.clock.advance(600)
    letter = told(desk, replace(FLAGGED, address="198.51.100.66", detail=thief))
    assert (
        "Used from: 198.51.100.66 (Lima, PE)\n"
        "Browser there: curl\n"
        "Time: 2027-01-15 08:10 UTC\n"
        "The session began on: Chrome on Windows\n"
        "The session began in: Oslo, NO\n"
        "The session began at: 2027-01-15 08:00 UTC\n"
    ) in letter.text


def test_a_living_session_says_when_it_began(desk: Desk) -> None:
    session = signed_in(desk)
    assert "The session began at: 2027-01-15 08:00 UTC" in told(desk, FLAGGED).text
    assert session.created == 1_800_000_000.0


def test_a_sign_in_is_said_once(desk: Desk) -> None:
    signed_in(desk)
    detail = {"device": "Firefox on Linux", "place": "Oslo, NO"}
    text = told(desk, replace(FLAGGED, name="login_new_device", detail=detail)).text
    assert "Browser there: Firefox on Linux" in text
    assert "began" not in text


def test_an_attack_is_from_somewhere(desk: Desk) -> None:
    spray = Event("login_spray", address="198.51.100.66", notify="admins")
    assert "\nCame from: 198.51.100.66\n" in told(desk, spray, whom="admins").text


def test_a_reason_is_said_once(desk: Desk) -> None:
    text = told(desk, replace(FLAGGED, reason="New network; Network unchanged; New network; ")).text
    assert text.count("New network") == 1
    assert text.count("\n- ") == 2


# --- what comes from outside ---


def test_nothing_from_outside_is_markup_or_a_header(make_desk: MakeDesk) -> None:
    users = Users(describe=lambda ids: dict.fromkeys(ids, (HOSTILE, "")), mail=lambda ids: {})
    desk = make_desk(guard={"users": users})
    event = replace(FLAGGED, reason=HOSTILE, detail={"device": HOSTILE, "place": HOSTILE})
    for whom in ("user", "admins"):
        letter = told(desk, event, whom=whom)
        assert "<img" not in letter.html
        assert "http://evil" not in letter.text
        assert "\nBcc" not in letter.text
        assert "evil" not in letter.subject
        desk.box.letters.clear()
        desk.clock.advance(2 * 86_400)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  a \r\n b\t", "a b"),
        ("http://evil.example", "http: evil.example"),
        ("a\u202eb\u2066c\x00d", "a b c d"),
        ("\ud800x", "x"),
        ("é ü 中", "é ü 中"),
        ("x" * 130, "x" * 119 + "…"),
        ("\u2028", ""),
    ],
)
def test_plain(text: str, line: str) -> None:
    assert plain(text) == line


# --- languages and templates ---


def test_german(make_desk: MakeDesk) -> None:
    desk = make_desk(language="de", site_name="Der Laden", web={"password_url": "/p"})
    for name in EXPECTED:
        for whom in ("user", "admins") if EXPECTED[name][0] else ("admins",):
            letter = told(desk, Event(name, user_id="ada", notify="both"), whom=whom)
            assert letter.language == "de"
            assert '<html lang="de">' in letter.html
            english = r"\b(your|session|was|somebody|time|because|of|more)\b"
            assert not re.search(english, letter.subject + letter.text, re.IGNORECASE)
            desk.box.letters.clear()
            desk.clock.advance(2 * 86_400)


def test_the_site_has_templates_of_its_own(make_desk: MakeDesk, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear {{ site }}: {{ entries[0].lead }}")
    letter = told(make_desk(templates=str(tmp_path), site_name="Shop"), FLAGGED)
    assert letter.text.startswith("Dear Shop: Your account was used")
    assert "<!doctype html>" in letter.html


def test_the_site_is_named_by_its_host(make_desk: MakeDesk) -> None:
    assert told(make_desk(), FLAGGED).subject.endswith(" - shop.example")
    nameless: Any = {"site_url": None, "web": {"path": None}}
    desk = make_desk(**nameless)
    desk.tell(replace(FLAGGED, address="198.51.100.9"))
    desk.step(SETTLED)
    for letter in desk.box.letters[-2:]:
        assert letter.subject in ("A session became suspicious", "Unusual activity in your account")
        assert "default" not in letter.text + letter.html
        assert "-- \nYou get this mail" in letter.text


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_event_can_be_told(desk: Desk, name: str) -> None:
    desk.tell(Event(name, user_id="ada", public_id=PUBLIC_ID, notify="both"))
    desk.step(SETTLED)
    assert len(desk.box.to("admins")) == 1

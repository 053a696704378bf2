"""Mail: a real server with and without TLS and passwords, and one that fails in every way."""

from __future__ import annotations

import email
import email.policy
import socket
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace
from notify_kit import (
    FLAGGED,
    SITE,
    Desk,
    Inbox,
    MakeDesk,
    a_letter,
    authority,
    mail_server,
    served,
    talking,
    trust,
)

from gatehound import Settings
from gatehound._notify_rules import Server, server_of
from gatehound.notify import OutOfReach, Refused, Undelivered
from gatehound.notify import smtp as module
from gatehound.notify.fact import Fact, plain
from gatehound.notify.letter import letter_of
from gatehound.notify.smtp import Mail, message_of
from serving import free_port

__all__ = ["authority"]

SENDER = "no-reply@shop.example"
AUTH = {"user": "post", "password": "p@ss/word"}


def mail(server: Server) -> Mail:
    return Mail(server, sender=SENDER, sender_name="The Shop")


def on(inbox: Inbox, tls: str = "able", **login: str) -> Mail:
    return mail(Server("127.0.0.1", inbox.port, tls, **login))  # type: ignore[arg-type]  # a table


def parsed(inbox: Inbox) -> list[EmailMessage]:
    return [
        email.message_from_bytes(one.content or b"", policy=email.policy.default)  # type: ignore[arg-type]  # bytes, and that policy's kind
        for one in inbox.taken
    ]


def test_a_letter_arrives() -> None:
    with mail_server() as inbox:
        on(inbox).send(a_letter())
    [envelope] = inbox.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["ada@people.example"])
    [message] = parsed(inbox)
    assert str(message["From"]) == "The Shop <no-reply@shop.example>"
    assert str(message["To"]) == "ada@people.example"
    assert message["Subject"] == "Unusual activity - The Shop"
    assert message["Message-ID"] == f"<{'0' * 24}.gatehound@shop.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"
    assert str(message["Date"]) == "Fri, 15 Jan 2027 08:00:00 +0000"
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert message.get_body(("plain",)).get_content().split() == ["In", "words."]  # type: ignore[union-attr]  # there
    assert message.get_body(("html",)).get_content().strip() == "<p>In words.</p>"  # type: ignore[union-attr]  # there


def test_all_admins_get_it() -> None:
    with mail_server() as inbox:
        on(inbox).send(a_letter(whom="admins", to=("a@shop.example", "b@shop.example")))
    [envelope] = inbox.taken
    assert envelope.rcpt_tos == ["a@shop.example", "b@shop.example"]


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.parametrize("tls", ["always", "able"])
def test_starttls(
    tls: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(authority, tmp_path, monkeypatch)
    with mail_server(tls=served(authority), auth=True) as inbox:
        on(inbox, tls, **AUTH).send(a_letter())
    assert inbox.secure == [True]
    assert inbox.logins == [(b"post", b"p@ss/word")]


@pytest.mark.full
@pytest.mark.ci
def test_tls_from_the_start(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(authority, tmp_path, monkeypatch)
    with mail_server(ssl_context=served(authority)) as inbox:
        on(inbox, "from_the_start").send(a_letter())
    assert len(inbox.taken) == 1


def test_without_starttls_nothing_goes_in_the_open() -> None:
    with mail_server() as inbox, pytest.raises(OutOfReach, match="STARTTLS"):
        on(inbox, "always", **AUTH).send(a_letter())
    assert inbox.taken == []
    assert inbox.logins == []


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.parametrize("tls", ["always", "able", "from_the_start"])
def test_a_certificate_that_nobody_vouches_for_is_refused(tls: str, authority: trustme.CA) -> None:
    name = "ssl_context" if tls == "from_the_start" else "tls"
    options: dict[str, Any] = {name: served(authority)}
    refused = pytest.raises(OutOfReach, match="CERTIFICATE_VERIFY_FAILED")
    with mail_server(**options) as inbox, refused:
        on(inbox, tls, **AUTH).send(a_letter())
    assert inbox.taken == []


def test_in_the_open_where_that_is_said_by_name() -> None:
    with mail_server(auth=True) as inbox:
        on(inbox, "never", **AUTH).send(a_letter())
    assert inbox.secure == [False]


def test_a_wrong_password_is_tried_again_and_not_shown() -> None:
    with mail_server(auth=True) as inbox, pytest.raises(OutOfReach, match="535") as caught:
        on(inbox, "never", user="post", password="hunter2").send(a_letter())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipient", "data", "kind"),
    [
        ("550 nobody here", "", Refused),
        ("553 no such address", "", Refused),
        ("450 greylisted, come again", "", Undelivered),
        ("", "554 that looks like spam", Refused),
        ("", "451 later", Undelivered),
        ("421 closing", "", OutOfReach),
    ],
)
def test_what_the_server_says(recipient: str, data: str, kind: type[Exception]) -> None:
    with mail_server() as inbox:
        inbox.recipient = [recipient] if recipient else []
        inbox.data = [data] if data else []
        with pytest.raises(kind) as caught:
            on(inbox).send(a_letter())
        assert type(caught.value) is kind
        assert (recipient or data)[:3] in str(caught.value)
        on(inbox).send(a_letter())
    assert len(inbox.taken) == 1


def test_one_admin_who_is_not_there_keeps_none_from_it(caplog: pytest.LogCaptureFixture) -> None:
    with mail_server() as inbox:
        inbox.recipient = ["550 gone"]
        on(inbox).send(a_letter(to=("gone@shop.example", "b@shop.example")))
    assert inbox.taken[0].rcpt_tos == ["b@shop.example"]
    assert "refused 1 of 2 recipients" in caplog.text


@pytest.mark.parametrize(
    ("answers", "done"),
    [
        (["450 greylisted"], ["b@shop.example", "c@shop.example"]),
        (["450 greylisted", "550 gone"], ["b@shop.example", "c@shop.example"]),
        (["250 OK", "451 later", "452 full"], ["a@shop.example"]),
        (["550 gone", "550 gone", "450 greylisted"], ["a@shop.example", "b@shop.example"]),
    ],
)
def test_who_is_wanted_later_is_told_apart(answers: list[str], done: list[str]) -> None:
    with mail_server() as inbox:
        inbox.recipient = list(answers)
        with pytest.raises(Undelivered, match="45") as caught:
            on(inbox).send(a_letter(to=("a@shop.example", "b@shop.example", "c@shop.example")))
    assert type(caught.value) is Undelivered
    assert sorted(caught.value.done) == done


def test_each_admin_gets_it_once_though_one_has_to_wait(make_desk: MakeDesk) -> None:
    admins = ["a@shop.example", "b@shop.example"]
    with mail_server() as inbox:
        desk = make_desk(channels=[on(inbox)], admins=admins, users=False)
        desk.tell(FLAGGED)
        inbox.recipient = ["450 greylisted"]
        assert desk.step(6).sent == 0
        assert desk.step(60).sent == 1
        assert desk.step(3600).due_in is None
    assert [one.rcpt_tos for one in inbox.taken] == [["b@shop.example"], ["a@shop.example"]]
    assert len({message["Message-ID"] for message in parsed(inbox)}) == 1
    assert desk.events == []


def test_a_server_of_seven_bits_takes_it() -> None:
    letter = a_letter(text="Ort: Zürich\n", html="<p>Zürich</p>\n", subject="Läden")
    raw = message_of(letter, ["ada@people.example"], SENDER, "Der Läden").as_bytes()
    assert raw.isascii()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message.get_body(("plain",)).get_content().strip() == "Ort: Zürich"  # type: ignore[union-attr]  # there
    with mail_server() as inbox:
        on(inbox).send(letter)
    assert (inbox.taken[0].content or b"").isascii()


@pytest.mark.parametrize(
    "to", [(), ("",), ("ada@people.example\r\nBcc: eve@evil.example",), ("a@b.example, c@d.e",)]
)
def test_no_address_is_refused_before_anything_is_sent(to: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="no mail address"):
        mail(Server("127.0.0.1", free_port(), "never")).send(a_letter(to=to))


def test_nobody_listens() -> None:
    with pytest.raises(OutOfReach, match="refused"):
        mail(Server("127.0.0.1", free_port(), "able")).send(a_letter())


def said(link: socket.socket, *answers: bytes) -> None:
    """Greet, and answer each line with one of the answers; then hang up."""
    link.sendall(b"220 here\r\n")
    lines = link.makefile("rb")
    for answer in answers:
        lines.readline()
        link.sendall(answer + b"\r\n")


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [b"250 you"],
        [b"250 you", b"250 from"],
        [b"250 you", b"250 from", b"250 to", b"354 go on"],
        [b"500 what", b"502 what"],
        [b"nonsense"],
        [b"\xff\xfe\x00"],
    ],
    ids=["greeting", "mail", "rcpt", "data", "no-helo", "nonsense", "bytes"],
)
def test_it_hangs_up_in_the_middle(answers: list[bytes]) -> None:
    with talking(lambda link: said(link, *answers)) as port, pytest.raises(Undelivered):
        mail(Server("127.0.0.1", port, "able")).send(a_letter())


def test_what_was_taken_is_sent_though_the_goodbye_fails() -> None:
    taken: list[bytes] = []

    def talk(link: socket.socket) -> None:
        said(link, b"250 you", b"250 from", b"250 to", b"354 go on")
        lines = link.makefile("rb")
        taken.extend(iter(lines.readline, b".\r\n"))
        link.sendall(b"250 mine now\r\n")

    with talking(talk) as port:
        mail(Server("127.0.0.1", port, "able")).send(a_letter())
    assert any(b"auto-generated" in line for line in taken)


@pytest.mark.full
@pytest.mark.ci
def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.1)

    def wait(link: socket.socket) -> None:
        link.recv(1)

    with talking(wait) as port, pytest.raises(OutOfReach, match="timed out"):
        mail(Server("127.0.0.1", port, "able")).send(a_letter())


@pytest.mark.full
@pytest.mark.ci
def test_it_fails_and_comes_back(make_desk: MakeDesk) -> None:
    port = free_port()
    desk: Desk = make_desk(
        channels=[mail(server_of(f"smtp://127.0.0.1:{port}"))], admins=["root@shop.example"]
    )
    desk.tell(FLAGGED)
    assert desk.step(6).sent == 0
    with mail_server(port) as inbox:
        inbox.recipient = ["450 greylisted"]
        desk.step(60)
        desk.step(120)
        desk.step(120)
        assert desk.step(7200).due_in is None
    to = sorted(address for one in inbox.taken for address in one.rcpt_tos)
    assert to == ["ada@people.example", "root@shop.example"]
    assert desk.events == []


# --- whatever the fields are ---

HOSTILE = st.text(max_size=200) | st.sampled_from(
    [
        "x\r\nBcc: eve@evil.example",
        "x\n\nBody",
        "\r\n.\r\nMAIL FROM:<eve@evil.example>",
        "=?utf-8?q?=0D=0ABcc=3A_eve=40evil=2Eexample?=",
        "<script>alert(1)</script>",
        "\u202egnp.exe",
        "\ud800",
        "{{ 7 * 7 }}{% raw %}",
        "%(n)s %s %",
    ]
)
BUILT = Settings.from_dict(
    {
        "secret_keys": ["s" * 40],
        "identity_key": "i" * 40,
        "store": "memory://",
        "notify": {"site_url": SITE, "site_name": "Der Läden"},
    }
)
HEADERS = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "auto-submitted",
    "content-language",
    "mime-version",
    "content-type",
}


@pytest.mark.full
@pytest.mark.ci
@given(
    name=st.sampled_from(["session_flagged", "session_terminated", "login_new_device"]) | HOSTILE,
    user=HOSTILE,
    reason=HOSTILE | st.sampled_from(["suspicious", "reported"]),
    device=HOSTILE,
    place=HOSTILE,
    user_name=HOSTILE,
    whom=st.sampled_from(["user", "admins"]),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_whatever_the_fields_one_message_to_one_recipient(
    name: str, user: str, reason: str, device: str, place: str, user_name: str, whom: str
) -> None:
    event = replace(FLAGGED, name=name, user_id=user, reason=reason)
    fact = Fact(
        event,
        browser=plain(device),
        began_on=plain(device),
        place=plain(place),
        user_name=plain(user_name),
        reasons=(plain(reason),),
    )
    letter = letter_of(
        BUILT,
        [fact],
        key="0" * 24,
        whom=whom,  # type: ignore[arg-type]  # one of the two
        to=("ada@people.example",),
        more=0,
        at=0.0,
    )
    raw = message_of(letter, list(letter.to), SENDER, "Der Läden").as_bytes()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert {one.lower() for one in message} == HEADERS
    assert len(message.keys()) == len(HEADERS)
    assert str(message["To"]) == "ada@people.example"
    assert str(message["From"]) == "Der Läden <no-reply@shop.example>"
    assert message["Subject"].endswith(" - Der Läden")
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert not message.defects
    assert "<script" not in letter.html
    assert "49" not in plain("{{ 7 * 7 }}")
    for text in (letter.text, letter.html):
        assert "\u202e" not in text
        assert "\r" not in text


@pytest.mark.full
@pytest.mark.ci
@given(HOSTILE, st.integers(1, 300))
def test_plain_is_one_printable_line(text: str, longest: int) -> None:
    line = plain(text, longest)
    assert len(line) <= longest
    assert "://" not in line
    assert all(one.isprintable() for one in line)
    line.encode()  # no lone surrogates
    assert plain(line, longest) == line

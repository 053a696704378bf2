"""The webhook: signatures checked by other code, and a server that fails in every way."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from notify_kit import (
    FLAGGED,
    PROXY,
    WHSEC,
    Hook,
    MakeDesk,
    authority,
    hook_server,
    served,
    talking,
    trust,
)

from gatehound import Event
from gatehound._notify_rules import secret_of
from gatehound.notify import Notice, OutOfReach, Refused, Undelivered
from gatehound.notify import webhook as module
from gatehound.notify.webhook import Webhook, body_of, signed
from serving import free_port

__all__ = ["authority"]

OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NOTICE = Notice("0" * 24, replace(FLAGGED, at=1_800_000_000.25, id="17"), 1_800_000_005.9)


def hook_of(hook: Hook, *secrets: str) -> Webhook:
    return Webhook(hook.url, secrets or (WHSEC,), namespace="default")


def mac(secret: bytes, text: bytes) -> str:
    """HMAC-SHA256 after RFC 2104, written out: the oracle shares no code with what it checks."""
    key = secret.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in key) + text).digest()
    outer = hashlib.sha256(bytes(one ^ 0x5C for one in key) + inner).digest()
    return "v1," + base64.b64encode(outer).decode()


def verified(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """What a receiver does with one secret."""
    key = base64.b64decode(secret[len("whsec_") :])
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return mac(key, text) in headers["webhook-signature"].split(" ")


def test_the_example_of_the_specification() -> None:
    """From the Standard Webhooks repository, spec/standard-webhooks.md."""
    headers = signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        [secret_of(WHSEC)],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_arrives_and_verifies() -> None:
    with hook_server() as hook:
        hook_of(hook).send(NOTICE)
    [(path, headers, body)] = hook.got
    assert path == "/hook?for=us"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "msg_" + "0" * 24
    assert headers["webhook-timestamp"] == "1800000005"
    assert verified(headers, body, WHSEC)
    assert not verified(headers, body + b" ", WHSEC)
    assert not verified(headers, body, OLD)
    assert json.loads(body) == {
        "type": "session_flagged",
        "timestamp": "2027-01-15T08:00:00.250Z",
        "data": {
            "id": "17",
            "namespace": "default",
            "user_id": "ada",
            "public_id": "0123456789abcdef",
            "reason": "A country that is new; Another browser",
            "address": "203.0.113.7",
            "notify": "both",
            "detail": {},
        },
    }


def test_each_secret_signs() -> None:
    with hook_server() as hook:
        hook_of(hook, WHSEC, OLD).send(NOTICE)
    [(_, headers, body)] = hook.got
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert verified(headers, body, WHSEC)
    assert verified(headers, body, OLD)


@pytest.mark.full
@pytest.mark.ci
@given(
    st.text(max_size=50),
    st.integers(0, 2**40),
    st.binary(max_size=200),
    st.binary(min_size=24, max_size=64),
)
def test_signatures_are_those_of_other_code(key: str, at: int, body: bytes, secret: bytes) -> None:
    text = key.encode("utf-8", "replace").decode()
    headers = signed(text, at, body, [secret])
    assert headers["webhook-signature"] == mac(secret, f"{text}.{at}.".encode() + body)


@pytest.mark.full
@pytest.mark.ci
@given(
    st.builds(
        Event,
        name=st.text(max_size=40),
        user_id=st.none() | st.text(max_size=40),
        reason=st.text(max_size=200),
        address=st.text(max_size=40),
        detail=st.dictionaries(st.text(max_size=9), st.none() | st.integers(-9, 9) | st.booleans()),
        at=st.floats(0, 4e9),
    )
)
def test_whatever_the_event_the_body_is_json(event: Event) -> None:
    tree = json.loads(body_of(event, "default"))
    assert tree["type"] == event.name
    assert tree["data"]["detail"] == dict(event.detail)
    assert len(tree["timestamp"]) == len("2027-01-15T08:00:00.250Z")


def test_a_moment_before_a_second_is_not_the_next() -> None:
    assert b'"timestamp":"2027-01-15T08:00:00.999Z"' in body_of(
        replace(FLAGGED, at=1_800_000_000.9996), "default"
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_taken(status: int) -> None:
    with hook_server() as hook:
        hook.answers = [status]
        hook_of(hook).send(NOTICE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Undelivered),
        (401, Undelivered),
        (404, Undelivered),
        (410, Refused),
        (429, OutOfReach),
        (500, OutOfReach),
        (503, OutOfReach),
        (304, Undelivered),
    ],
)
def test_not_taken(status: int, kind: type[Exception]) -> None:
    with hook_server() as hook:
        hook.answers = [status]
        with pytest.raises(kind, match=str(status)) as caught:
            hook_of(hook).send(NOTICE)
        assert type(caught.value) is kind
        hook_of(hook).send(NOTICE)
    assert len(hook.got) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with hook_server() as elsewhere, hook_server() as hook:

        def redirect(answer: Any) -> None:
            answer.send_response(status)
            answer.send_header("location", elsewhere.url)
            answer.send_header("content-length", "0")
            answer.end_headers()

        hook.answers = [redirect]
        with pytest.raises(Undelivered, match=str(status)):
            hook_of(hook).send(NOTICE)
    assert elsewhere.got == []


def drop(answer: Any) -> None:
    answer.close_connection = True
    answer.connection.shutdown(socket.SHUT_RDWR)


def half(answer: Any) -> None:
    answer.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf")
    answer.wfile.flush()
    drop(answer)


def test_half_an_answer_says_that_it_was_taken() -> None:
    with hook_server() as hook:
        hook.answers = [half]
        hook_of(hook).send(NOTICE)


def test_it_hangs_up() -> None:
    with hook_server() as hook:
        hook.answers = [drop]
        with pytest.raises(OutOfReach, match=r"127\.0\.0\.1"):
            hook_of(hook).send(NOTICE)


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"\xff" * 70_000, b""]
)
def test_it_talks_nonsense(answer: bytes) -> None:
    def talk(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(answer)

    with talking(talk) as port, pytest.raises(OutOfReach):
        hook_of(Hook(port)).send(NOTICE)


def test_nobody_listens_and_the_url_is_not_shown() -> None:
    url = f"http://127.0.0.1:{free_port()}/token-of-ours"
    with pytest.raises(OutOfReach, match="refused") as caught:
        Webhook(url, [WHSEC], namespace="default").send(NOTICE)
    assert "token" not in str(caught.value)


@pytest.mark.full
@pytest.mark.ci
def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.1)

    def wait(link: socket.socket) -> None:
        while link.recv(65536):
            pass

    with talking(wait) as port, pytest.raises(OutOfReach, match="timed out"):
        hook_of(Hook(port)).send(NOTICE)


@pytest.mark.full
@pytest.mark.ci
def test_https(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hook_server(served(authority)) as hook:
        url = f"https://localhost:{hook.port}/"
        strict = Webhook(url, [WHSEC], namespace="default")
        with pytest.raises(OutOfReach, match="CERTIFICATE_VERIFY_FAILED"):
            strict.send(NOTICE)
        trust(authority, tmp_path, monkeypatch)
        strict.send(NOTICE)
    [(path, headers, body)] = hook.got
    assert path == "/"
    assert verified(headers, body, WHSEC)


def test_it_fails_and_comes_back(make_desk: MakeDesk) -> None:
    port = free_port()
    desk = make_desk(channels=[hook_of(Hook(port))])
    desk.tell(FLAGGED)
    desk.tell(PROXY)
    assert desk.step(1).sent == 0
    with hook_server(port=port) as hook:
        hook.answers = [500, 400]
        for _ in range(12):
            desk.step(60)
    ids = [headers["webhook-id"] for _, headers, _ in hook.got]
    assert len(ids) == 4
    assert len(set(ids)) == 2  # what is sent again says so
    assert all(verified(headers, body, WHSEC) for _, headers, body in hook.got)
    assert desk.events == []
    assert desk.step(60).due_in is None


def test_gone_is_told_and_not_tried_again(make_desk: MakeDesk) -> None:
    with hook_server() as hook:
        desk = make_desk(channels=[hook_of(hook)])
        hook.answers = [410]
        desk.tell(FLAGGED)
        assert desk.step(1).failed == 1
        desk.step(7200)
    assert len(hook.got) == 1
    assert desk.names() == ["notification_failed"]

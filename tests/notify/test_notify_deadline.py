"""What drips, byte by byte: no sending lasts longer than its deadline."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from notify_kit import FLAGGED, WHSEC, a_letter, talking

from gatehound._notify_rules import Server
from gatehound.notify import Notice, OutOfReach
from gatehound.notify import smtp as smtp_module
from gatehound.notify import webhook as webhook_module
from gatehound.notify.channel import DEADLINE, TIMEOUT
from gatehound.notify.deadline import Deadline
from gatehound.notify.sending import LEASE
from gatehound.notify.smtp import Mail
from gatehound.notify.webhook import Webhook
from serving import free_port

# Seconds; what drips would go on for DRIPS.
SHORT, DRIPS = 0.2, 10.0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A short deadline, within which a test has to end."""
    monkeypatch.setattr(smtp_module, "DEADLINE", SHORT)
    monkeypatch.setattr(webhook_module, "DEADLINE", SHORT)
    began = time.monotonic()
    yield
    assert time.monotonic() - began < DRIPS / 2


def dripping(start: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Say `start`, and then a drop every 20 ms; no read waits for longer."""

    def talk(link: socket.socket) -> None:
        link.settimeout(0.02)
        link.sendall(start)
        for _ in itertools.repeat(None, int(DRIPS / 0.02)):
            with contextlib.suppress(TimeoutError):
                if not link.recv(65536):  # the other end hung up
                    return
            link.sendall(drop)

    return talk


def test_a_sending_is_over_long_before_the_lease() -> None:
    assert DEADLINE * 2 * 1000 <= LEASE
    assert TIMEOUT < DEADLINE


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("tls", "start", "drop"),
    [
        ("never", b"220-", b"x"),
        ("never", b"220 here\r\n", b"250-x\r\n"),
        ("from_the_start", b"\x16\x03\x03\x40\x00", b"\x00"),  # a long record of a handshake
    ],
    ids=["line", "lines", "tls"],
)
def test_a_mail_server_that_drips_is_cut_off(tls: str, start: bytes, drop: bytes) -> None:
    with talking(dripping(start, drop)) as port:
        server = Server("127.0.0.1", port, tls)  # type: ignore[arg-type]  # a table
        mail = Mail(server, sender="no-reply@shop.example", sender_name="The Shop")
        with pytest.raises(OutOfReach, match=r"127\.0\.0\.1: cut off after 0.2 s"):
            mail.send(a_letter())


def hook_on(port: int, scheme: str = "http") -> Webhook:
    return Webhook(f"{scheme}://127.0.0.1:{port}/", [WHSEC], namespace="default")


NOTICE = Notice("0" * 24, FLAGGED, 1_800_000_005.9)


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("scheme", "start", "drop"),
    [("http", b"HTTP/1.1 ", b"2"), ("https", b"\x16\x03\x03\x40\x00", b"\x00")],
)
def test_a_webhook_that_drips_is_cut_off(scheme: str, start: bytes, drop: bytes) -> None:
    cut = pytest.raises(OutOfReach, match=r"127\.0\.0\.1: cut off after 0.2 s")
    with talking(dripping(start, drop)) as port, cut:
        hook_on(port, scheme).send(NOTICE)


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.usefixtures("short")
def test_headers_that_drip_behind_a_status_take_no_longer() -> None:
    """It said 200, and so it has the notice: sending it again would be worse."""
    with talking(dripping(b"HTTP/1.1 200 OK\r\n", b"x")) as port:
        hook_on(port).send(NOTICE)


# --- by itself ---


def addresses(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Have every name stand for these ports of this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", one)) for one in ports]
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: object, **options: object) -> object:
        return found if host == "many.example" else real(host, *args, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_each_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        addresses(monkeypatch, free_port(), port)
        with Deadline(5.0) as deadline, deadline.connect(("many.example", 1), 1.5) as link:
            assert link.getpeername() == ("127.0.0.1", port)
            assert link.gettimeout() == 1.5


@pytest.mark.parametrize("count", [0, 2])
def test_the_last_address_says_why(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    addresses(monkeypatch, *(free_port() for _ in range(count)))
    kind = ConnectionRefusedError if count else OSError
    with Deadline(5.0) as deadline, pytest.raises(kind) as caught:
        deadline.connect(("many.example", 1), 1.0)
    assert deadline.told(caught.value) is caught.value


def test_after_it_nothing_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        addresses(monkeypatch, listener.getsockname()[1])
        with Deadline(0.0) as deadline, pytest.raises(OSError, match="no address") as caught:
            deadline.connect(("many.example", 1), 1.0)
    assert str(deadline.told(caught.value)) == "cut off after 0 s"


def test_it_leaves_no_thread_and_no_socket() -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        address = ("127.0.0.1", listener.getsockname()[1])
        with Deadline(60.0) as deadline, deadline.connect(address, 1.0):
            assert threading.active_count() == before + 1
        served, _ = listener.accept()
        with served:
            assert served.recv(1) == b""  # both ends of the twin are closed
    assert threading.active_count() == before

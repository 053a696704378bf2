"""The faults are real ones: the proxy does what it says, the probe sees, the clocks jump."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from history.proxy import LONGEST_DELAY, Mode, Proxy
from history.server import FORGETFUL, Probe, restart, start
from history.workload import Board, Token

pytestmark = [pytest.mark.full, pytest.mark.ci]
QUESTION = bytes(range(256)) * 4


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers with what it is asked, a question at a time."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(len(QUESTION)):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)  # wakes the accept that waits
    listener.close()
    thread.join()


def asked(port: int) -> str:
    """Ask on a connection of its own, and say what became of the answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.2)
        connection.sendall(QUESTION)
        got = b""
        try:
            while len(got) < len(QUESTION):
                more = connection.recv(4096)
                if not more:
                    return "truncate" if QUESTION.startswith(got) else "garbled"
                got += more
        except TimeoutError:
            return "drop"
        except ConnectionResetError:
            return "reset"
    return "pass" if got == QUESTION else "garbled"


@pytest.mark.parametrize("mode", ["pass", "drop", "truncate", "reset"])
def test_the_proxy_does_one_kind_of_harm_to_some_replies(mode: Mode, echo: int) -> None:
    with Proxy(echo) as proxy:
        proxy.mode = mode
        said = {asked(proxy.port) for _ in range(30)}
        assert said == {"pass", mode}
        proxy.mode = "pass"
        assert asked(proxy.port) == "pass"


def test_the_proxy_delays_and_keeps_the_order(echo: int) -> None:
    with Proxy(echo) as proxy:
        proxy.mode = "delay"
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            begun = time.monotonic()
            for number in range(8):
                connection.sendall(b"%d" % number)
                assert connection.recv(4096) == b"%d" % number
        assert LONGEST_DELAY < time.monotonic() - begun < 9 * LONGEST_DELAY


def test_the_proxy_swaps_two_replies_where_it_is_asked_to(echo: int) -> None:
    with Proxy(echo) as proxy:
        proxy.mode = "swap"
        place = ("127.0.0.1", proxy.port)
        with socket.create_connection(place) as one, socket.create_connection(place) as two:
            for _ in range(50):
                one.sendall(b"one")
                two.sendall(b"two")
                if (one.recv(9), two.recv(9)) == (b"two", b"one"):
                    break
        assert proxy.swapped


def test_the_probe_sees_when_a_server_is_back(tmp_path: Path) -> None:
    server = start(tmp_path, FORGETFUL)
    with Probe([server.port]) as probe:
        assert probe.wait(time.monotonic()) is None
        server.kill()
        time.sleep(0.2)  # a real server is away in real time
        again = time.monotonic()
        server = restart(server, tmp_path, FORGETFUL)
        up = time.monotonic()
        healed = probe.wait(again)
    server.kill()
    assert healed is not None
    assert again < healed < up + 0.2


def test_clocks_jump_but_for_the_monotonic_one(tmp_path: Path) -> None:
    """In a process of its own; what is measured is how far each clock went in no time."""
    code = (
        "import time; from history.worker import jump_clocks\n"
        "read = lambda: (time.time(), time.time_ns() / 1e9, time.clock_gettime(7),\n"
        "    time.clock_gettime_ns(7) / 1e9, time.monotonic(), time.clock_gettime(1))\n"
        "before = read(); jump_clocks(3600.0, 0.0)\n"
        "print(*(round((b - a) / 3600) for a, b in zip(before, read())))"
    )
    path = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}; "
    command = [sys.executable, "-c", path + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["1", "1", "1", "1", "0", "0"]


def test_a_board_shows_each_token_once(tmp_path: Path) -> None:
    board, other = Board(tmp_path, "user1"), Board(tmp_path, "user1")
    first, second = Token("user1", "s1", "k 1; x=y"), Token("user1", "s1", "k2")
    board.add(first)
    assert (board.news(), board.news()) == ([first], [])
    other.add(second)
    assert (board.news(), other.news()) == ([second], [first, second])

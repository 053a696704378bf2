"""Clients that reset the connection at once: the server may no longer know who it was.

`unix` is trusted here, so a peer that got lost would be believed if it counted as a unix socket.
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import pytest
from live_servers import ENVIRON, SERVERS

from serving import free_port, servers

pytestmark = pytest.mark.slow

FORGED = "198.51.100.66"
REQUEST = f"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {FORGED}\r\n\r\n".encode()
CLIENTS = 60
NO_WAIT = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends a reset


def ask_and_go(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_WAIT)
        client.sendall(REQUEST)


# The other servers keep the address with which they accepted the connection.
@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian-asgi", "gunicorn"])
def test_a_client_that_has_gone_is_nobody_else(name: str, tmp_path: Path) -> None:
    server, port, notes = SERVERS[name], free_port(), tmp_path / "notes"
    notes.touch()
    with servers(tmp_path) as started:
        command = server.command(f"gone_app:{server.kind}", port)
        started.start(name, command, port, {**ENVIRON, "GONE_NOTES": str(notes)})
        for _ in range(CLIENTS):
            ask_and_go(port)
        with socket.create_connection(("127.0.0.1", port), timeout=5) as last:
            last.sendall(REQUEST)
            assert last.recv(100)
    seen = [json.loads(line) for line in notes.read_text().splitlines()]
    assert seen
    assert {(text, reason) for text, reason, _ in seen} <= {
        ("127.0.0.1", "peer-not-trusted"),
        ("", "malformed-peer"),
    }
    if name == "uvicorn":  # else this test would prove nothing
        assert None in [peer for _, _, peer in seen]

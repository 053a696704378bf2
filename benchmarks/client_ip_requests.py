"""The requests of client_ip.py: which addresses, in which networks, in which wire format.

What belongs here: making them. What must not: who answers them, and what is measured.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import islice
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any, Final

from gatehound.clientip.cloudflare import RANGES

SEED: Final = 20260101
POOL: Final = 20_000
NO_REPEAT: Final = 8192
"""Twice the largest cache among the peers, uvicorn's 4,096 addresses."""

TWO: Final = {4: ("10.0.0.0/8", "172.16.0.0/12"), 6: ("fd12:3456::/32", "2610:a0::/32")}

Request = tuple[bytes, bytes, bytes]
"""The client, the whole X-Forwarded-For value, and the peer."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of one table."""

    version: int
    hot: bool
    hops: int
    networks: int

    @property
    def trusted(self) -> list[str]:
        """The trusted networks as text; the 22 are Cloudflare's 15 of v4 and 7 of v6."""
        if self.networks == len(RANGES):
            return list(RANGES)
        if self.networks == len(TWO[self.version]):
            return list(TWO[self.version])
        return scattered(self.version, self.networks)

    @property
    def everyone(self) -> str:
        return "0.0.0.0/0" if self.version == 4 else "::/0"


def scattered(version: int, count: int) -> list[str]:
    """Make disjoint networks of several lengths, few of them neighbours that would merge.

    They start at random places of 16.0.0.0/4 or 2600::/12: v4 /20 to /24, v6 /32 to /48.
    """
    chance = random.Random(SEED)  # noqa: S311 - the same networks in every run, no secret
    places = chance.sample(range(1 << 16), count)
    if version == 4:
        return [f"{text(4, (1 << 28) + (n << 12))}/{chance.randint(20, 24)}" for n in places]
    return [f"{text(6, (0x2600 << 112) + (n << 96))}/{chance.randint(32, 48)}" for n in places]


def text(version: int, number: int) -> str:
    """Write an address as a server does."""
    if version == 4:
        return inet_ntop(AF_INET, number.to_bytes(4, "big"))
    return inet_ntop(AF_INET6, number.to_bytes(16, "big"))


def trusted_addresses(cell: Cell) -> Iterator[str]:
    """Go round the networks of the cell's version, to another address of each every time."""
    networks = [one for one in map(ip_network, cell.trusted) if one.version == cell.version]
    starts = [(int(one.network_address), one.num_addresses) for one in networks]
    random.Random(SEED).shuffle(starts)  # noqa: S311 - the same order in every run, no secret
    turn = 0
    while True:
        # Odd times a counter, modulo a power of two: all of them once before one comes again.
        spread = turn * 0x9E3779B97F4A7C15
        yield from (text(cell.version, start + spread % size) for start, size in starts)
        turn += 1


def clients(version: int) -> Iterator[str]:
    """Give addresses that are in no trusted network, and that are globally routable.

    python-ipware goes on searching after one that is not.
    """
    for turn in range(1 << 20):
        if version == 4:
            yield text(4, (77 + turn % 16 << 24) + turn * 0x9E3779B1 % (1 << 24))
        else:
            yield text(
                6, (0x2A02 << 112) + (turn + 1) * 0x9E3779B97F4A7C15F39CC0605CED % (1 << 112)
            )


def make_pool(cell: Cell, size: int) -> list[Request]:
    """Make the requests of a cell, as a wire would carry their addresses."""
    proxies = trusted_addresses(cell)
    pool: list[Request] = []
    last: dict[str, int] = {}
    count = 0
    for client in islice(clients(cell.version), 1 if cell.hot else size):
        *hops, peer = islice(proxies, cell.hops)
        for one in (client, *hops, peer):
            if one in last and count - last[one] < NO_REPEAT:
                raise SystemExit(f"{one} comes again too soon in {cell}")
            last[one] = count
            count += 1
        pool.append((client.encode(), ", ".join([client, *hops]).encode(), peer.encode()))
    return pool


AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
HEADERS: Final = {  # of a browser, and what a proxy adds; in this order
    "host": "shop.example.org",
    "user-agent": AGENT,
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-US,en;q=0.5",
    "accept-encoding": "gzip, deflate, br, zstd",
    "cookie": "theme=dark; sid=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw",
    "upgrade-insecure-requests": "1",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "same-origin",
    "x-forwarded-for": "?",
    "x-request-id": "7f9c24e5d1b04d0e9a57c3f1f0f2a6c4",
}
_BEFORE, _AFTER = (
    "\n".join(f"{name}: {value}" for name, value in HEADERS.items()).encode().split(b"?")
)
_ENVIRON: Final[dict[str, Any]] = {  # what gunicorn gives
    "wsgi.errors": None,
    "wsgi.version": (1, 0),
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": None,
    "wsgi.input_terminated": True,
    "wsgi.input": None,
    "SERVER_SOFTWARE": "gunicorn/23.0.0",
    "gunicorn.socket": None,
    "REQUEST_METHOD": "GET",
    "QUERY_STRING": "",
    "RAW_URI": "/orders/17",
    "SERVER_PROTOCOL": "HTTP/1.1",
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()},
    "wsgi.url_scheme": "http",
    "REMOTE_ADDR": "?",
    "REMOTE_PORT": "50000",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "PATH_INFO": "/orders/17",
    "SCRIPT_NAME": "",
}


def make_scope(request: Request) -> dict[str, Any]:
    """Make a scope as uvicorn does; names and values are new objects, as from a parser."""
    _, chain, peer = request
    lines = (_BEFORE + chain + _AFTER).split(b"\n")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": (peer.decode(), 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": "/orders/17",
        "raw_path": b"/orders/17",
        "query_string": b"",
        "headers": [(name, value) for name, _, value in (one.partition(b": ") for one in lines)],
        "state": {},
    }


def make_environ(request: Request) -> dict[str, Any]:
    """Make an environ as gunicorn does; a dict has hashed its keys in any server."""
    _, chain, peer = request
    return _ENVIRON | {"HTTP_X_FORWARDED_FOR": chain.decode(), "REMOTE_ADDR": peer.decode()}

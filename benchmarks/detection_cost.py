"""What detection costs a request, in CPU: an unchanged one, and one from a new network.

    python benchmarks/detection_cost.py [--rounds 8] [--requests 1000] [--json FILE] [--gate]

Two guards in one process serve the same requests through the ASGI middleware over a memory store,
one with every default detector, one with `detection.mode` off; rounds are interleaved and medians
of the differences are shown. The databases are made here, with four kinds of network in them.

Three kinds of change: `address` is a /24 that the session has not used, of a provider that it
knows; `provider` is also of a provider that it has not used, in a country that it knows; `country`
is a neighbouring country too. What was meant is checked: by the signal that each request leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from gatehound import Guard
from gatehound.asgi import GatehoundMiddleware
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock

# Microseconds of CPU.
MUST = {"unchanged": 3.0, "address": 80.0, "provider": 80.0, "country": 80.0}
# What network_changed weighs then.
POINTS = {"unchanged": 0.0, "address": 0.6, "provider": 1.6, "country": 2.6}
# The first is home, and the others are its neighbours.
COUNTRIES = ("DE", "FR", "PL", "CZ", "AT", "CH", "LU", "BE", "NL", "DK")
FIRST = 11  # of the address in each, the others follow
CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/130.0.0.0 Safari/537.36"
)
KEY = "k" * 40


def databases(folder: Path) -> dict[str, str]:
    """Write a City and an ASN database: a /8 for each country, in it a provider for each /16."""
    city = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City")
    asn = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-ASN")
    for first, country in enumerate(COUNTRIES, FIRST):
        city.insert_network(
            IPSet([f"{first}.0.0.0/8"]),
            {
                "city": {"geoname_id": first, "names": {"en": f"City of {country}"}},
                "continent": {"code": "EU", "names": {"en": "Europe"}},
                "country": {"iso_code": country, "geoname_id": 9, "names": {"en": country}},
                "location": {"latitude": 50.0 + first / 8, "longitude": 8.0},
            },
        )
        for second in range(256):
            number = 64512 + first * 256 + second
            asn.insert_network(
                IPSet([f"{first}.{second}.0.0/16"]),
                {
                    "autonomous_system_number": number,
                    "autonomous_system_organization": f"Provider {number}",
                },
            )
    paths = {"city_database": folder / "city.mmdb", "asn_database": folder / "asn.mmdb"}
    city.to_db_file(str(paths["city_database"]))
    asn.to_db_file(str(paths["asn_database"]))
    return {name: str(path) for name, path in paths.items()}


class Site:
    """One app behind one guard, in this process."""

    def __init__(self, mode: str, files: dict[str, str], sessions: int) -> None:
        self.clock = FakeClock()
        settings: dict[str, Any] = {
            "secret_keys": [KEY],
            "identity_key": KEY.upper(),
            "detection": {"mode": mode, **files},
            "session": {"known_devices": False, "idle_timeout": "12h", "absolute_timeout": "60d"},
        }
        store = MemoryStore(clock=self.clock)
        guard = Guard(settings, store=store, sinks=[])
        self.app = GatehoundMiddleware(self._app, guard)
        self.cookies: list[bytes] = []
        self.points: set[float] | None = None  # what network_changed weighed, where it is noted
        self._sessions = sessions

    async def sign_in(self) -> None:
        for number in range(self._sessions):
            await self._call(address("unchanged", number, 0), b"", f"/login/{number}")

    async def run(self, kind: str, moved: int) -> float:
        """Return CPU microseconds a request, one of each session.

        Before a change an hour passes, so that no round is a wave of sessions to one provider.
        """
        self.clock.advance(1 if kind == "unchanged" else 3601)
        peers = [address(kind, number, moved) for number in range(len(self.cookies))]
        began = time.process_time()
        for peer, cookie in zip(peers, self.cookies, strict=True):
            await self._call(peer, cookie, "/")
        return (time.process_time() - began) / len(self.cookies) * 1e6

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        if scope["path"].startswith("/login"):
            await scope["gatehound"].login(scope["path"][7:])
        elif self.points is not None:
            for signal in scope["gatehound"].signals:
                if signal.code == "network_changed":
                    self.points.add(round(signal.weight, 1))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _call(self, peer: str, cookie: bytes, path: str) -> None:
        headers = [
            (b"host", b"app.example"),
            (b"user-agent", CHROME),
            (b"accept", b"text/html"),
            (b"sec-fetch-mode", b"navigate"),
        ]
        if cookie:
            headers.append((b"cookie", cookie))
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "https",
            "client": (peer, 40000),
            "headers": headers,
        }

        async def send(message: Any) -> None:
            for name, value in message.get("headers", ()):
                if name == b"set-cookie":
                    self.cookies.append(value.partition(b";")[0])

        await self.app(scope, _nothing, send)


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def address(kind: str, session: int, moved: int) -> str:
    """The address of a session after so many changes of a kind; few sessions share a provider."""
    first = FIRST + moved if kind == "country" else FIRST
    second = (session + (moved if kind == "provider" else 0)) % 256
    third = session // 256 * 32 + (moved if kind == "address" else 16)
    return f"{first}.{second}.{third}.7"


async def measure(rounds: int, requests: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        files = databases(Path(folder))
        sites = {mode: Site(mode, files, requests) for mode in ("off", "flag")}
        for site in sites.values():
            await site.sign_in()
        found: dict[str, list[float]] = {kind: [] for kind in MUST}
        for kind, values in found.items():  # changed last: it moves what is in caches
            sites["flag"].points = set()
            for turn in range(rounds + 1):
                moved = 0 if kind == "unchanged" else turn + 1
                took = {mode: await site.run(kind, moved) for mode, site in sites.items()}
                if turn:
                    values.append(took["flag"] - took["off"])
                    continue
                # The first round of each fills caches, and shows that the change was the one meant.
                seen, sites["flag"].points = sites["flag"].points, None
                if seen != {POINTS[kind]} - {0.0}:
                    raise SystemExit(f"{kind}: network_changed weighed {seen}, not {POINTS[kind]}")
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--gate", action="store_true", help="exit 1 where a figure is over its must"
    )
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds, options.requests))
    figures = {what: round(statistics.median(values), 2) for what, values in found.items()}
    for what, value in figures.items():
        spread = f"{min(found[what]):.1f} to {max(found[what]):.1f}"
        print(f"{what:10} {value:6.1f} us ({spread}); must: at most {MUST[what]:g}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    failed = [what for what, value in figures.items() if value > MUST[what]]
    return 1 if options.gate and failed else 0


if __name__ == "__main__":
    sys.exit(main())

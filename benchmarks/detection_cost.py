"""What detection costs a request, in CPU: an unchanged one, and one from a new network.

    python benchmarks/detection_cost.py [--rounds 9] [--requests 2000] [--json FILE] [--gate]

Two guards in one process serve the same requests through the ASGI middleware over a memory store,
one with every default detector, one with `detection.mode` off; rounds are interleaved and medians
of the differences are shown. The databases are made here, with four kinds of network in them.

A changed request is from a /24 that its session has not used, of a provider that it has not used
every second time; each session is moved once, so that none is flagged.
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

MUST = {"unchanged": 3.0, "changed": 80.0}  # microseconds of CPU
CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/130.0.0.0 Safari/537.36"
)
KEY = "k" * 40


def databases(folder: Path) -> dict[str, str]:
    """Write a City and an ASN database for 11.0.0.0/8, a provider for each /10."""
    city = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City")
    asn = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-ASN")
    for quarter, country in enumerate(("DE", "DE", "FR", "US")):
        network = IPSet([f"11.{quarter * 64}.0.0/10"])
        city.insert_network(
            network,
            {
                "city": {"geoname_id": 1 + quarter, "names": {"en": f"City {quarter}"}},
                "continent": {"code": "NA" if country == "US" else "EU", "names": {"en": "X"}},
                "country": {"iso_code": country, "geoname_id": 9, "names": {"en": country}},
                "location": {"latitude": 50.0 + quarter, "longitude": 8.0 + quarter},
            },
        )
        asn.insert_network(
            network,
            {
                "autonomous_system_number": 64500 + quarter,
                "autonomous_system_organization": f"Provider {quarter}",
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
            "session": {"known_devices": False},
        }
        store = MemoryStore(clock=self.clock)
        guard = Guard(settings, store=store, sinks=[])
        self.app = GatehoundMiddleware(self._app, guard)
        self.cookies: list[bytes] = []
        self._sessions = sessions

    async def sign_in(self) -> None:
        for number in range(self._sessions):
            await self._call(address(number, 0), b"", f"/login/{number}")

    async def run(self, *, moved: int) -> float:
        """Return CPU microseconds a request, one of each session."""
        self.clock.advance(1)
        began = time.process_time()
        for number, cookie in enumerate(self.cookies):
            await self._call(address(number, moved), cookie, "/")
        return (time.process_time() - began) / len(self.cookies) * 1e6

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        if scope["path"].startswith("/login"):
            await scope["gatehound"].login(scope["path"][7:])
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


def address(session: int, moved: int) -> str:
    """An address of one session: each move is to another /24, and to another provider in turn."""
    third = (session + 97 * moved) % 250
    return f"11.{(moved % 2) * 64 + (session // 250 + moved // 2) % 60}.{third}.7"


async def measure(rounds: int, requests: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        files = databases(Path(folder))
        sites = {mode: Site(mode, files, requests) for mode in ("off", "flag")}
        for site in sites.values():
            await site.sign_in()
        found: dict[str, list[float]] = {"unchanged": [], "changed": []}
        for what in found:  # changed last: what it leaves in memory is not where it was in caches
            for turn in range(rounds + 1):
                moved = 0 if what == "unchanged" else turn + 1
                took = {mode: await site.run(moved=moved) for mode, site in sites.items()}
                if turn:  # the first round of each fills caches
                    found[what].append(took["flag"] - took["off"])
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=2000)
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

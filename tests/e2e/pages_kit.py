"""A site with the pages below /sessions, its people, and a browser that is looked at closely.

Servers speak TLS themselves and believe the X-Forwarded-For of everybody, so that each person here
says where they are. Places come from a database that is made for the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from front import certificate
from netaddr import IPSet  # type: ignore[import-untyped]  # it ships no stubs
from servers import KEYS, gunicorn, uvicorn

from gatehound import Guard
from gatehound._sync import run_sync
from make_demo_databases import city_record, writer
from serving import Servers

COOKIE: Final = "__Host-gatehound"
PATH: Final = "/sessions"
CHROME: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
IPHONE: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)
TABLET: Final = (
    "Mozilla/5.0 (Linux; Android 14; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) "
    "SamsungBrowser/27.0 Chrome/125.0.0.0 Safari/537.36"
)
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"
FAR: Final = "2001:db8:85a3:1234:5678:8a2e:370:7334"
PLACES: Final = {
    "203.0.113.0/24": ("GB", "Leeds", 2644688),
    "2001:db8::/32": (
        "GB",
        "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
        2643990,
    ),
    "198.51.100.0/24": ("CA", "Montréal", 6077243),
}


@dataclass(frozen=True)
class Person:
    """A browser of somebody who is signed in: what it says, from where, and its cookie."""

    agent: str
    address: str
    cookie: str

    @property
    def headers(self) -> dict[str, str]:
        return headers(self.agent, self.address, self.cookie)


def headers(agent: str, address: str, cookie: str) -> dict[str, str]:
    return {
        "User-Agent": agent,
        "X-Forwarded-For": address,
        "Cookie": f"{COOKIE}={cookie}",
        "Accept": "text/html",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Site": "none",
    }


@dataclass(frozen=True)
class Site:
    """A running site, and a guard that reads its store."""

    base: str
    guard: Guard
    client: httpx.Client

    def sign_in(self, user: str, agent: str = CHROME, address: str = HOME, **how: str) -> Person:
        """Sign in as a program; `how` are `methods` and `roles`, with spaces between."""
        answer = self.client.post(
            f"{self.base}/login",
            data={"user": user, **how},
            headers=headers(agent, address, "") | {"Cookie": ""},
        )
        self.client.cookies.clear()
        assert answer.status_code == 303
        kept = next(
            line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{COOKIE}=")
        )
        return Person(agent, address, kept.partition(";")[0].partition("=")[2])

    def visit(self, person: Person, path: str = "/me") -> httpx.Response:
        """Ask something as a person, and keep no cookie."""
        answer = self.client.get(f"{self.base}{path}", headers=person.headers)
        self.client.cookies.clear()
        return answer

    def suspicious(self, user: str) -> Person:
        """Let a thief use the session of somebody; return the thief."""
        stolen = self.sign_in(user)
        thief = Person(FIREFOX, FAR, stolen.cookie)
        self.visit(thief)
        return thief

    def three_sessions(self, user: str, **how: str) -> Person:
        """Sign in on three devices, let a thief use the phone, and return the one at home."""
        self.sign_in(user, TABLET, FAR)
        stolen = self.sign_in(user, IPHONE, FAR)
        self.visit(Person(FIREFOX, ELSEWHERE, stolen.cookie))
        return self.sign_in(user, **how)


@contextmanager
def site(
    started: Servers, world: str, store: str, *, app: str = "shop", **environ: str
) -> Iterator[Site]:
    """Start the shop, or an `app` around it, with the pages in it, over a store, on TLS."""
    folder = started.folder
    if not (folder / "cert.pem").exists():
        certificate(started)
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    given = {
        **KEYS,
        "GATEHOUND_STORE": store,
        "GATEHOUND_WEB__PATH": PATH,
        "GATEHOUND_WEB__SIGN_IN_URL": "/",
        "GATEHOUND_WEB__PASSWORD_URL": "/password",
        "GATEHOUND_WEB__HOME_URL": "/",
        "GATEHOUND_CLIENT_IP__MODE": "x-forwarded-for",
        "GATEHOUND_CLIENT_IP__TRUSTED_PROXIES": "127.0.0.1",
        "GATEHOUND_DETECTION__CITY_DATABASE": places(folder),
        **environ,
    }
    if world == "asgi":
        port = uvicorn(
            started,
            f"{app}:asgi",
            {**given, "UVICORN_SSL_KEYFILE": key, "UVICORN_SSL_CERTFILE": cert},
        )
    else:
        options = {"GUNICORN_CMD_ARGS": f"--keyfile {key} --certfile {cert}"}
        port = gunicorn(started, f"{app}:wsgi", {**given, **options}, threads=4)
    guard = Guard(
        {
            "secret_keys": [KEYS["GATEHOUND_SECRET_KEYS"]],
            "identity_key": KEYS["GATEHOUND_IDENTITY_KEY"],
            "store": store,
            "web": {"path": PATH},
        },
        sinks=(),
    )
    client = httpx.Client(verify=False, timeout=15)  # noqa: S501 - the certificate is our own, made a second ago
    with client:
        yield Site(f"https://localhost:{port}", guard, client)
    run_sync(guard.blocking().store.close())


def places(folder: Path) -> str:
    """Write the database of PLACES; return its path."""
    made = writer("gatehound-test-City")
    for network, (country, city, number) in PLACES.items():
        made.insert_network(IPSet([network]), city_record(country, city, number))
    path = folder / "places.mmdb"
    made.to_db_file(str(path))
    return str(path)

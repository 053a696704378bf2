"""What the tests of detection share: requests, addresses, agents, and tiny databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

from gatehound._sync import run_sync
from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.detection import (
    Detection,
    DetectionSettings,
    Judgement,
    Networks,
    Observation,
    PolicySettings,
    describe,
    digest,
)
from gatehound.detection.device import unmasked
from gatehound.model import Activity, Device, Network, Request, Session

# The same examples in every run, and no time limit: a shared machine may be slow.
FIXED = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

HOME = ip_address("192.0.2.1")
NOW = 1_800_000_000.0
DAY = 86_400.0

CHROME_WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
CHROME_WINDOWS_131 = CHROME_WINDOWS.replace("130", "131")
CHROME_WINDOWS_129 = CHROME_WINDOWS.replace("130", "129")
CHROME_ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Mobile Safari/537.36"
)
CHROME_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) CriOS/130.0.0.0 Mobile/15E148 Safari/604.1"
)
EDGE_WINDOWS = CHROME_WINDOWS + " Edg/130.0.0.0"
SAFARI_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
SAFARI_IPAD = SAFARI_IPHONE.replace("iPhone; CPU iPhone OS", "iPad; CPU OS")
SAFARI_MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Safari/605.1.15"
)
FIREFOX_LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
FIREFOX_UBUNTU = FIREFOX_LINUX.replace("X11; Linux", "X11; Ubuntu; Linux")
WEBVIEW_ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP1A; wv) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36"
)
EXOPLAYER = "ExoPlayerDemo/2.1 (Linux;Android 13) ExoPlayerLib/2.18"
CURL = "curl/8.5.0"
# N35: what loads media and files for a page, and describes itself in its own way.
PLAYERS = (
    EXOPLAYER,
    "stagefright/1.2 (Linux;Android 12)",
    "AppleCoreMedia/1.0.0.21F90 (iPhone; U; CPU OS 17_5 like Mac OS X; en_us)",
    "AppleCoreMedia/1.0.0.21F90 (Macintosh; U; Intel Mac OS X 10_15_7; en_us)",
    "VLC/3.0.18 LibVLC/3.0.18",
    "Lavf/58.76.100",
    "NSPlayer/12.00.19041.1 WMFSDK/12.00.19041.1",
    "AndroidDownloadManager/13 (Linux; U; Android 13; Pixel 7 Build/TQ1A)",
    "Free Download Manager/6.0",
    "Mozilla/3.0 (compatible; Acrobat 5.0; Windows)",
)

# Documentation ranges (RFC 5737, RFC 3849) and ASNs (RFC 5398).
ISP = Network("192.0.2.0/24", 64496, "Home ISP", "DE", "EU", "Berlin", 2950159, 7)
ISP_OTHER = Network("192.0.3.0/24", 64496, "Home ISP", "DE", "EU", "Hamburg", 2911298, 7)
CELL = Network("198.51.100.0/24", 64497, "Mobile", "DE", "EU", "", 0, 7)
FRANCE = Network("203.0.113.0/24", 64498, "Autre", "FR", "EU", "Paris", 2988507, 7)
AMERICA = Network("203.0.114.0/24", 64499, "Other", "US", "NA", "New York", 5128581, 7)
V6 = Network("2001:db8:1:1::/64", 64496, "Home ISP", "DE", "EU", "", 0, 7)
V6_NEAR = Network("2001:db8:1:2::/64", 64496, "Home ISP", "DE", "EU", "", 0, 7)


@dataclass
class FakeRequest(Request):
    """A request made of what the test says; header names in any case.

    Every browser says which languages it wants: set that to "" for what is none.
    """

    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    agent: str = CHROME_WINDOWS
    query: str = ""
    websocket: bool = False
    scheme: str = "https"
    host: str = "app.example"
    cookie: str = ""

    def header(self, name: str) -> str:
        sent = {key.lower(): value for key, value in self.headers.items()}
        return {"accept-language": "en", **sent}.get(name.lower(), "")

    def locate(self, resolver: ClientIPResolver) -> ClientIP:
        return resolver.resolve(peer=str(HOME), headers=[])


_RESOLVER = ClientIPResolver()


def client(address: str | None = str(HOME)) -> ClientIP:
    """Return a resolved address, or an unresolved one for None."""
    return _RESOLVER.resolve(peer=address, headers=[])


def session(public_id: str = "a" * 16, **changes: Any) -> Session:
    """Return a stored session, last seen at NOW."""
    fields: dict[str, Any] = {
        "public_id": public_id,
        "user_id": "ada",
        "roles": (),
        "created": NOW - 3600,
        "authenticated_at": NOW - 3600,
        "last_seen": NOW,
        "expires": NOW + DAY,
        "idle_expires": NOW + 3600,
        "methods": ("password",),
        "aal": 1,
        "remembered": False,
    }
    return Session(**{**fields, **changes})


def observe(agent: str = CHROME_WINDOWS, **changes: Any) -> Observation:
    """Return an observation of a navigation."""
    fields: dict[str, Any] = {
        "request": FakeRequest(agent=agent),
        "activity": Activity.NAVIGATE,
        "client_ip": client(),
        "now": NOW,
        "network": ISP,
        "device": describe(agent),
        "agent_digest": digest(agent),
        "session": session(),
    }
    fields.update(changes)
    if "device" not in changes:
        fields["device"] = device_of(fields["request"])
    return Observation(**fields)


def device_of(request: Request) -> Device:
    """What a guard says of the browser behind a request."""
    hints, accept = request.header("sec-ch-ua"), request.header("accept")
    return unmasked(describe(request.agent), hints, accept)


def detection(
    mode: str = "flag",
    detectors: Any = None,
    networks: Networks | None = None,
    policy: PolicySettings | None = None,
    **fields: Any,
) -> Detection:
    """Return a Detection with default settings but for what is given."""
    settings = DetectionSettings(mode=mode, **fields)  # type: ignore[arg-type] # text from tables
    return Detection(settings, policy or PolicySettings(), networks or Networks(), detectors)


class Story:
    """One session told step by step; what is judged is stored, as a guard would."""

    def __init__(self, detection: Detection, *, user_memory: bytes = b"", **fields: Any) -> None:
        self.detection = detection
        self.memory = b""
        self.user_memory = user_memory
        self.flagged = False
        self.now = NOW
        self.fields = fields

    def step(
        self,
        network: Network = ISP,
        agent: str = CHROME_WINDOWS,
        *,
        after: float = 60.0,
        activity: Activity = Activity.NAVIGATE,
        path: str = "/",
        **changes: Any,
    ) -> Judgement:
        self.now += after
        fields: dict[str, Any] = {
            "request": FakeRequest(agent=agent, path=path),
            "activity": activity,
            "client_ip": client(None if not network.prefix else str(HOME)),
            "network": network,
            "device": describe(agent),
            "agent_digest": digest(agent),
            "session": session(last_seen=self.now, flagged=self.flagged),
            "is_new_context": True,
            "now": self.now,
        }
        stored: dict[str, Any] = {
            "memory": self.memory,
            "user_memory": self.user_memory,
            "flagged": self.flagged,
        }
        for given in (self.fields, changes):
            for name, value in given.items():
                (stored if name in stored else fields)[name] = value
        if "device" not in {**self.fields, **changes}:
            fields["device"] = device_of(fields["request"])
        judged = run_sync(self.detection.judge(Observation(**fields), **stored))
        self.memory, self.user_memory = judged.memory, judged.user_memory
        if judged.flag is not None:
            self.flagged = judged.flag
        return judged


def codes(judged: Judgement) -> list[str]:
    """Return the codes that this call found."""
    return [signal.code for signal in judged.fresh]


def place(
    country: str, continent: str, city: str = "", place_id: int = 0, country_id: int = 0
) -> dict[str, Any]:
    """Return a City record in the shape of GeoLite2."""
    return {
        "city": {"geoname_id": place_id, "names": {"en": city}},
        "continent": {"code": continent, "names": {"en": continent}},
        "country": {"iso_code": country, "geoname_id": country_id, "names": {"en": country}},
    }


CITY_RECORDS: dict[str, Any] = {
    "192.0.2.0/25": place("DE", "EU", "Berlin", 2950159, 2921044),
    "192.0.2.128/25": place("DE", "EU", "Munich", 2867714, 2921044),
    "198.51.100.0/24": place("FR", "EU", "Paris", 2988507, 3017382),
    "203.0.113.0/25": place("US", "NA", "New York", 5128581, 6252001),
    "2001:db8:1::/48": place("DE", "EU", "Berlin", 2950159, 2921044),
    "2001:db8:2::/48": place("FR", "EU", "Paris", 2988507, 3017382),
}
ASN_RECORDS: dict[str, Any] = {
    "192.0.2.0/24": {
        "autonomous_system_number": 64496,
        "autonomous_system_organization": "Home ISP",
    },
    "198.51.100.0/24": {
        "autonomous_system_number": 64497,
        "autonomous_system_organization": "Autre",
    },
    "2001:db8:1::/48": {
        "autonomous_system_number": 64496,
        "autonomous_system_organization": "Home ISP",
    },
}


def write_database(path: Path, database_type: str, records: Mapping[str, Any]) -> str:
    """Write a MaxMind DB file and return its path."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=database_type)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return str(path)

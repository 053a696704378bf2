"""The tiny internet that the demo plays: networks, places and the people in them.

Everything here is made up. Addresses come from the ranges for documentation (RFC 5737, RFC
3849) and AS numbers from theirs (RFC 5398), so that none of them can belong to anybody. What
the shipped databases say of them is made by tests/make_demo_databases.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody sits: a name for people, and the address that the internet sees."""

    key: str
    title: str
    address: str


@dataclass(frozen=True, slots=True)
class Computer:
    """A browser, or what calls itself one, in a place."""

    title: str
    agent: str
    place: Place


HOME: Final = Place("home", "Home in Berlin", "203.0.113.24")
MOBILE: Final = Place("mobile", "Mobile network in Berlin", "2001:db8:49:1::7")
OFFICE: Final = Place("office", "Office in London", "198.51.100.41")
LIBRARY: Final = Place("library", "Library in Toronto", "2001:db8:1:20::3")
HOSTING: Final = Place("hosting", "A rented server in Singapore", "192.0.2.66")
HAMBURG: Final = Place("hamburg", "A café in Hamburg", "2001:db8:40:5::9")
LEEDS: Final = Place("leeds", "A café in Leeds", "2001:db8:44:5::9")
MONTREAL: Final = Place("montreal", "A café in Montréal", "2001:db8:10:5::9")

# What the sign-in page offers, and all that the edge knows.
OFFERED: Final = (HOME, MOBILE, OFFICE, LIBRARY)
PLACES: Final = MappingProxyType(
    {place.key: place for place in (*OFFERED, HOSTING, HAMBURG, LEEDS, MONTREAL)}
)
# The careful thief takes a network in the country of the visitor.
NEARBY: Final = MappingProxyType(
    {"home": HAMBURG, "mobile": HAMBURG, "office": LEEDS, "library": MONTREAL}
)

CHROME: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
SAFARI: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)
SCRIPT: Final = "python-requests/2.32.5"

# Other devices of the visitor that a button on the page plays.
DEVICES: Final = MappingProxyType(
    {
        "phone": Computer("phone", SAFARI, MOBILE),
        "library": Computer("library computer", FIREFOX, LIBRARY),
    }
)

USERS: Final = MappingProxyType({"alice": "Alice", "bob": "Bob", "carol": "Carol, an admin"})
ADMINS: Final = ("carol",)
ADMIN_PATH: Final = "/admin"
PLACE_COOKIE: Final = "demo_place"


def place_of(key: str) -> Place:
    """Return the place of that key, and home for any text that is none."""
    return PLACES.get(key, HOME)


def place_in(cookies: str) -> Place:
    """Read from a Cookie header which place the visitor chose."""
    for pair in cookies.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == PLACE_COOKIE:
            return place_of(value)
    return HOME

"""What the page's buttons do to the visitor's own session, over real requests on loopback.

The thief has the cookie and nothing else; what he is told comes back through the same socket,
edge and guard as any visitor's request. Blocking: run it in a thread.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from gatehound.cli.demo.browser import Browser, Exchange
from gatehound.cli.demo.world import HOSTING, NEARBY, SCRIPT, Computer, Place

TITLES: Final = MappingProxyType(
    {
        "careless": "A script with your cookie, on a rented server on another continent.",
        "careful": "Your cookie and your browser's exact text, in your country, on another "
        "provider's network.",
        "forged": "Your cookie with one character changed, from where you are.",
    }
)


def replay(
    kind: str, here: tuple[str, int], cookie: tuple[str, str], agent: str, place: Place
) -> dict[str, Any]:
    """Ask for /who with the visitor's cookie as a thief would; return what to show of it.

    `kind` is a key of TITLES, `cookie` name and value, `agent` and `place` the visitor's own.
    """
    name, value = cookie
    thief = Browser(here, agent, place)
    if kind == "careless":
        thief.agent, thief.place = SCRIPT, HOSTING
    elif kind == "careful":
        thief.place = NEARBY.get(place.key, HOSTING)
    else:
        value = forged(value)
    thief.jar[name] = value
    exchange = thief.get("/who")
    return {"kind": kind, "title": TITLES[kind], **_shown(exchange)}


def sign_in_elsewhere(computer: Computer, here: tuple[str, int], user: str) -> bool:
    """Sign the visitor in on another device; False where that was refused."""
    browser = Browser(here, computer.agent, computer.place)
    answer = browser.post("/sign-in", {"user": user, "place": computer.place.key})
    return answer.status == 303


def forged(value: str) -> str:
    """Change one character, among those that the page shows, so that it looks like one of ours."""
    place = min(len(value) // 2, 6)
    other = "A" if value[place] != "A" else "B"
    return f"{value[:place]}{other}{value[place + 1 :]}"


def _shown(exchange: Exchange) -> dict[str, Any]:
    try:
        told = exchange.json()
    except ValueError:
        told = {}
    return {"sent": exchange.sent, "got": exchange.got[:1], "told": told}

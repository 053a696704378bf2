"""The known-device cookie: which users a browser has signed in before.

A login leaves it for a year, and the next login of the same user in the same browser is then on
a known device. Rules:
  1. It signs nobody in, and proves nothing: it only says that a login is less of a surprise. A
     copy that was stolen together with a session's cookie makes the thief's login known too.
  2. Only a login reads it, and only a login or a passed proof writes it. What does not verify is
     a device that is not known, and no event: a browser keeps old ones for a year, and they would
     use up what is told of cookies that somebody made up for a session.
  3. One cookie for each user, named after the alias, so that the users of one browser do not
     overwrite each other. The name is not signed, the alias inside is.
  4. Every cookie is sent with every request, so a browser keeps few, however many sign in there.
  5. Nothing is stored: it cannot be revoked one by one, and has no need to be.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from gatehound.cookie_shape import CookieShape, attribute_text, device_shape
from gatehound.cookies import MAX_CANDIDATES, REMEMBERED, CookieCodec, Ticket
from gatehound.passage import Passage

LIFE: Final = 365 * 86_400  # seconds; browsers cap it at 400 days (RFC 6265bis 5.6.2)
# Users of one browser: 155 bytes each on every request. Servers commonly take header lines of
# 8 KiB, some of 4.
MAX_DEVICES: Final = 4
# Two, so that a browser which has more ends with fewer; not all, or one who plants hundreds
# could make the answer to a login larger than a proxy takes.
MAX_REMOVED: Final = 2
MAX_LOOKED_AT: Final = 32  # each may cost a MAC, at a login alone
_ALIAS: Final = slice(0, 2)  # two users of one browser collide once in 65,536, and then overwrite


class DeviceCookies:
    """Recognise the browsers that have signed a user in, and leave the cookie that says so.

    Takes keys and namespace as CookieCodec does, and the session cookie's shape. Immutable; any
    thread or loop may share one.
    """

    def __init__(self, *, secret_keys: Sequence[str], namespace: str, shape: CookieShape) -> None:
        self.shape = device_shape(shape)
        self._codec = CookieCodec(
            secret_keys=secret_keys, namespace=namespace, shape=self.shape, purpose="device"
        )
        self._tail = attribute_text(self.shape)
        self._prefix = f"{self.shape.name}-"
        # As in CookieCodec: a delimiter, blanks that are SP and HTAB alone, and the value.
        self._pattern = re.compile(
            rf"(?:\A|([;,]))[ \t]*({re.escape(self._prefix)}[0-9a-f]{{4}})=([^;,]*)"
        )

    def name(self, alias: bytes) -> str:
        """Return the name of a user's cookie."""
        return self._prefix + alias[_ALIAS].hex()

    def recognise(self, passage: Passage, alias: bytes) -> bytes | None:
        """Return the 8 bytes that name this browser to this user; None where it is new to them.

        `passage.now` has to be the store's.
        """
        name = self.name(alias)
        values = (value for other, value in self._brought(passage) if other == name)
        for value in islice(values, MAX_CANDIDATES):
            ticket = self._codec.open(value)
            if ticket and ticket.alias == alias and ticket.expires * 1000 > passage.now:
                return ticket.sid
        return None

    def leave(self, passage: Passage, alias: bytes, device: bytes | None) -> None:
        """Send a new cookie for this user, and take away those for which there is no room.

        `device` is what `recognise` returned; None mints one.
        """
        own = self.name(alias)
        others = {name: value for name, value in self._brought(passage) if name != own}
        for name in self._without_room(others):
            # Without Expires, which would double it: a client that knows no Max-Age
            # (RFC 6265bis 4.1.2.2) drops the empty one with the browser session.
            passage.cookies[name] = f"{name}=; Max-Age=0{self._tail}"
        ticket = Ticket(
            sid=device or secrets.token_bytes(8),
            alias=alias,
            secret=secrets.token_bytes(32),
            expires=min(passage.now // 1000 + LIFE, 0xFFFFFFFF),
            flags=REMEMBERED,
            attributes=self.shape.digest,
        )
        passage.cookies[own] = f"{own}={self._codec.seal(ticket)}; Max-Age={LIFE}{self._tail}"

    def unsend(self, passage: Passage) -> None:
        """Leave what the browser holds under these names as it is."""
        for name in [name for name in passage.cookies if name.startswith(self._prefix)]:
            del passage.cookies[name]

    def _brought(self, passage: Passage) -> Iterator[tuple[str, str]]:
        request = passage.request
        found = self._pattern.finditer(request.cookie)
        for match in islice(found, MAX_LOOKED_AT):
            if match[1] != "," or request.commas:
                yield match[2], match[3].rstrip(" \t")

    def _without_room(self, others: dict[str, str]) -> list[str]:
        """Name the cookies to remove: what opens for nobody first, then the oldest."""
        too_many = len(others) + 1 - MAX_DEVICES
        if too_many <= 0:
            return []
        alive: dict[str, int] = {}
        for name, value in others.items():
            ticket = self._codec.open(value)
            if (
                ticket
                and ticket.attributes == self.shape.digest
                and self.name(ticket.alias) == name
            ):
                alive[name] = ticket.expires
        # A Set-Cookie reaches no cookie of another Domain or Path, so what does not verify, or
        # was set with other attributes, may come back for ever: it must not stand in the way of
        # removing what our own logins add.
        oldest = sorted(alive, key=alive.__getitem__)
        surely = max(0, len(alive) + 1 - MAX_DEVICES)
        dead = [name for name in others if name not in alive]
        return [*oldest[:surely], *dead, *oldest[surely:]][: min(too_many, MAX_REMOVED)]

"""Sign and open the session cookie; read Cookie lines, write Set-Cookie.

What the cookie is
  60 bytes: version u8, key id u8, flags u8, attributes u8, sid 8, alias 12, secret 32, expires u32
  (big-endian). Written as 80 characters of base64url, ".", and 43 characters of HMAC-SHA-256
  over those 80 characters: 124 in all. Changing one field means a new version number, and
  readers that know both.

Rules
  1. Nothing in a cookie is believed before its MAC. Length, alphabet and version are looked at
     first only to refuse; the key id only chooses which key has to agree.
  2. One ticket has one spelling. Base64 leaves two bits of the last MAC character unused, and
     decoders skip characters they do not know; `_CANONICAL` admits only what encoding makes.
  3. The key is derived from the secret key, the purpose and the namespace. Two sites that share a
     secret key, or two purposes on one site, cannot open each other's cookies.
  4. A cookie that verifies may be over: its expiry is returned, and the store decides.
  5. No input from a client raises, and none costs more than `MAX_CANDIDATES` MACs.
  6. What verified once is remembered by its whole text, for a bounded number of cookies: the same
     text verifies again without a MAC. What did not verify is never remembered.
  7. Writing needs no state: `set_header` and `clear_header` use the same attributes, because a
     browser takes a cookie with another Domain or Path for another cookie (RFC 6265bis 5.7).

What must not be here: a store, a clock, an opinion on whose session it is.
`http.cookies.SimpleCookie` is not used: one cookie that it cannot parse makes it drop the whole
line, so that a cookie of another app would sign the user out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import AnyStr

import msgspec
from itsdangerous.signer import Signer, SigningAlgorithm

from gatehound.cookie_shape import CookieShape, attribute_text
from gatehound.errors import SettingsError

VERSION = 1
REMEMBERED = 1 << 0  # the cookie outlives the browser: it was set with Max-Age
ANONYMOUS = 1 << 1  # the session belongs to nobody yet; its alias is random

# Two occur honestly (a change of Domain leaves the old cookie beside the new one); a sub-domain
# that plants cookies can send dozens, each of which would cost a MAC.
MAX_CANDIDATES = 4
# Cookies whose text is remembered with what it says, about 1 KB each. A MAC, and what stands
# around it, is a fifth of what a request costs.
REMEMBERED_TEXTS = 4096
# RFC 2104 asks for a key as long as the hash's output: 32 bytes for SHA-256.
MIN_KEY_LENGTH = 32

_LAYOUT = struct.Struct(">BBBB8s12s32sI")
_PAYLOAD_LENGTH = 80
COOKIE_LENGTH = 124
# 43 characters carry 258 bits, the MAC has 256: the last character ends in two zero bits.
_CANONICAL = re.compile(r"[A-Za-z0-9_-]{80}\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")

_VALUE = re.compile(r"[^;,]*")

_LABEL = re.compile(r"[a-z0-9-]{1,32}")  # no dot: "a.b" + "c" must not equal "a" + "b.c"


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """What a cookie that verifies says.

    `sid` is 8 bytes and names the session; `alias` is 12 bytes and stands for the user; `secret`
    is 32 bytes and authenticates, so it stays out of the repr. `expires` is the absolute expiry in
    Unix seconds (u32), which may be past. `flags` (u8) holds REMEMBERED and ANONYMOUS.
    `attributes` (u8) is the `CookieShape.digest` that the cookie was set with: where it differs
    from the present one, the settings have changed and the cookie is due to be set again.
    """

    sid: bytes
    alias: bytes
    secret: bytes
    expires: int
    flags: int
    attributes: int

    def __repr__(self) -> str:
        return f"Ticket(sid={self.sid!r}, alias={self.alias!r}, expires={self.expires}, ...)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Say no more than `repr` to rich, whose tracebacks show local variables."""
        return [("sid", self.sid), ("alias", self.alias), ("expires", self.expires)]


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What the Cookie lines of one request hold under our name.

    `ticket` is None where no cookie verifies. `candidates` counts the cookies of our name and
    stops at MAX_CANDIDATES + 1; `too_many` says that it got there, and then none was tried.
    `forged` counts those that did not verify: made up, cut off, or signed by a key, a namespace
    or a version that is not ours. `stale_key` is true where a key that is not the newest verified.
    """

    ticket: Ticket | None
    forged: int
    candidates: int
    too_many: bool
    stale_key: bool


class _Forged(Exception):
    """A cookie that did not verify."""


_ONE_FORGED = Reading(ticket=None, forged=1, candidates=1, too_many=False, stale_key=False)
_NOTHING = Reading(ticket=None, forged=0, candidates=0, too_many=False, stale_key=False)


class _HMACSHA256(SigningAlgorithm):
    """HMAC-SHA-256 in one call: itsdangerous' own builds an object for each signature."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class CookieCodec:
    """Seal tickets into cookies, and find and open them in requests.

    `secret_keys` are newest first, each of at least 32 characters: the first seals, all open.
    `namespace` and `purpose` are 1 to 32 of a-z, 0-9 and "-"; another value of either is another
    key. Raises SettingsError with every problem of keys, labels and shape.
    Immutable; any thread or loop may share one.
    """

    def __init__(
        self,
        *,
        secret_keys: Sequence[str],
        namespace: str,
        shape: CookieShape,
        purpose: str = "session",
    ) -> None:
        problems = [*_key_problems(secret_keys), *shape.problems()]
        problems += _label_problems(namespace=namespace, purpose=purpose)
        if problems:
            raise SettingsError(problems)
        self.shape = shape
        salt = f"gatehound.{purpose}.{namespace}"
        signers = [_signer(key, salt) for key in secret_keys]
        self._newest, self._newest_id = signers[0], _key_id(signers[0])
        # Key ids are one byte and may collide: an id names a list of (signer, is it stale).
        self._signers: dict[int, list[tuple[Signer, bool]]] = {}
        for place, signer in enumerate(signers):
            self._signers.setdefault(_key_id(signer), []).append((signer, place > 0))
        self._tail = attribute_text(shape)
        self.mark = f"{shape.name}="
        # Group 1 is the delimiter before the name, group 2 the value up to the next one: our
        # value holds neither ";" nor ",".
        # Blanks are SP and HTAB alone: str.strip() also takes U+00A0 and U+0085, with which a
        # page smuggles "\xa0__Host-..." past the browser's prefix check and into the real name.
        self._pattern = re.compile(rf"(?:\A|([;,]))[ \t]*{re.escape(self.mark)}([^;,]*)")
        self._verified = lru_cache(REMEMBERED_TEXTS)(self._verify)

    def seal(self, ticket: Ticket) -> str:
        """Return the cookie value of a ticket, signed by the newest key.

        Raises ValueError where a field has not its length or range, which is a fault of the
        caller and never of a client.
        """
        return self._seal(ticket, ticket.attributes)

    def open(self, value: str) -> Ticket | None:
        """Return what a cookie value says, or None where it is not ours or was tampered with.

        None does not tell forged from another namespace, purpose, version or an unknown key.
        A ticket past its expiry still opens.
        """
        opened = self._open(value)
        return opened[0] if opened else None

    def read(self, text: str, *, commas: bool) -> Reading:
        """Read what a request sent as Cookie: all lines, joined by "; " (ASGI) or by the server.

        `commas` says whether the server may have joined lines with "," (WSGI), as gunicorn,
        waitress and wsgiref do. "" means that no cookie was sent. Text is Latin-1.
        """
        times = text.count(self.mark)
        if times > 1:
            matches = self._pattern.finditer(text)
            wanted = (match for match in matches if commas or match[1] != ",")
            return self._choose(list(islice(wanted, MAX_CANDIDATES + 1)))
        value = self._only(text, commas) if times else None
        if value is None:
            return _NOTHING
        try:
            return self._verified(value)
        except _Forged:
            return _ONE_FORGED

    def set_header(self, ticket: Ticket, *, now: float) -> str:
        """Return the value of a Set-Cookie header.

        The cookie carries the digest of the attributes that this header sets, whatever
        `ticket.attributes` says: the caller cannot make a cookie that is due again at once.
        Max-Age is `expires - now` in whole seconds, at least 0, and only where REMEMBERED is
        set; else the cookie ends with the browser session. Give only tickets that are still
        valid: any Set-Cookie replaces what the browser holds. Raises ValueError as `seal` does.
        """
        value = self._seal(ticket, self.shape.digest)
        if not ticket.flags & REMEMBERED:
            return f"{self.mark}{value}{self._tail}"
        return f"{self.mark}{value}; Max-Age={max(0, int(ticket.expires - now))}{self._tail}"

    def clear_header(self) -> str:
        """Return the Set-Cookie value that removes the cookie. Only a logout may send it."""
        # Expires too: clients exist that know no Max-Age (RFC 6265bis 4.1.2.2 lets it win).
        return f"{self.mark}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{self._tail}"

    def _seal(self, ticket: Ticket, attributes: int) -> str:
        # struct would cut or zero-fill a field of another length, and say nothing.
        if (len(ticket.sid), len(ticket.alias), len(ticket.secret)) != (8, 12, 32):
            raise ValueError("a ticket has a sid of 8 bytes, an alias of 12 and a secret of 32")
        head = (VERSION, self._newest_id, ticket.flags, attributes)
        try:
            payload = _LAYOUT.pack(*head, ticket.sid, ticket.alias, ticket.secret, ticket.expires)
        except struct.error as error:
            raise ValueError(f"flags, attributes or expires out of range: {error}") from None
        return self._newest.sign(urlsafe_b64encode(payload)).decode("ascii")

    def _open(self, value: str) -> tuple[Ticket, bool] | None:
        """Return the ticket and whether a stale key verified it."""
        if len(value) != COOKIE_LENGTH or not _CANONICAL.fullmatch(value):
            return None
        signed, mac = value[:_PAYLOAD_LENGTH].encode("ascii"), value[_PAYLOAD_LENGTH + 1 :]
        version, key_id, flags, attributes, sid, alias, secret, expires = _LAYOUT.unpack(
            urlsafe_b64decode(signed)
        )
        if version != VERSION:
            return None
        for signer, stale in self._signers.get(key_id, ()):
            if signer.verify_signature(signed, mac):
                return Ticket(sid, alias, secret, expires, flags, attributes), stale
        return None

    def _only(self, text: str, commas: bool) -> str | None:
        """Return the value behind the one mark in a text; None where it is no cookie's name."""
        at = text.find(self.mark)
        if at:
            before = text[:at].rstrip(" \t")
            if before and before[-1] != ";" and not (commas and before[-1] == ","):
                return None
        value = text[at + len(self.mark) :]
        if len(value) == COOKIE_LENGTH and ";" not in value and "," not in value:
            return value
        match = _VALUE.match(value)
        return _unquote(match[0]) if match else ""

    def _verify(self, value: str) -> Reading:
        """Read one cookie; raise for one that is not ours, so that no cache keeps that."""
        opened = self._open(value)
        if opened is None:
            raise _Forged
        return Reading(opened[0], forged=0, candidates=1, too_many=False, stale_key=opened[1])

    def _choose(self, found: Sequence[re.Match[str]]) -> Reading:
        seen = len(found)
        if seen > MAX_CANDIDATES:
            return Reading(None, forged=0, candidates=seen, too_many=True, stale_key=False)
        # Behind a comma may stand a part of another cookie's value, which any sub-domain can
        # plant: it speaks only where nothing else verifies. Then the present attributes win, as
        # browsers send the older cookie first (RFC 6265bis 5.8.3), and after a change of Domain
        # that is the one which no Set-Cookie reaches any more, with a secret left behind.
        good = []
        for place, match in enumerate(found):
            if opened := self._open(_unquote(match[2])):
                is_old = opened[0].attributes != self.shape.digest
                good.append(((match[1] == ",", is_old, place), opened))
        ticket, stale = min(good)[1] if good else (None, False)
        return Reading(ticket, seen - len(good), seen, too_many=False, stale_key=stale)


def sole_value(line: AnyStr, mark: AnyStr, gap: AnyStr, end: AnyStr) -> AnyStr | None:
    """Return the value of a cookie as browsers send it: once, alone between "; " and ";".

    `mark` is its name and "=", `gap` is "; ", `end` is ";". None is said of all others, among
    which `read` finds one or not. Nothing is verified.
    """
    before, _, value = line.partition(mark)
    if len(value) != COOKIE_LENGTH:
        # `in` makes an exception for bytes, each time, before it looks for them.
        if value[COOKIE_LENGTH : COOKIE_LENGTH + 1] != end or value.find(mark) >= 0:
            return None
        value = value[:COOKIE_LENGTH]
    if before and before[-2:] != gap:
        return None
    return value


def _unquote(value: str) -> str:
    text = value.strip(" \t")
    # RFC 6265bis 4.1.1: cookie-value = *cookie-octet / ( DQUOTE *cookie-octet DQUOTE )
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _signer(key: str, salt: str) -> Signer:
    # itsdangerous derives at every signature; once is enough, as the salt never changes.
    derived = Signer(key, salt, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
    return Signer(derived, key_derivation="none", algorithm=_HMACSHA256())


def _key_id(signer: Signer) -> int:
    return hashlib.sha256(signer.derive_key()).digest()[0]


def _key_problems(secret_keys: Sequence[str]) -> Iterator[str]:
    # Keys are never quoted back: this text ends up in logs.
    if isinstance(secret_keys, str) or not secret_keys:
        given = "one text" if secret_keys else "no key"
        yield (
            f"secret_keys: {given} was given; a list of keys, newest first, is needed; "
            "make a key with `gatehound keygen`"
        )
        return
    for place, key in enumerate(secret_keys):
        # "ignore" drops lone surrogates: what os.environ makes of bytes that are not UTF-8.
        if len(key) < MIN_KEY_LENGTH or key.encode("utf-8", "ignore").decode() != key:
            yield (
                f"secret_keys[{place}]: {len(key)} characters were given; at least "
                f"{MIN_KEY_LENGTH}, all UTF-8, are needed; make a key with `gatehound keygen`"
            )


def _label_problems(**labels: str) -> Iterator[str]:
    for name, label in labels.items():
        if not _LABEL.fullmatch(label):
            yield f"{name}: {label!r} was given; allowed are 1 to 32 of a-z, 0-9 and '-'; rename it"

"""The record of a session as stores hold it, and its packed form.

A session is two small values, because they change at different times: the security part
(rewritten by rotation, re-authentication and flags) and the seen part (rewritten by a touch
and by a new network or agent). Both begin with a version byte, and both must stay at most
64 bytes: a larger value turns Redis's compact hash into a table of two to three times the
memory. Fields are append-only within a version.

All times are integers: milliseconds since 1970. All durations are milliseconds.

What every request makes anew is a msgspec.Struct: a frozen dataclass takes ten times as long to
make. `msgspec.structs.replace` changes a copy. Nothing here can be part of a cycle (`gc=False`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from gatehound.errors import SettingsError, StoreCorrupt
from gatehound.model import END_REASONS, METHODS, EndReason

VERSION: Final = 1  # what this release writes, unless it is told to write an older one
READS: Final = frozenset({1})  # what it reads: that, and the one before
MAX_VALUE_BYTES: Final = 64  # Redis's default hash-max-listpack-value
SID_BYTES: Final = 8
ALIAS_BYTES: Final = 12
HASH_BYTES: Final = 16
PAIR_BYTES: Final = 6
MAX_USER_ID_BYTES: Final = 512

# Flags of the security part.
REMEMBERED: Final = 1
ANONYMOUS: Final = 2
FLAGGED: Final = 4
STEP_UP: Final = 8
NOTIFIED: Final = 16  # its user and the admins were told of it
STANDING: Final = FLAGGED | STEP_UP | NOTIFIED  # what stands against a session
WATCHED: Final = 32  # something was found: sensitive routes look at it again

# Times take 48 bits and spans 40 (34 years): every byte here is paid for once a session.
# Positions are counted again by the scripts in stores/redis/scripts/core.lua: change both.
#
# version, flags, aal, methods, sid tag, secret hash, created, expires - created, idle seconds,
# and then, unless both are 0: authenticated - created, rotated - created
_SECURITY: Final = struct.Struct(">BBBH4s16s6s5sI")
_SINCE: Final = struct.Struct(">5s5s")
# version, last seen, shape, agent digest, and then what the shape says
_SEEN: Final = struct.Struct(">B6sB6s")
_PLACE: Final = struct.Struct(">I2s")
# What a part has at least, in every version that is read.
SECURITY_BYTES: Final = _SECURITY.size
SEEN_BYTES: Final = _SEEN.size
_TOMBSTONE: Final = struct.Struct(">BB6s")
# The shape: how many pairs (2 bits), which address (2 bits), whether place and country follow.
_V4: Final = 4
_V6: Final = 8
_HAS_PLACE: Final = 16
_ADDRESS_BYTES: Final = (0, 4, 16, 0)  # by the two bits of the shape
# Numbers of 48 and 40 bits are read in two pieces: struct does it, and no call for each.
_SECURITY_READ: Final = struct.Struct(">BBBH4s16sHIBII").unpack_from
_SEEN_READ: Final = struct.Struct(">BHIB6s").unpack_from
_FIRST: Final = slice(SEEN_BYTES, SEEN_BYTES + PAIR_BYTES)
_SECOND: Final = slice(SEEN_BYTES + PAIR_BYTES, SEEN_BYTES + 2 * PAIR_BYTES)


class Security(msgspec.Struct, frozen=True, gc=False):
    """Who may use the session, and until when.

    `secret_hash` is SHA-256(secret)[:16]. `rotated` is when the present secret came to be:
    at `create` it equals `created`, every rotation sets it to now.
    """

    sid: bytes
    secret_hash: bytes
    created: int
    authenticated: int
    expires: int
    idle: int
    flags: int = 0
    aal: int = 1
    methods: tuple[str, ...] = ("password",)
    rotated: int = 0

    def pack(self, version: int = VERSION) -> bytes:
        """Return the stored form: 40 bytes, 50 once it was rotated or authenticated again."""
        packed = _SECURITY.pack(
            version,
            self.flags,
            self.aal,
            methods_to_bits(self.methods),
            self.sid[:4],
            self.secret_hash,
            self.created.to_bytes(6),
            _since(self.created, self.expires),
            self.idle // 1000,
        )
        if self.authenticated <= self.created and self.rotated <= self.created:
            return packed
        return packed + _SINCE.pack(
            _since(self.created, self.authenticated), _since(self.created, self.rotated)
        )

    @classmethod
    def unpack(cls, sid: bytes, data: bytes) -> Security:
        """Read the stored form; StoreCorrupt where it is not one, or not of this `sid`."""
        size = len(data)
        if size < SECURITY_BYTES or data[0] not in READS:
            raise _unreadable(data, "security part")
        _, flags, aal, bits, tag, secret_hash, high, low, above, life, idle = _SECURITY_READ(data)
        if tag != sid[:4]:
            raise StoreCorrupt("the answer belongs to another session: a reply was mixed up")
        start = authenticated = rotated = high << 32 | low
        if size >= SECURITY_BYTES + _SINCE.size:
            since, last = _SINCE.unpack_from(data, SECURITY_BYTES)
            authenticated, rotated = start + int.from_bytes(since), start + int.from_bytes(last)
        return cls(  # by position: every request comes by here
            sid,
            secret_hash,
            start,
            authenticated,
            start + (above << 32 | life),
            idle * 1000,
            flags,
            aal,
            methods_from_bits(bits),
            rotated,
        )


class Seen(msgspec.Struct, frozen=True, gc=False):
    """Where the session was last used.

    `address` is 4 or 16 bytes, b"" unresolved. `country` is two letters or "". `place` is a
    GeoNames id, 0 unknown. `agent` is the digest of the User-Agent (gatehound.detection.device).
    `pairs` are digests of the two most recent (network, agent) pairs, newest first, b"" none.
    """

    last_seen: int
    address: bytes = b""
    country: str = ""
    place: int = 0
    agent: bytes = bytes(PAIR_BYTES)
    pairs: tuple[bytes, bytes] = (b"", b"")

    def pack(self, version: int = VERSION) -> bytes:
        """Return the stored form: 14 to 48 bytes, 30 for one pair, a place and an IPv4 address."""
        pairs = [pair for pair in self.pairs if pair]
        shape = len(pairs) | {0: 0, 4: _V4, 16: _V6}[len(self.address)]
        where = b""
        if self.place or self.country:
            shape |= _HAS_PLACE
            where = _PLACE.pack(self.place, self.country.encode("ascii"))
        head = _SEEN.pack(version, self.last_seen.to_bytes(6), shape, self.agent)
        return b"".join((head, *pairs, where, self.address))

    @classmethod
    def unpack(cls, data: bytes) -> Seen:
        """Read the stored form; StoreCorrupt where it is not one."""
        if len(data) < SEEN_BYTES or data[0] not in READS:
            raise _unreadable(data, "seen part")
        _, high, low, shape, agent = _SEEN_READ(data)
        count = shape & 3
        end = SEEN_BYTES + PAIR_BYTES * count
        size = _ADDRESS_BYTES[shape >> 2 & 3]
        if len(data) < end + size + (_PLACE.size if shape & _HAS_PLACE else 0):
            raise _unreadable(data, "seen part")
        first = data[_FIRST] if count else b""
        second = data[_SECOND] if count > 1 else b""
        place, country = 0, ""
        if shape & _HAS_PLACE:
            place, code = _PLACE.unpack_from(data, end)
            country = code.rstrip(b"\0").decode("latin-1")
            end += _PLACE.size
        return cls(high << 32 | low, data[end : end + size], country, place, agent, (first, second))


class Record(msgspec.Struct, frozen=True, gc=False):
    """One stored session: whose, what protects it, where it was last seen."""

    alias: bytes
    user_id: str
    roles: tuple[str, ...]
    security: Security
    seen: Seen

    @property
    def sid(self) -> bytes:
        """The 8 bytes that name the session; its public id is their hex form."""
        return self.security.sid

    @property
    def public_id(self) -> str:
        """The name of the session in pages, logs and URLs."""
        return self.security.sid.hex()

    @property
    def remembered(self) -> bool:
        """True where the user asked to stay signed in."""
        return bool(self.security.flags & REMEMBERED)

    def expiry(self, now: int) -> EndReason | None:
        """Say why the session is over at `now`, or None while it lives."""
        return expiry(
            now,
            expires=self.security.expires,
            idle=self.security.idle,
            last_seen=self.seen.last_seen,
        )


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """Why and when a session ended; kept as long as its cookie could come back."""

    reason: EndReason
    at: int

    def pack(self, version: int = VERSION) -> bytes:
        """Return the stored form: 8 bytes."""
        return _TOMBSTONE.pack(version, self.reason.code, self.at.to_bytes(6))

    @classmethod
    def unpack(cls, data: bytes) -> Tombstone:
        """Read the stored form; a reason of a later release reads as ADMIN."""
        _check(data, _TOMBSTONE.size, "tombstone")
        _, code, at = _TOMBSTONE.unpack_from(data)
        reason = END_REASONS[code] if code < len(END_REASONS) else EndReason.ADMIN
        return cls(reason, int.from_bytes(at))


@lru_cache(4096)
def secret_hash(secret: bytes) -> bytes:
    """What a store keeps of a secret: 256 random bits need no slow hash."""
    return hashlib.sha256(secret).digest()[:HASH_BYTES]


def expiry(now: int, *, expires: int, idle: int, last_seen: int) -> EndReason | None:
    """The one rule for the end of a session's time; limits count as reached at their instant."""
    if now >= expires:
        return EndReason.ABSOLUTE
    if now >= last_seen + idle:
        return EndReason.IDLE
    return None


def methods_to_bits(methods: Iterable[str]) -> int:
    """Turn names of METHODS into their stored bits; ValueError names one that is unknown."""
    bits = 0
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"unknown sign-in method {method!r}: use some of {', '.join(METHODS)}")
        bits |= 1 << METHODS.index(method)
    return bits


@lru_cache(256)
def methods_from_bits(bits: int) -> tuple[str, ...]:
    """Turn stored bits into names; bits of a later release read as "other"."""
    names = [name for position, name in enumerate(METHODS) if bits >> position & 1]
    if bits >> len(METHODS) and "other" not in names:
        names.append("other")
    return tuple(names)


def check_version(version: int) -> None:
    """Raise SettingsError for a version of the record that this release cannot write."""
    if version not in READS:
        allowed = ", ".join(str(known) for known in sorted(READS))
        raise SettingsError(
            f"write_version: {version} given; this release writes {allowed}; "
            f"leave it out for {VERSION}"
        )


def _since(start: int, end: int) -> bytes:
    """A span in 40 bits. A server's clock may have stepped back: then it is 0."""
    return max(end - start, 0).to_bytes(5)


def _check(data: bytes, size: int, what: str) -> None:
    if len(data) < size or data[0] not in READS:
        raise _unreadable(data, what)


def _unreadable(data: bytes, what: str) -> StoreCorrupt:
    version = data[0] if data else None
    return StoreCorrupt(f"{what} of {len(data)} bytes, version {version}: cannot be read")

"""The record of a session as stores hold it, and its packed form.

A session is two small values, because they change at different times: the security part
(rewritten by rotation, re-authentication and flags) and the seen part (rewritten by a touch
and by a new network or agent). Both begin with a version byte, and both must stay at most
64 bytes: a larger value turns Redis's compact hash into a table of two to three times the
memory. Fields are append-only within a version.

All times are integers: milliseconds since 1970. All durations are milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gatehound.errors import StoreCorrupt
from gatehound.model import END_REASONS, METHODS, EndReason

VERSION: Final = 1
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

# version, flags, aal, sid tag, secret hash, created, authenticated, expires, idle seconds,
# methods, rotated
_SECURITY: Final = struct.Struct(">BBB4s16sQQQIHQ")
# version, last seen, place id, country, agent digest, pair, pair, address length, address
_SEEN: Final = struct.Struct(">BQI2s6s6s6sB16s")
_TOMBSTONE: Final = struct.Struct(">BBQ")


@dataclass(frozen=True, slots=True)
class Security:
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

    def pack(self) -> bytes:
        """Return the stored form: 61 bytes."""
        return _SECURITY.pack(
            VERSION,
            self.flags,
            self.aal,
            self.sid[:4],
            self.secret_hash,
            self.created,
            self.authenticated,
            self.expires,
            self.idle // 1000,
            methods_to_bits(self.methods),
            self.rotated,
        )

    @classmethod
    def unpack(cls, sid: bytes, data: bytes) -> Security:
        """Read the stored form; StoreCorrupt where it is not one, or not of this `sid`."""
        _check(data, _SECURITY.size, "security part")
        _, flags, aal, tag, secret_hash, created, authenticated, expires, idle, bits, rotated = (
            _SECURITY.unpack_from(data)
        )
        if tag != sid[:4]:
            raise StoreCorrupt("the answer belongs to another session: a reply was mixed up")
        return cls(
            sid=sid,
            secret_hash=secret_hash,
            created=created,
            authenticated=authenticated,
            expires=expires,
            idle=idle * 1000,
            flags=flags,
            aal=aal,
            methods=methods_from_bits(bits),
            rotated=rotated,
        )


@dataclass(frozen=True, slots=True)
class Seen:
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

    def pack(self) -> bytes:
        """Return the stored form: 50 bytes."""
        return _SEEN.pack(
            VERSION,
            self.last_seen,
            self.place,
            self.country.encode("ascii"),
            self.agent,
            *self.pairs,
            len(self.address),
            self.address,
        )

    @classmethod
    def unpack(cls, data: bytes) -> Seen:
        """Read the stored form; StoreCorrupt where it is not one."""
        _check(data, _SEEN.size, "seen part")
        _, last_seen, place, country, agent, first, second, size, address = _SEEN.unpack_from(data)
        return cls(
            last_seen=last_seen,
            address=address[:size],
            country=country.rstrip(b"\0").decode("latin-1"),
            place=place,
            agent=agent,
            pairs=(_pair(first), _pair(second)),
        )


@dataclass(frozen=True, slots=True)
class Record:
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


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Why and when a session ended; kept as long as its cookie could come back."""

    reason: EndReason
    at: int

    def pack(self) -> bytes:
        """Return the stored form: 10 bytes."""
        return _TOMBSTONE.pack(VERSION, self.reason.code, self.at)

    @classmethod
    def unpack(cls, data: bytes) -> Tombstone:
        """Read the stored form; a reason of a later release reads as ADMIN."""
        _check(data, _TOMBSTONE.size, "tombstone")
        _, code, at = _TOMBSTONE.unpack_from(data)
        reason = END_REASONS[code] if code < len(END_REASONS) else EndReason.ADMIN
        return cls(reason, at)


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


def methods_from_bits(bits: int) -> tuple[str, ...]:
    """Turn stored bits into names; bits of a later release read as "other"."""
    names = [name for position, name in enumerate(METHODS) if bits >> position & 1]
    if bits >> len(METHODS) and "other" not in names:
        names.append("other")
    return tuple(names)


def _pair(data: bytes) -> bytes:
    return data if data.strip(b"\0") else b""


def _check(data: bytes, size: int, what: str) -> None:
    if len(data) < size or data[0] != VERSION:
        version = data[0] if data else None
        raise StoreCorrupt(f"{what} of {len(data)} bytes, version {version}: cannot be read")

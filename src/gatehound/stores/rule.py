"""The bounds and the small rules that all stores share, so that they are written once.

Times are milliseconds since 1970, durations milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    EventQuery,
    Finished,
    Holdings,
    Memory,
    NewSession,
    Query,
    Standing,
)
from gatehound.stores.record import ANONYMOUS, FLAGGED, Record, Security, Tombstone

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
TOMBSTONE_MAX: Final = 14 * DAY
TOMBSTONE_MIN: Final = HOUR
TOMBSTONES_PER_USER: Final = 8
EVENT_RETENTION: Final = 90 * DAY
USER_MEMORY_LIFE: Final = 90 * DAY
MAX_MEMORY_BYTES: Final = 4096  # of one session or one user; detectors share it
MAX_DATA_NAME_BYTES: Final = 128
MAX_DATA_VALUE_BYTES: Final = 65_536
MAX_DATA_FIELDS: Final = 256
MAX_AGENT_BYTES: Final = 512
MAX_COUNTER_NAMES: Final = 10_000  # of one kind in one window; more are not counted
MAX_SHELF_BYTES: Final = 256 * 1024  # read and written whole
MAX_TAIL: Final = 1000  # events in one answer

# With each so many logins a store that no clock of its own sweeps ends what is over, so that it
# does not grow where nobody calls `sweep`: twice as many as came, so that it catches up.
TIDY_EVERY: Final = 20
TIDY_SESSIONS: Final = 2 * TIDY_EVERY

# The old secret of a privilege rotation: what a parallel request still gets told kindly.
SUPERSEDED_FOR: Final = 60_000
# The old secret of a routine rotation, until the new one is first presented.
UNCONFIRMED_FOR: Final = 600_000
MAX_MOMENT: Final = 2**48 - 1  # as records keep times: the year 10889

_SHELF_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291, 2.5.5.2: an IPv4 address within IPv6
_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")  # as HINCRBY reads one


def fresh(new: NewSession, at: int) -> Record:
    """Return the record of a session that begins at `at`."""
    security = Security(
        sid=new.sid,
        secret_hash=new.secret_hash,
        created=at,
        authenticated=at,
        expires=at + new.absolute,
        idle=new.idle,
        flags=new.flags,
        aal=new.aal,
        methods=new.methods,
        rotated=at,
    )
    return Record(new.alias, new.user_id, new.roles, security, replace(new.seen, last_seen=at))


def event_for(template: Event | None, record: Record, at: int) -> Event | None:
    """Fill a template of `revoke` or `disable` in for one ended session; None stays None."""
    if template is None:
        return None
    return _filled(template, record, at, template.reason)


def event_for_all(template: Event | None, count: int) -> Event | None:
    """Fill the template of `revoke_everyone` in with how many it ended; None stays None."""
    if template is None:
        return None
    return replace(template, detail={**template.detail, "count": count}, at=0.0)


def unreadable_event(event_id: str, at: int) -> Event:
    """Stand in for an entry of the log that cannot be read; `at` 0 where that is not known.

    Who reads the log from place to place would never come past it otherwise.
    """
    reason = "an event in the log is damaged, or of another release"
    return Event("record_unreadable", reason=reason, at=at / 1000, id=event_id)


def finished_event(end: Finished, template: Event | None = None) -> Event:
    """The event that a store has written for a session that it ended."""
    if end.reason in (EndReason.IDLE, EndReason.ABSOLUTE):
        return expired_event(end.record, end.reason, end.at)
    if end.reason is EndReason.LIMIT:
        return limit_event(end.record, end.at)
    if end.reason is EndReason.REPLACED or template is None:
        return replaced_event(end.record, end.at)
    return _filled(template, end.record, end.at, template.reason)


def expired_event(record: Record, reason: EndReason, at: int) -> Event:
    """The event that a store writes when it notices that a session is over."""
    return _filled(Event("session_expired"), record, at, reason.value)


def told_expiry(record: Record, reason: EndReason, at: int) -> Event | None:
    """Return `expired_event` for a user, None for a visitor who never signed in."""
    # Visitors come and go all day long: their events would push out those of users.
    is_anonymous = record.security.flags & ANONYMOUS
    return None if is_anonymous else expired_event(record, reason, at)


def limit_event(record: Record, at: int) -> Event:
    """The event that a store writes when the limit ends a session."""
    return _filled(Event("session_terminated_limit"), record, at, EndReason.LIMIT.value)


def replaced_event(record: Record, at: int) -> Event:
    """The event that a store writes when a login takes the place of a session."""
    return _filled(Event("session_terminated"), record, at, EndReason.REPLACED.value)


def _filled(template: Event, record: Record, at: int, reason: str) -> Event:
    return Event(
        name=template.name,
        user_id=record.user_id,
        public_id=record.public_id,
        reason=reason,
        address=template.address,
        detail=template.detail,
        notify=template.notify,
        at=at / 1000,
    )


def ended_before(user: Holdings, not_before: int) -> Holdings:
    """Return a user of a copy with a tombstone for each session that ended with everybody's."""
    ended = dict(user.ended)
    for held in user.sessions:
        security = held.record.security
        if security.created < not_before:
            until = not_before + tombstone_life(not_before, security.expires)
            ended[security.sid] = (Tombstone(EndReason.EVERYONE, not_before), until)
    kept = tuple(held for held in user.sessions if held.record.sid not in ended)
    return replace(user, sessions=kept, ended=ended)


def tombstone_life(now: int, expires: int) -> int:
    """How long a tombstone is kept: while the cookie may come back, between 1 h and 14 d."""
    return min(max(expires - now, TOMBSTONE_MIN), TOMBSTONE_MAX)


def check_memory(*memories: Memory | None) -> None:
    """Raise ValueError for evidence that is too large to be kept."""
    for memory in memories:
        if memory is not None and len(memory.data) > MAX_MEMORY_BYTES:
            raise ValueError(
                f"evidence of {len(memory.data)} bytes: at most {MAX_MEMORY_BYTES} are kept"
            )


def check_data(values: Mapping[str, bytes]) -> None:
    """Raise ValueError for app data over the limits of one field."""
    for name, value in values.items():
        check_data_name(name)
        if len(value) > MAX_DATA_VALUE_BYTES:
            raise ValueError(
                f"data field {name!r} has {len(value)} bytes: at most "
                f"{MAX_DATA_VALUE_BYTES} are allowed; keep large things elsewhere"
            )


def check_data_name(name: str) -> None:
    """Raise ValueError for an empty or too long name of an app data field."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_DATA_NAME_BYTES:
        raise ValueError(f"data field name of {size} bytes: 1 to {MAX_DATA_NAME_BYTES} are allowed")


def check_shelf(name: str, data: bytes = b"") -> None:
    """Raise ValueError for a name or data that no shelf takes."""
    if not _SHELF_NAME.fullmatch(name):
        raise ValueError(f"shelf name {name!r} given: 1 to 32 of a-z, 0-9 and '-' are allowed")
    if len(data) > MAX_SHELF_BYTES:
        raise ValueError(f"shelf {name!r}: {len(data)} bytes given, {MAX_SHELF_BYTES} are allowed")


def incremented(name: str, stored: bytes, by: int) -> int:
    """Add to the decimal integer in a data field; ValueError as `data_incr` says."""
    if not _INTEGER.fullmatch(stored):
        raise ValueError(f"data field {name!r} holds no integer: set it to one first")
    total = int(stored) + by
    if not -(2**63) <= min(int(stored), total) <= max(int(stored), total) < 2**63:
        raise ValueError(f"data field {name!r} would leave 64 bits")
    return total


def matches(record: Record, query: Query) -> bool:
    """True where a session is one that the query looks for."""
    seen, security = record.seen, record.security
    return (
        (query.alias is None or record.alias == query.alias)
        and (query.flagged is None or bool(security.flags & FLAGGED) == query.flagged)
        and (query.country is None or seen.country == query.country)
        and (query.network is None or _within(seen.address, *query.network))
        and (query.created_before is None or security.created < query.created_before)
        and (query.seen_before is None or seen.last_seen < query.seen_before)
    )


def matches_event(event: Event, query: EventQuery) -> bool:
    """True where an event is one that the query looks for."""
    at = round(event.at * 1000)
    return (
        (query.user_id is None or event.user_id == query.user_id)
        and (query.public_id is None or event.public_id == query.public_id)
        and (query.names is None or event.name in query.names)
        and (query.since is None or at >= query.since)
        and (query.until is None or at < query.until)
        and (query.network is None or _is_in(event.address, *query.network))
    )


def _is_in(text: str, network: bytes, length: int) -> bool:
    """True where a text is an address of a network; both may be IPv4 in the dress of IPv6."""
    if network.startswith(_MAPPED) and length >= 8 * len(_MAPPED):
        network, length = network[len(_MAPPED) :], length - 8 * len(_MAPPED)
    return _within(_packed(text), network, length)


@lru_cache(4096)  # one client has many events
def _packed(text: str) -> bytes:
    """Return the bytes of an address, b"" for a text that is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return b""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).packed


def _within(address: bytes, network: bytes, length: int) -> bool:
    if len(address) != len(network):
        return False
    shift = len(network) * 8 - length
    return int.from_bytes(address) >> shift == int.from_bytes(network) >> shift


def clip_moment(moment: int) -> int:
    """Clip what an admin may have typed to times that every store can compare with."""
    return min(max(moment, 0), MAX_MOMENT)


def clip_text(text: str) -> str:
    """Clip what a client sent to 512 bytes of UTF-8, never in the middle of a character."""
    return text.encode("utf-8", "replace")[:MAX_AGENT_BYTES].decode("utf-8", "ignore")


def standing_of_previous(
    now: int, *, rotated: int, confirmed: int, grace: int | None
) -> tuple[Standing, str]:
    """What the secret before the current one is worth: the one rule for all stores.

    `rotated` is when it was replaced, `confirmed` when the new one was first presented (0:
    not yet), `grace` None for a privilege rotation.
    """
    if grace is None:
        fresh = now < rotated + SUPERSEDED_FOR
        return (Standing.SUPERSEDED, "") if fresh else (Standing.REUSED, "recent")
    if not confirmed:
        fresh = now < rotated + UNCONFIRMED_FOR
        return (Standing.GRACE, "") if fresh else (Standing.REUSED, "orphan")
    fresh = now < confirmed + grace
    return (Standing.GRACE, "") if fresh else (Standing.REUSED, "recent")

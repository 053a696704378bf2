"""Turn stored records into what people see, and what people name into what is stored."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from gatehound.detection import Detection, Networks, describe
from gatehound.errors import UsageError
from gatehound.model import NOTHING, Detail, Network, Session
from gatehound.stores.answer import Page, Query
from gatehound.stores.base import Store
from gatehound.stores.record import (
    ANONYMOUS,
    FLAGGED,
    MAX_USER_ID_BYTES,
    REMEMBERED,
    SID_BYTES,
    Record,
)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
UserId: TypeAlias = str | int
# Of one search: so many pages may hold others alone before a page without anybody is shown.
EMPTY_PAGES: Final = 20


class Users(msgspec.Struct, frozen=True):
    """How gatehound learns names: each callable is optional, and ids are shown without.

    `describe` takes user ids and returns {id: (name, avatar URL or "")}; `find` takes what an
    admin typed and returns the ids that it may mean. `mail` takes user ids and returns
    {id: mail address}, leaving out those who get no mail.
    """

    describe: Callable[[Collection[str]], Mapping[str, tuple[str, str]]] | None = None
    find: Callable[[str], Iterable[str]] | None = None
    mail: Callable[[Collection[str]], Mapping[str, str]] | None = None


class SessionPage(msgspec.Struct, frozen=True):
    """One page of sessions, newest first; `cursor` is "" on the last.

    `looked_at` is how many were looked at for it: Redis has no index by flag, country, address
    or last activity.
    """

    sessions: tuple[Session, ...]
    cursor: str = ""
    looked_at: int = 0


async def found_by(store: Store, query: Query, *, anonymous: bool = False) -> Page:
    """Search sessions of users or, with `anonymous`, those of visitors who are nobody.

    A page may be short, or empty, and not the last: where a store found nobody among thousands, it
    ends there, so that whoever asks can say so.
    """
    pages, looked_at = EMPTY_PAGES, 0
    while True:
        page = await store.search(query)
        looked_at += page.looked_at
        kept = [one for one in page.records if bool(one.security.flags & ANONYMOUS) is anonymous]
        pages -= 1
        if kept or not (page.records and page.cursor and pages):
            return replace(page, records=tuple(kept), looked_at=looked_at)
        query = replace(query, cursor=page.cursor)


class Bulk(msgspec.Struct, frozen=True):
    """What `terminate_where` did: how many sessions, and where to go on ("": at the end).

    `looked_at` is how many were looked at, matching or not.
    """

    count: int
    cursor: str = ""
    looked_at: int = 0


class FailedNetwork(msgspec.Struct, frozen=True):
    """One network from which logins failed: how often, and for how many users.

    `prefix` is a /24 of IPv4 or a /48 of IPv6, "" where no address may be kept; `place` and
    `organisation` are "" where nothing is known.
    """

    prefix: str
    attempts: int
    users: int
    place: str = ""
    organisation: str = ""


class FailedLogins(msgspec.Struct, frozen=True):
    """The failed logins of this hour of the clock (UTC), of the whole site.

    `users` and `networks` are counted up to 10,000. `worst` are the networks that failed for most
    users, the worst first; `guessed` says how many users reached
    `detection.failed_logins.attempts_per_user`.
    """

    attempts: int
    users: int
    networks: int
    worst: tuple[FailedNetwork, ...]
    guessed: int


def query_for(
    alias_of: Callable[[str], bytes],
    user_id: UserId | None,
    flagged: bool | None,
    country: str | None,
    network: str | None,
    created_before: float | None,
    seen_before: float | None,
) -> Query:
    """Turn conditions as admin code gives them into what a store looks for."""
    return Query(
        alias=None if user_id is None else alias_of(user_text(user_id)),
        flagged=flagged,
        country=country.upper() if country else None,
        network=network_of(network),
        created_before=milliseconds(created_before),
        seen_before=milliseconds(seen_before),
    )


async def shown(
    store: Store,
    detection: Detection,
    users: Users,
    records: Collection[Record],
    current: bytes | None = None,
) -> list[Session]:
    """Describe records for a list, in the same order; `current` is the caller's own sid."""
    if not records:
        return []
    agents = await store.agents({record.seen.agent for record in records})
    names = users.describe({r.user_id for r in records}) if users.describe else {}
    return [
        replace(
            present(record, detection.networks, agents.get(record.seen.agent, "")),
            user_name=names.get(record.user_id, ("", ""))[0],
            user_avatar=names.get(record.user_id, ("", ""))[1],
            reasons=await _reasons(store, detection, record),
            current=record.sid == current,
        )
        for record in records
    ]


@lru_cache(4096)  # the same few are shown again and again
def address_of(packed: bytes) -> Address | None:
    """Return the address of 4 or 16 bytes, None for b""."""
    if len(packed) == 4:  # without the questions that ip_address asks
        return ipaddress.IPv4Address(packed)
    return ipaddress.IPv6Address(packed) if packed else None


def present(record: Record, networks: Networks, agent: str = "") -> Session:
    """Turn one stored record into what people see."""
    address = address_of(record.seen.address)
    place = _place_of(networks.lookup(address)) if address else ""
    return _presented(record, address, place, agent)


def present_on(record: Record, network: Network) -> Session:
    """Present a record whose address was looked up already; it is shown without its agent."""
    return _presented(record, address_of(record.seen.address), _place_of(network), "")


def _presented(record: Record, address: Address | None, place: str, agent: str) -> Session:
    security, seen = record.security, record.seen
    return Session(  # by position: keywords of so many fields take six times as long
        security.sid.hex(),
        record.user_id,
        record.roles,
        security.created / 1000,
        security.authenticated / 1000,
        seen.last_seen / 1000,
        security.expires / 1000,
        min(seen.last_seen + security.idle, security.expires) / 1000,
        security.methods,
        security.aal,
        security.flags & REMEMBERED != 0,
        address,
        seen.country,
        place,
        agent,
        describe(agent).label if agent else "Unknown device",
        security.flags & FLAGGED != 0,
    )


def _place_of(network: Network) -> str:
    """Return `network.place`, which nearly always has both parts or none."""
    city, country = network.city, network.country
    return f"{city}, {country}" if city and country else city or country


def user_text(user_id: UserId) -> str:
    """Return a user id as text; UsageError for what cannot be one."""
    if isinstance(user_id, bool) or not isinstance(user_id, (str, int)):
        raise UsageError(f"user id {user_id!r} given; allowed are text and whole numbers")
    text = str(user_id)
    size = len(text.encode("utf-8", "replace"))
    if not 0 < size <= MAX_USER_ID_BYTES or not is_unicode(text):
        raise UsageError(
            f"user id of {size} bytes given; allowed are 1 to {MAX_USER_ID_BYTES} bytes of UTF-8"
        )
    return text


def is_unicode(text: str) -> bool:
    """False for text with lone surrogates, which no store can keep."""
    return text.encode("utf-8", "ignore").decode() == text


def sid_of(public_id: str) -> bytes | None:
    """Read a public id; None where it is not one (it may come from a client)."""
    try:
        sid = bytes.fromhex(public_id)
    except (ValueError, TypeError):
        return None
    return sid if len(sid) == SID_BYTES and sid.hex() == public_id else None


def network_of(text: str | None) -> tuple[bytes, int] | None:
    """Read an address or CIDR text; ValueError says what is wrong with it."""
    if text is None:
        return None
    network = ipaddress.ip_network(text, strict=False)
    return network.network_address.packed, network.prefixlen


def country_of(text: str | None) -> str | None:
    """Read a country as sessions name it; ValueError for what is no code of two letters."""
    if text is None or (len(text) == 2 and text.isascii() and text.isalpha()):
        return text and text.upper()
    raise ValueError(f"{text!a} given; allowed are two letters of ISO 3166, such as DE")


def named_by(by: str) -> Detail:
    """Return the detail of what an admin did: who that was, nothing where nobody is named."""
    return {"by": by} if by else NOTHING


def milliseconds(seconds: float | None) -> int | None:
    """Turn seconds since 1970 into what stores count in; None stays None."""
    return None if seconds is None else int(seconds * 1000)


def exported(
    user_id: str, found: Mapping[str, Any], sessions: Collection[Session], detection: Detection
) -> dict[str, Any]:
    """Turn what a store holds of a user (Store.export) into plain JSON types."""
    return {
        "user_id": user_id,
        "disabled": found["disabled"],
        "sessions": [_plain(session) for session in sessions],
        "ended": {
            public_id: {"reason": tomb.reason.value, "at": tomb.at / 1000}
            for public_id, tomb in found["ended"].items()
        },
        "data": {
            public_id: {name: value.decode("utf-8", "replace") for name, value in data.items()}
            for public_id, data in found["data"].items()
        },
        "agents": {agent.hex(): text for agent, text in found["agents"].items()},
        "reasons": {
            public_id: list(detection.reasons(memory))
            for public_id, memory in found["memory"].items()
        },
        "evidence": {public_id: _unpacked(memory) for public_id, memory in found["memory"].items()},
        "user_evidence": _unpacked(found["user_memory"]),
        "events": [_plain(event) for event in found["events"]],
    }


def _unpacked(memory: bytes) -> Any:
    """Show stored evidence as it is; what cannot be read, as hex."""
    try:
        return _plain(msgspec.msgpack.decode(memory)) if memory else None
    except msgspec.DecodeError:
        return memory.hex()


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=_unknown_types, str_keys=True)


def _unknown_types(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return dict(value) if isinstance(value, Mapping) else str(value)


async def _reasons(store: Store, detection: Detection, record: Record) -> tuple[str, ...]:
    if not record.security.flags & FLAGGED:
        return ()
    memory, _ = await store.recall(record.alias, record.sid)
    return detection.reasons(memory.data)

"""The life of a session: create, load, rotate. Each function is the work of one transaction."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Answer, Created, Finished, Listed, NewSession, Refused, Standing
from gatehound.stores.record import Record, Tombstone, methods_to_bits
from gatehound.stores.rule import (
    HOUR,
    clip_text,
    fresh,
    limit_event,
    replaced_event,
    standing_of_previous,
)
from gatehound.stores.sqlite.ending import (
    all_of,
    bury,
    end,
    epoch,
    expire,
    is_disabled,
    living,
    not_before,
    stored,
    tombstone,
)
from gatehound.stores.sqlite.row import Row, Tx, roles_to, write_event, write_session

_USABLE: Final = (Standing.LIVE, Standing.GRACE)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a rotation changes beside the secret; see `Store.rotate`."""

    authenticated: bool
    methods: tuple[str, ...] | None
    aal: int | None
    absolute: int | None
    clear_flags: int


# --- create ---


def create(tx: Tx, new: NewSession, event: Event | None) -> Created | Refused:
    """Create a session as the contract says, in its order."""
    if is_disabled(tx, new.alias):
        return Refused("disabled", tx.now)
    records = all_of(tx, new.alias)
    finished = expire(tx, records)
    if (there := stored(tx, new.alias, new.sid)) is not None:
        same = hmac.compare_digest(there.record.security.secret_hash, new.secret_hash)
        return Created(there.record, tx.now) if same else Refused("sid", tx.now)
    if tombstone(tx, new.alias, new.sid) is not None:
        return Refused("sid", tx.now)  # a repeated call must not undo that it was ended since
    if new.epoch is not None and new.epoch != epoch(tx, new.alias):
        return Refused("epoch", tx.now)
    lives = [record for record in records if record.expiry(tx.now) is None]
    made_room = _make_room(tx, new, lives)
    if made_room is None:
        return Refused("limit", tx.now)
    # A clock that stepped back must not make what is over in a copy already.
    record = fresh(new, max(tx.now, not_before(tx)))
    _insert(tx, record, new)
    write_event(tx, event)
    return Created(record, tx.now, (*finished, *made_room))


def _make_room(tx: Tx, new: NewSession, records: list[Record]) -> tuple[Finished, ...] | None:
    """End what stands in the way of a new session; None, and nothing ended, if denied."""
    staying = [record for record in records if record.sid != new.replaces]
    pair = new.seen.pairs[0]
    staying.sort(key=lambda record: not pair or record.seen.pairs[0] != pair)
    surplus = [] if new.limit is None else staying[: max(len(staying) + 1 - new.limit, 0)]
    if surplus and new.on_limit == "deny":
        return None
    replaced = [record for record in records if record.sid == new.replaces]
    finished = [
        *(end(tx, old, EndReason.REPLACED, replaced_event(old, tx.now)) for old in replaced),
        *(end(tx, old, EndReason.LIMIT, limit_event(old, tx.now)) for old in surplus),
    ]
    if finished:
        bury(tx, new.alias)
    return tuple(finished)


def _insert(tx: Tx, record: Record, new: NewSession) -> None:
    alias, roles = record.alias, roles_to(record.roles)
    it, agent = record.security, record.seen.agent
    write_session(tx, record)
    # The roles of a user are those of the latest login.
    tx.db.execute(
        "UPDATE sessions SET roles = ? WHERE alias = ? AND roles <> ?", (roles, alias, roles)
    )
    if new.memory:
        tx.db.execute(
            "INSERT INTO memories (alias, sid, data, version, until) VALUES (?, ?, ?, 1, 0)",
            (alias, it.sid, new.memory),
        )
    note_agent(tx, agent, new.agent, it.expires)
    _outlast(tx, alias, agent, it.expires)


def _outlast(tx: Tx, alias: bytes, agent: bytes, expires: int) -> None:
    """Keep what belongs to a session for as long as it may live: epoch and agent text."""
    tx.db.execute(
        "UPDATE epochs SET until = max(until, ?) WHERE alias = ?", (expires + HOUR, alias)
    )
    tx.db.execute("UPDATE agents SET until = max(until, ?) WHERE digest = ?", (expires, agent))


def note_agent(tx: Tx, digest: bytes, agent: str, expires: int) -> None:
    """Keep the text of a User-Agent at least until `expires`; "" writes nothing."""
    if agent:
        tx.db.execute(
            "INSERT INTO agents (digest, agent, until) VALUES (?, ?, ?) ON CONFLICT (digest) "
            "DO UPDATE SET agent = excluded.agent, until = max(until, excluded.until)",
            (digest, clip_text(agent), expires),
        )


def sessions(tx: Tx, alias: bytes) -> Listed:
    """List the living sessions of a user, and end those whose time is over."""
    records = all_of(tx, alias)
    finished = expire(tx, records)
    lives = tuple(record for record in records if record.expiry(tx.now) is None)
    return Listed(lives, tx.now, finished, not lives and is_disabled(tx, alias))


def look_at_all(tx: Tx, alias: bytes) -> Listed | None:
    """Answer `sessions` where nothing is to be written; None where something is."""
    records = all_of(tx, alias)
    if any(record.expiry(tx.now) for record in records):
        return None
    return Listed(tuple(records), tx.now, disabled=not records and is_disabled(tx, alias))


def list_living(tx: Tx, alias: bytes) -> Listed:
    """List the living sessions of a user where nothing can be written now."""
    records = all_of(tx, alias)
    lives = tuple(record for record in records if not record.expiry(tx.now))
    return Listed(lives, tx.now, disabled=not lives and is_disabled(tx, alias))


# --- load ---


def standing(row: Row, secret_hash: bytes, now: int) -> tuple[Standing, str]:
    """Say what a secret of a living session is worth, and the class of its reuse."""
    security = row.record.security
    if hmac.compare_digest(security.secret_hash, secret_hash):
        return Standing.LIVE, ""
    if row.previous is None or not hmac.compare_digest(row.previous, secret_hash):
        return Standing.REUSED, "stale"
    return standing_of_previous(
        now, rotated=security.rotated, confirmed=row.confirmed, grace=row.grace
    )


def accepts(row: Row, secret_hash: bytes, now: int) -> bool:
    """True for the current secret of a living session and for one in its grace."""
    return standing(row, secret_hash, now)[0] in _USABLE


def ordinary(tx: Tx, alias: bytes, sid: bytes, secret_hash: bytes) -> Row | None:
    """Return a session of this secret, where there is nothing to write of its presentation."""
    row = stored(tx, alias, sid)
    if row is None or not hmac.compare_digest(row.record.security.secret_hash, secret_hash):
        return None
    return None if _confirms(row, Standing.LIVE) else row


def look(tx: Tx, alias: bytes, sid: bytes, secret_hash: bytes, touch: int | None) -> Answer | None:
    """Answer `load` where nothing is to be written; None where something is."""
    row = stored(tx, alias, sid)
    if row is None:
        return _gone(tx, alias, sid)
    if row.record.expiry(tx.now) is not None:
        return None
    found, reuse = standing(row, secret_hash, tx.now)
    if _confirms(row, found) or _slides(row, found, tx.now, touch):
        return None
    return Answer(found, tx.now, row.record, reuse=reuse)


def load(tx: Tx, alias: bytes, sid: bytes, secret_hash: bytes, touch: int | None) -> Answer:
    """Answer `load`, and write what `look` found to be due."""
    row = stored(tx, alias, sid)
    if row is None:
        return _gone(tx, alias, sid)
    if finished := expire(tx, [row.record]):
        ended = Tombstone(finished[0].reason, tx.now)
        return Answer(Standing.ENDED, tx.now, finished[0].record, ended, expired=True)
    found, reuse = standing(row, secret_hash, tx.now)
    if _confirms(row, found):
        tx.db.execute(
            "UPDATE sessions SET confirmed = ? WHERE alias = ? AND sid = ?",
            (tx.now, alias, sid),
        )
    record, was_seen = row.record, 0
    if _slides(row, found, tx.now, touch):
        tx.db.execute(
            # With its `rev`, as it is written most often: the trigger would update once more.
            "UPDATE sessions SET last_seen = ?, rev = random() WHERE alias = ? AND sid = ?",
            (tx.now, alias, sid),
        )
        was_seen = record.seen.last_seen
        record = replace(record, seen=replace(record.seen, last_seen=tx.now))
    return Answer(found, tx.now, record, reuse=reuse, was_seen=was_seen)


def judge(tx: Tx, alias: bytes, sid: bytes, secret_hash: bytes) -> Answer:
    """Answer `load` where nothing can be written now: what is due waits for a later call."""
    row = stored(tx, alias, sid)
    if row is None:
        return _gone(tx, alias, sid)
    reason = row.record.expiry(tx.now)
    if reason is not None:
        return Answer(Standing.ENDED, tx.now, ended=Tombstone(reason, tx.now))
    found, reuse = standing(row, secret_hash, tx.now)
    return Answer(found, tx.now, row.record, reuse=reuse)


def _again(tx: Tx, row: Row) -> Record:
    """Read a session again after it was changed in this step."""
    changed = stored(tx, row.record.alias, row.record.sid)
    return row.record if changed is None else changed.record


def _gone(tx: Tx, alias: bytes, sid: bytes) -> Answer:
    ended = tombstone(tx, alias, sid)
    return Answer(Standing.ENDED if ended else Standing.UNKNOWN, tx.now, ended=ended)


def _confirms(row: Row, found: Standing) -> bool:
    """True at the first presentation of a new secret after a routine rotation."""
    waiting = row.grace is not None and not row.confirmed
    return found is Standing.LIVE and waiting


def _slides(row: Row, found: Standing, now: int, touch: int | None) -> bool:
    return (
        touch is not None
        and found in _USABLE
        and now - row.record.seen.last_seen >= max(touch, 1)  # at 0 there is nothing to write
    )


# --- rotate ---


def rotate(
    tx: Tx,
    alias: bytes,
    sid: bytes,
    old_hash: bytes,
    new_hash: bytes,
    *,
    grace: int | None,
    upgrade: Upgrade,
    event: Event | None,
) -> Answer:
    """Replace the secret where `old_hash` may do that; else answer as `load` does."""
    row = living(tx, alias, sid)
    if row is not None:
        security = row.record.security
        if hmac.compare_digest(security.secret_hash, new_hash):
            return Answer(Standing.LIVE, tx.now, row.record)
        found, _ = standing(row, old_hash, tx.now)
        proven = upgrade.authenticated and grace is None
        if found is Standing.LIVE or (proven and found is Standing.GRACE):
            _replace_secret(tx, row, old_hash, new_hash, grace, upgrade)
            write_event(tx, event)
            return Answer(Standing.LIVE, tx.now, _again(tx, row))
    return load(tx, alias, sid, old_hash, None)


def _replace_secret(
    tx: Tx, row: Row, old_hash: bytes, new_hash: bytes, grace: int | None, upgrade: Upgrade
) -> None:
    record, old = row.record, row.record.security
    expires = old.expires if upgrade.absolute is None else tx.now + upgrade.absolute
    tx.db.execute(
        "UPDATE sessions SET secret = ?, previous = ?, rotated = ?, confirmed = 0, grace = ?, "
        "authenticated = ?, expires = ?, aal = ?, methods = ?, flags = ? "
        "WHERE alias = ? AND sid = ?",
        (
            *(new_hash, old_hash, tx.now, grace),
            tx.now if upgrade.authenticated else old.authenticated,
            expires,
            old.aal if upgrade.aal is None else upgrade.aal,
            methods_to_bits(old.methods if upgrade.methods is None else upgrade.methods),
            old.flags & ~upgrade.clear_flags,
            *(record.alias, record.sid),
        ),
    )
    _outlast(tx, record.alias, record.seen.agent, expires)

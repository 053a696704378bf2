"""The evidence of a session and that of its user, read and packed together.

A user's only session has taught both the same. As long as it has, to the byte, what they know is
read, taught and packed once: the sets of both are the same objects then. Who changes the sets of
one alone has to call `part` before.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from gatehound.detection.entry import Entry
from gatehound.detection.evidence import (
    ENCODE,
    HEAD,
    MAX_BYTES,
    MAX_SIGNALS,
    Evidence,
    Remembered,
    read,
)

Failures: TypeAlias = list[tuple[str, str]]

# The first entry: where sets differ at all, they differ in this, nearly always.
_GLANCE: Final = 48


class _Rest(msgspec.Struct, array_like=True, gc=False):
    """The fields of Evidence behind its first four sets."""

    signals: dict[str, Remembered]
    slots: dict[str, dict[str, Any]]
    kinds: dict[str, Entry]
    would: int


_NOTHING: Final = ENCODE(_Rest({}, {}, {}, 0))


def read_both(memory: bytes, user_memory: bytes) -> tuple[Evidence, Evidence, Failures]:
    """Return both, and what is wrong with which; what cannot be read is empty."""
    own, failure = read(memory)
    failures = [("memory", failure)] if failure else []
    is_near = memory[:_GLANCE] == user_memory[:_GLANCE] and not failure
    if is_near and _are_alike(own, memory, user_memory):
        sets = own.prefixes, own.networks, own.countries, own.agents
        return own, Evidence(*sets, {}, {}, own.kinds), failures
    user, failure = read(user_memory)
    if failure:
        failures.append(("user_memory", failure))
    return own, user, failures


def _are_alike(own: Evidence, memory: bytes, user_memory: bytes) -> bool:
    """True where the user's evidence is the sets of the session's, and nothing else."""
    if not user_memory:  # nor is there any of the session
        return True
    rest = ENCODE(_Rest(own.signals, own.slots, own.kinds, own.would))
    users = ENCODE(_Rest({}, {}, own.kinds, 0)) if own.kinds else _NOTHING
    sets = len(memory) - len(rest) + 1
    return (
        memory.endswith(rest[1:])
        and user_memory.endswith(users[1:])
        and len(user_memory) == sets + len(users) - 1
        and memory.startswith(user_memory[:sets])
    )


def part(user: Evidence) -> None:
    """Give the user's evidence sets of its own."""
    user.prefixes, user.networks = user.prefixes.copy(), user.networks.copy()
    user.countries, user.agents = user.countries.copy(), user.agents.copy()
    user.kinds = user.kinds.copy()


def pack_both(own: Evidence, user: Evidence) -> tuple[bytes, bytes]:
    """Return the stored form of both."""
    if own.prefixes is not user.prefixes:
        return own.pack(), user.pack()
    packed = HEAD + ENCODE(own)
    rest = ENCODE(_Rest(own.signals, own.slots, own.kinds, own.would))
    is_plain = not (user.slots or user.kinds or user.signals or user.would)
    users = (
        _NOTHING if is_plain else ENCODE(_Rest(user.signals, user.slots, user.kinds, user.would))
    )
    # Both are arrays with a head of one byte, after which the fields are alike.
    sets = len(packed) - len(rest) + 1
    if max(len(packed), sets + len(users)) > MAX_BYTES or len(own.signals) > MAX_SIGNALS:
        part(user)
        return own.pack(), user.pack()
    return packed, packed[:sets] + users[1:]

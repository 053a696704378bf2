"""What stands against a session, by its flags and by a judgement."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gatehound.detection import Judgement
from gatehound.model import Action
from gatehound.stores.record import FLAGGED, NOTIFIED, STANDING, STEP_UP, WATCHED, Record

_ASKED: Final = {Action.NOTIFY: NOTIFIED, Action.STEP_UP: NOTIFIED | STEP_UP}


def standing_action(record: Record) -> Action:
    """What the flags of a stored session ask for, before this request is looked at."""
    if record.security.flags & STEP_UP:
        return Action.STEP_UP
    return Action.FLAG if record.security.flags & FLAGGED else Action.ALLOW


def is_suspicious(record: Record) -> bool:
    """True where a flag or a demand for proof stands against a session."""
    return bool(record.security.flags & (FLAGGED | STEP_UP))


def is_quarantined(record: Record, judgement: Judgement) -> bool:
    """True while suspicious: a new context is not remembered, or it would be let in unjudged."""
    if record.security.flags & STEP_UP:  # a proof is due, however faded the evidence
        return True
    return judgement.flag is not False and bool(judgement.flag or is_suspicious(record))


def flags_of(judgement: Judgement) -> int:
    """What a judgement sets; what it clears is decided where the record is known.

    A proof that one route asks for leaves no mark: other routes do not ask for it.
    """
    action = judgement.verdict.action
    flags = FLAGGED if judgement.flag else 0
    if action:  # all but ALLOW
        flags |= WATCHED
    return flags if judgement.is_here else flags | _ASKED.get(action, 0)


def with_flags(record: Record, flags: int) -> Record:
    """The record with what stands against it as it is stored now."""
    flags = record.security.flags & ~STANDING | flags & STANDING
    return replace(record, security=replace(record.security, flags=flags))

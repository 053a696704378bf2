"""Write an event for people, on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatehound.cli.table import exact

if TYPE_CHECKING:
    from gatehound.model import Event


def in_words(event: Event) -> str:
    """Write when, what, and what is known of it as name=value.

    A value that could be taken for more than one is quoted as in JSON, so that what a stranger
    sent stands for no field of its own. `printable` and `fold` are left to who prints it.
    """
    fields = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(event))
    return f"{exact(event.at)}  {event.name:<20}  {fields}".rstrip()


def _fields(event: Event) -> Iterator[tuple[str, object]]:
    named = ("user", event.user_id), ("session", event.public_id), ("address", event.address)
    yield from ((name, value) for name, value in named if value)
    if event.reason:
        yield "reason", event.reason
    yield from ((name, value) for name, value in event.detail.items() if value != "")


def _quoted(value: object) -> str:
    text = str(value)
    is_plain = text and not any(one.isspace() or one in '"\\=' for one in text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)

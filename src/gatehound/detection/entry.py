"""What evidence keeps of each member of a set: when it was seen, and what it was then.

These are stored as arrays: the order of fields is the format, and a field is only ever appended.
Dozens are read for each judgement, and none can be part of a cycle: `gc=False`. So what goes
without saying takes a byte or none: a time is kept once, and the country of a provider in its key.
"""

from __future__ import annotations

import msgspec

from gatehound.model import NetworkKind


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A prefix or a kind: when it was first seen, in whole seconds, and how long after that last.

    `since` is 0 for what is proven.
    """

    since: int
    span: int


class NetworkEntry(Entry, array_like=True, gc=False):
    """A provider in one country; its key is the number and the country, see `key_of`."""

    asn: int
    continent: str = ""
    build: int = 0
    kind: NetworkKind = ""


class CountryEntry(Entry, array_like=True, gc=False):
    """A country; `continent` is "" where it is the one that `neighbours.continent` has for it."""

    continent: str = ""


class AgentEntry(Entry, array_like=True, gc=False):
    """A browser: the last of its versions, and where no family is known, of its systems."""

    family: str
    os: str
    version: tuple[int, ...]
    digest: bytes
    is_script: bool = False
    is_app: bool = False


def key_of(asn: int, country: str) -> str:
    """Return the key of a provider in a country; `country` is "" where it is not known."""
    return f"{asn}{country}"


def country_in(key: str, asn: int) -> str:
    """Return the country in such a key."""
    return key[len(str(asn)) :]

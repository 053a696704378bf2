"""What evidence keeps of each member of a set: when it was seen, and what it was then.

These are stored as arrays: the order of fields is the format, and a field is only ever appended.
Dozens are read for each judgement, and none can be part of a cycle: `gc=False`.
"""

from __future__ import annotations

import msgspec

from gatehound.model import NetworkKind


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A prefix or a kind: when it was first and last seen, in whole seconds; 0 is proven."""

    since: int
    last: int


class NetworkEntry(Entry, array_like=True, gc=False):
    """A provider in one country."""

    asn: int
    country: str = ""
    continent: str = ""
    build: int = 0
    kind: NetworkKind = ""


class CountryEntry(Entry, array_like=True, gc=False):
    """A country, by its continent."""

    continent: str = ""


class AgentEntry(Entry, array_like=True, gc=False):
    """A browser: the last of its versions, and where no family is known, of its systems."""

    family: str
    os: str
    version: tuple[int, ...]
    digest: bytes
    is_script: bool = False
    is_app: bool = False

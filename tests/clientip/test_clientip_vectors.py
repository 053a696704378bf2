"""Every request vector, through each of the three faces: whole, split over lines, forged left."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gatehound.clientip import ClientIP, ClientIPResolver

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "client_ip.json").read_text(encoding="utf-8")
)
CHAINS = {"x-forwarded-for", "forwarded"}

FORGED = ["1.1.1.1", "10.0.0.9", "junk", "", '"', 'for="', "\\", "\x00", "é" * 3, "9.9.9.9," * 100]

# Here the chain is shorter than the count, so text to its left fills it up: whoever comes past
# a proxy writes the entry that is counted. It is what a count cannot see, not a defect.
FILLED_FROM_LEFT = {"V146"}

Lines = list[tuple[str, str]]


def lines_of(vector: dict[str, Any]) -> Lines:
    return [(name, value) for name, value in vector["headers"]]


def encode(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def environ_of(peer: str | None, lines: Lines) -> dict[str, Any]:
    """Do as most servers do: join lines with a comma, and drop names that are not tokens."""
    environ: dict[str, Any] = {} if peer is None else {"REMOTE_ADDR": peer}
    for name, value in lines:
        if "_" in name or " " in name:
            continue
        key = "HTTP_" + name.upper().replace("-", "_")
        text = encode(value).decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


@cache
def resolver_of(config: str) -> ClientIPResolver:
    """Build one for a config, as an app does; test_threads_share_a_resolver says that it may."""
    return ClientIPResolver(**json.loads(config))


def answers(vector: dict[str, Any], lines: Lines) -> list[ClientIP]:
    resolver = resolver_of(json.dumps(vector["config"]))
    peer = vector["peer"]
    raw = [(encode(name), encode(value)) for name, value in lines]
    scope = {"client": None if peer is None else (peer, 4711), "headers": raw}
    return [
        resolver.resolve(peer=peer, headers=lines),
        resolver.resolve(peer=peer, headers=[(n.upper(), v) for n, v in raw]),
        resolver.from_scope(scope),
        resolver.from_environ(environ_of(peer, lines)),
    ]


def check(vector: dict[str, Any], lines: Lines) -> None:
    for answer in answers(vector, lines):
        address = None if answer.address is None else str(answer.address)
        assert address == vector["expect"], (vector["why"], lines, answer.explain())


def splits(lines: Lines) -> list[Lines]:
    """Split each chain at every comma, and at each comma alone."""
    cut: list[Lines] = []
    for at, (name, value) in enumerate(lines):
        if name not in CHAINS or "," not in value:
            continue
        parts = value.split(",")
        for spot in range(1, min(len(parts), 6)):
            two = [(name, ",".join(parts[:spot])), (name, ",".join(parts[spot:]))]
            cut.append([*lines[:at], *two, *lines[at + 1 :]])
        cut.append([*lines[:at], *((name, part) for part in parts), *lines[at + 1 :]])
    return cut


def test_every_vector_is_there() -> None:
    assert len({v["id"] for v in VECTORS}) == len(VECTORS) == 108


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_whole(vector: dict[str, Any]) -> None:
    check(vector, lines_of(vector))


SPLITTABLE = [v for v in VECTORS if splits(lines_of(v))]


@pytest.mark.parametrize("vector", SPLITTABLE, ids=lambda v: v["id"])
def test_split_over_lines(vector: dict[str, Any]) -> None:
    for lines in splits(lines_of(vector)):
        check(vector, lines)


FORGEABLE = [
    v
    for v in VECTORS
    if v["id"] not in FILLED_FROM_LEFT and any(name in CHAINS for name, _ in v["headers"])
]


@pytest.mark.parametrize("vector", FORGEABLE, ids=lambda v: v["id"])
def test_with_forged_text_to_the_left(vector: dict[str, Any]) -> None:
    lines = lines_of(vector)
    first = {name: at for at, (name, _) in reversed(list(enumerate(lines))) if name in CHAINS}
    for forged in FORGED:
        joined = list(lines)
        for name, at in first.items():
            joined[at] = (name, f"{forged},{lines[at][1]}")
        check(vector, joined)
        check(vector, [*((name, forged) for name in first), *lines])


def test_enough_vectors_reach_each_form() -> None:
    assert (len(SPLITTABLE), len(FORGEABLE)) == (51, 90)

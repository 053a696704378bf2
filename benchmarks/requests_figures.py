"""Make figures of blocks: medians over the rounds, differences to the bare app, ratios to ours."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from requests_check import Checked
from requests_load import Block
from requests_participants import BASES, BY_NAME, Participant
from requests_rounds import Blocks

TOLERATED: Final = 0.01
"""Of the answers under load: a store may be late on a machine that is busy. Who does not know the
user refuses all of them."""


class Row(NamedTuple):
    """The figures of one participant under a number of clients; None where there is nothing.

    `added_us` is the median of the differences to the bare app of the same round, and
    `added_best_us` the difference of the two least. `ratio` is `added_us` by that of gatehound
    in Redis on the same side; Express is divided by the ASGI one.
    """

    name: str
    side: str
    bare: str | None
    clients: int
    cpu_us: float
    added_us: float | None
    added_best_us: float | None
    ratio: float | None
    rate: float
    p50_us: float
    p99_us: float
    requests: int
    refused: int
    """Answers with a status of 400 or more."""
    repeated: int
    """Blocks that were loaded again, because requests were refused in them."""
    lost: int
    """Connections that failed."""
    late: int
    """Answers that were not there after five seconds."""
    redis_commands: dict[str, float]
    """By name, for one request; those that a script calls are counted beside it."""
    redis_reads: float
    """Reads from its sockets for one request: trips, where they do not share one."""
    redis_us: float
    """CPU time of the Redis server for one request."""
    sets_cookie: bool


class Outcome(NamedTuple):
    """Everything that a run found."""

    rows: list[Row]
    wrong: dict[str, list[str]]
    missing: dict[str, list[str]]


def rows_of(blocks: Blocks, checked: Mapping[str, Checked]) -> list[Row]:
    """Make the rows, in the order of the participants."""
    added = {
        (name, count): differences(own, blocks.get((BY_NAME[name].bare or "", count), []))
        for (name, count), own in blocks.items()
    }
    rows = []
    for (name, count), own in sorted(blocks.items(), key=lambda item: item[0][1]):
        one = BY_NAME[name]
        base = added.get((BASES[one.side], count))
        rows.append(row(one, count, own, added[name, count], base, checked[name].sets_cookie))
    return rows


def differences(own: Sequence[Block], bare: Sequence[Block]) -> tuple[float, float] | None:
    """Return the median of the paired differences, and that of the best two."""
    if not own or not bare:
        return None
    pairs = [a.cpu_us - b.cpu_us for a, b in zip(own, bare, strict=True)]
    least = min(block.cpu_us for block in own) - min(block.cpu_us for block in bare)
    return statistics.median(pairs), least


def row(
    one: Participant,
    clients: int,
    blocks: Sequence[Block],
    added: tuple[float, float] | None,
    base: tuple[float, float] | None,
    sets_cookie: bool,
) -> Row:
    """Put the blocks of one participant into a row."""
    total = sum(block.requests for block in blocks)
    commands: Counter[str] = Counter()
    for block in blocks:
        commands.update(block.redis.commands)
    return Row(
        name=one.name,
        side=one.side,
        bare=one.bare,
        clients=clients,
        cpu_us=statistics.median(block.cpu_us for block in blocks),
        added_us=added[0] if added else None,
        added_best_us=added[1] if added else None,
        ratio=added[0] / base[0] if added and base and base[0] > 0 else None,
        rate=statistics.median(block.rate for block in blocks),
        p50_us=statistics.median(block.p50_us for block in blocks),
        p99_us=statistics.median(block.p99_us for block in blocks),
        requests=total,
        refused=sum(block.refused for block in blocks),
        repeated=sum(block.repeats for block in blocks),
        lost=sum(block.lost for block in blocks),
        late=sum(block.late for block in blocks),
        redis_commands={
            name: share
            for name, calls in commands.most_common()
            if (share := round(calls / max(1, total), 2)) >= 0.05
        },
        redis_reads=round(sum(block.redis.reads for block in blocks) / max(1, total), 2),
        redis_us=sum(block.redis.cpu_us for block in blocks) / max(1, total),
        sets_cookie=sets_cookie,
    )


def failures(blocks: Blocks) -> dict[str, list[str]]:
    """Name those that answered anything but 200 under load."""
    wrong: dict[str, list[str]] = {}
    for (name, count), found in blocks.items():
        bad, total = sum(block.refused for block in found), sum(block.requests for block in found)
        if bad > total * TOLERATED or not total:
            text = f"{bad} of {total} answers with {count} clients"
            wrong.setdefault(name, []).append(text)
    return wrong

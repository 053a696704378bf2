"""Load everyone in turn, in rounds, so that a slow moment of the machine meets all of them.

In a round each bare app and those that are compared with it stand side by side, because their
difference is the figure; which comes first changes from round to round. The first round warms
up and is thrown away.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from requests_check import Checked
from requests_load import Block, load
from requests_participants import groups
from requests_servers import Cores, Server

SEED: Final = 20_261_101
Key = tuple[str, int]
"""A participant and a number of clients."""


class Plan(NamedTuple):
    """How long everyone is loaded, and by how many clients at once."""

    rounds: int
    seconds: int
    clients: tuple[int, ...]
    warm: bool = True
    """Whether a round is thrown away first."""


Blocks = dict[Key, list[Block]]


def measure(
    servers: Sequence[Server],
    checked: dict[str, Checked],
    plan: Plan,
    cores: Cores,
    redis: Any,
) -> Blocks:
    """Return the blocks of each participant and number of clients, a round after the other."""
    by_name = {server.participant.name: server for server in servers}
    together = groups([server.participant for server in servers])
    blocks: Blocks = {(name, count): [] for name in by_name for count in plan.clients}
    chance = random.Random(SEED)  # noqa: S311 - the same order in every run, no secret
    for number in range(plan.rounds + plan.warm):
        for group in chance.sample(together, len(together)):
            for count in plan.clients:
                for one in chance.sample(group, len(group)):
                    cookie = checked[one.name].cookie
                    block = load(by_name[one.name], count, plan.seconds, cores, redis, cookie)
                    if number or not plan.warm:
                        blocks[one.name, count].append(block)
        print(".", end="", flush=True)
    print()
    return blocks

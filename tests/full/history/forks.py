"""Forks while others ask: `python -m history.forks URL threads|loop`; prints the wrong answers.

A program of its own, because a fork takes all threads' locks along, those of a test run too.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from gatehound._sync import run_sync
from gatehound.stores.answer import NewSession
from gatehound.stores.redis import RedisStore
from history.questions import ask_some, sign_in

CHILDREN, ASKERS, QUESTIONS = 6, 4, 300


def main(url: str, flavour: str) -> int:
    """Return how many answers were wrong, of the parent and of its children."""
    suspends = flavour == "loop"
    store = RedisStore(url, namespace=f"forks-{flavour}", suspends=suspends, deadline=5.0)
    wrong: list[int] = []

    def many(people: list[NewSession], seed: int) -> int:
        if suspends:
            return asyncio.run(_in_loop(store, people, seed))
        return run_sync(ask_some(store, people, QUESTIONS, seed))

    people = asyncio.run(_signed_in(store)) if suspends else run_sync(sign_in(store, 20))
    askers = [
        threading.Thread(target=lambda seed=seed: wrong.append(many(people, seed)))
        for seed in range(ASKERS)
    ]
    for asker in askers:
        asker.start()
    children = []
    for number in range(CHILDREN):
        child = os.fork()
        if child == 0:
            code = 101
            try:
                code = min(many(people, 100 + number), 100)
            finally:
                os._exit(code)
        children.append(child)
    for asker in askers:
        asker.join()
    wrong += [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert len(wrong) == ASKERS + CHILDREN
    return sum(wrong)


async def _signed_in(store: RedisStore) -> list[NewSession]:
    people = await sign_in(store, 20)
    await store.close()
    return people


async def _in_loop(store: RedisStore, people: list[NewSession], seed: int) -> int:
    shares = (ask_some(store, people, QUESTIONS // 4, seed * 10 + n) for n in range(4))
    wrong = sum(await asyncio.gather(*shares))
    await store.close()
    return wrong


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))  # noqa: T201 - this is its answer

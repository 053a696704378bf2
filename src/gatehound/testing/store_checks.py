"""Run the store contract against any store.

    from gatehound.testing import check_store
    check_store(lambda clock: MyStore(clock=clock))

A store is right if this passes. `store_checks()` lists the checks for a test runner.
`store_machine` looks for what nobody thought of a check for; it needs hypothesis.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from gatehound.testing.bench import Check, OpenStore, run_check

if TYPE_CHECKING:
    from gatehound.testing.machine import StoreMachine

SUBJECTS: Final = (
    "meta",
    "session",
    "limit",
    "rotate",
    "revoke",
    "clock",
    "evidence",
    "data",
    "user",
    "search",
    "event",
    "tail",
    "shelf",
    "ends",
    "count",
    "copy",
    "race",
)


def store_checks() -> tuple[tuple[str, Check], ...]:
    """Return every check as (name, function); `run_check(open_store, function)` runs one."""
    found: list[tuple[str, Check]] = []
    for subject in SUBJECTS:
        module = importlib.import_module(f"gatehound.testing.checks_{subject}")
        names = [name for name in vars(module) if name.startswith("check_")]
        found += [(name.removeprefix("check_"), getattr(module, name)) for name in names]
    return tuple(found)


def check_store(open_store: OpenStore, *, only: Collection[str] | None = None) -> None:
    """Raise one AssertionError that names every check that failed, and why.

    `open_store(clock)` returns a store that is empty, or isolated by its own namespace, each
    time it is called; the store takes its time from `clock`. `only` names the checks to run.
    """
    checks = store_checks()
    unknown = set(only or ()) - {name for name, _ in checks}
    if unknown:
        raise ValueError(f"no such check: {', '.join(sorted(unknown))}")
    chosen = [pair for pair in checks if only is None or pair[0] in only]
    failures = [line for pair in chosen if (line := _failure(open_store, *pair))]
    if failures:
        count = f"{len(failures)} of {len(chosen)} store checks failed:"
        raise AssertionError("\n".join([count, *failures]))


def store_machine(open_store: OpenStore) -> type[StoreMachine]:
    """Return a hypothesis state machine that compares a store with a model, step by step.

    `open_store` is that of `check_store`. Its `TestCase` is for unittest and pytest; give it
    your own `settings`. ImportError where hypothesis is not installed.
    """
    from gatehound.testing.machine import StoreMachine

    return type("StoreMachine", (StoreMachine,), {"open_store": staticmethod(open_store)})


def _failure(open_store: OpenStore, name: str, check: Check) -> str:
    try:
        run_check(open_store, check)
    except Exception as error:  # whatever a store raises where it should answer is its failure
        return f"  {name}: {type(error).__name__}: {error}"
    return ""

"""Fuzz gatehound.clientip with atheris: random inputs, grown by coverage, through oracle.py.

Only the package under test is instrumented, and only for coverage. Atheris would also tell
libFuzzer the operands of each comparison, which costs a third of the speed; the dictionary
stands in for that. Flags are those of libFuzzer; see README.md.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Not an import statement: atheris is not there for every Python, and has no types.
atheris: Any = import_module("atheris")
hooks: Any = import_module("atheris.import_hook")

sys.path.insert(0, str(Path(__file__).parents[1]))

with hooks.HookManager({"gatehound"}, set(), True, trace_dataflow=False):
    from fuzz.oracle import check, subjects

    # What a first answer imports must be instrumented as well, so answer once here.
    for subject in subjects():
        subject.resolver.resolve(peer="10.0.0.1").explain()


def run_one(data: bytes) -> None:
    """Check one input; libFuzzer writes the one that raises to a file."""
    check(data, thorough=False)


if __name__ == "__main__":
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()

"""Every check of the store contract on every server of the zoo, and on a cluster."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from gatehound.testing import Check, run_check, store_checks

# By its path, because pytest calls every conftest.py by the same module name.
_spec = importlib.util.spec_from_file_location(
    "store_fixtures_everywhere", Path(__file__).parent.parent / "stores" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_stores = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_stores)

pytestmark = pytest.mark.full

CHECKS = [pytest.param(check, id=name) for name, check in store_checks()]
# What the plain run leaves out and continuous integration does not: a cluster, as WSGI and ASGI
# see it, and the second of the plain servers.
IN_CI = ("cluster", "cluster-loop", "valkey", "valkey-loop")
ELSEWHERE = [kind + mode for kind in _stores.zoo.KINDS for mode in ("", "-loop")]
ELSEWHERE = [name for name in ELSEWHERE if name.removesuffix("-loop") not in _stores.PLAIN]


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.ci) for name in IN_CI), *ELSEWHERE]
)
@pytest.mark.parametrize("check", CHECKS)
def test_store_keeps_the_contract(
    check: Check, name: str, tmp_path: Path, server: Callable[[str], str]
) -> None:
    run_check(_stores.opener(name, tmp_path, server), check)


def test_every_server_of_the_zoo_is_asked() -> None:
    asked = {name.removesuffix("-loop") for name in (*_stores.STORES, *IN_CI, *ELSEWHERE)}
    kinds = {_stores.KINDS.get(name, name) for name in asked}
    assert kinds >= {*_stores.zoo.KINDS, "cluster", "memory", "sqlite"}

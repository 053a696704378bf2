"""Every check of the store contract on every server of the zoo, and on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import store_kit

import zoo
from gatehound.testing import Check, run_check, store_checks

pytestmark = pytest.mark.full

CHECKS = [pytest.param(check, id=name) for name, check in store_checks()]
# What the plain run leaves out and continuous integration does not: a cluster, as WSGI and ASGI
# see it, and the second of the plain servers.
IN_CI = ("cluster", "cluster-loop", "valkey", "valkey-loop")
ELSEWHERE = [kind + mode for kind in zoo.KINDS for mode in ("", "-loop")]
ELSEWHERE = [name for name in ELSEWHERE if name.removesuffix("-loop") not in store_kit.PLAIN]


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.ci) for name in IN_CI), *ELSEWHERE]
)
@pytest.mark.parametrize("check", CHECKS)
def test_store_keeps_the_contract(
    check: Check, name: str, tmp_path: Path, server: Callable[[str], str]
) -> None:
    run_check(store_kit.opener(name, tmp_path, server), check)


def test_every_server_of_the_zoo_is_asked() -> None:
    asked = {name.removesuffix("-loop") for name in (*store_kit.STORES, *IN_CI, *ELSEWHERE)}
    kinds = {store_kit.KINDS.get(name, name) for name in asked}
    assert kinds >= {*zoo.KINDS, "cluster", "memory", "sqlite"}

"""The simulation of a cluster says what is true of the tags, and loses no request on the way.

The oracle is arithmetic: n slots over m shards, sums, and the library's own constants. What the
figures are worth for a real cluster is not checked here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatehound.stores.redis.breaker import SILENCES
from gatehound.stores.redis.keys import BUCKETS
from gatehound.stores.redis.node import CONNECT, PROMPT

COMMAND = Path(__file__).parent.parent / "benchmarks/shards.py"
OURS, PLAIN, APART = "our tags", "tags 0-255", "slot per user"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of one quick run, for all tests."""
    file = tmp_path_factory.mktemp("shards") / "figures.json"
    command = [sys.executable, str(COMMAND), "--quick", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [done.stdout.count(f"\n{title}: ") for title in ("balance", "hot", "outage")] == [
        1,
        1,
        2,
    ]
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return figures


def of(result: dict[str, Any], scheme: str) -> dict[int, dict[str, Any]]:
    """The rows of one scheme, by the number of shards."""
    return {row["shards"]: row for row in result["balance"] if row["scheme"] == scheme}


def test_our_tags_spread_evenly_and_plain_ones_do_not(result: dict[str, Any]) -> None:
    ours, plain = of(result, OURS), of(result, PLAIN)
    assert set(ours) == set(plain) == {3, 10}
    for shards, row in ours.items():
        fewest = -(-BUCKETS // shards)  # no deal of whole buckets gives the fullest one less
        assert row["bucket_skew"] == pytest.approx(fewest * shards / BUCKETS)
        assert row["bucket_skew"] < plain[shards]["bucket_skew"]
        assert row["users_skew"] < plain[shards]["users_skew"]
        assert row["empty"] == 0
    assert ours[10]["bucket_skew"] <= 1.05
    assert plain[10]["bucket_skew"] == pytest.approx(1.37, abs=0.005)  # as keys.py says


def test_nobody_is_lost_or_counted_twice(result: dict[str, Any]) -> None:
    for row in result["balance"]:
        assert len(row["shares"]) == row["shards"]
        assert sum(row["shares"]) == pytest.approx(1)
        assert max(row["shares"]) * row["shards"] == pytest.approx(row["users_skew"])
    for row in result["outage"]:
        assert row["touched"] + row["others"] == row["during"]
        assert sum(row["refused_after"].values()) == row["touched_refused"]
        drawn = sum(sum(counts) for _, *counts in row["timeline"])
        assert row["touched"] < drawn < row["requests"]


def test_a_busy_user_is_felt_by_one_bucket_whatever_the_placement(result: dict[str, Any]) -> None:
    rows = result["hot"]
    assert [(row["s"], row["robot"]) for row in rows[::4]] == [(0.8, 0), (1.0, 0.01), (1.2, 0.05)]
    for row in rows:
        least = max(row["busiest"], row["robot"])  # one user is in one place
        assert row["bucket_skew"] >= least * BUCKETS
        assert row["bucket_p99"] <= row["bucket_skew"]
        for shards, cells in row["shards"].items():
            for cell in cells.values():
                assert max(1, least * int(shards)) <= cell["skew"] <= cell["worst"] <= int(shards)


def test_a_dead_master_costs_its_own_users_alone(result: dict[str, Any]) -> None:
    assert {row["death"] for row in result["outage"]} == {"killed", "frozen", "gone"}
    for row in result["outage"]:
        skew = of(result, OURS)[row["shards"]]["users_skew"]
        assert 1 / row["shards"] <= row["share_of_users"] <= skew / row["shards"] + 1e-9
        assert row["touched"] / row["during"] == pytest.approx(row["share_of_users"], rel=0.25)
        assert row["touched_refused"] == row["touched"] > 0
        assert row["others_refused"] == 0


def test_waits_are_bounded_and_the_breaker_ends_them(result: dict[str, Any]) -> None:
    for row in result["outage"]:
        frozen, gone = PROMPT + 0.01, CONNECT + 0.05
        longest = {"killed": 0.01, "frozen": frozen, "gone": gone}[row["death"]]
        assert row["touched_longest_s"] <= longest
        assert 0 < row["healed_s"] < 3  # sessions.md: within 3 s of the store's own
        assert row["after_refused"] < row["workers"] * SILENCES * row["threads"]
        assert row["connections_a_worker"] <= row["threads"]
        if row["death"] == "killed":
            assert row["refused_after"]["at_once"] == row["touched"]
            assert row["held"] == 0

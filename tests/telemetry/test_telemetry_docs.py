"""The reference of metrics says what the table of metrics does; the benchmark runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatehound.telemetry.metric import METRICS, OUTCOMES, Metric
from gatehound.telemetry.prometheus import BUILD, prometheus_name

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")


def section(metric: Metric) -> str:
    (_, text) = PAGE.split(f"\n### `{metric.name}`\n")
    return re.split(r"^#", text, flags=re.MULTILINE)[0]


def words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_every_metric_has_its_heading() -> None:
    told = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(metric.name for metric in METRICS)
    assert f"`{BUILD}`" in PAGE


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_its_lines_are_those_of_the_table(metric: Metric) -> None:
    first, second, *rest = section(metric).splitlines()
    article = f"a {metric.kind} in"
    assert first == f"Prometheus: `{prometheus_name(metric)}`, {article} `{metric.unit}`."
    if not metric.labels:
        assert second == "Labels: none."
        return
    labels, _, attributes = second.partition("; in OpenTelemetry ")
    assert re.findall(r"`([^`]+)`", labels) == list(metric.labels)
    assert re.findall(r"`([^`]+)`", attributes) == list(metric.attributes)
    if metric.name != "gatehound.events":  # they have a page of their own
        assert set(metric.known) <= words("\n".join(rest))


def test_outcomes_have_a_row_each() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)[1:]) == OUTCOMES


def test_the_guide_names_metrics_that_there_are() -> None:
    known = {prometheus_name(metric) for metric in METRICS}
    known |= {f"{name}{part}" for name in known for part in ("_bucket", "_count")}
    told = set(re.findall(r"\bgatehound_\w+", GUIDE))
    assert told
    assert told <= known


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--rounds", "1", "--requests", "20", "--json", str(file)]
    command = [sys.executable, str(ROOT / "benchmarks/telemetry.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert len(rows) == 10
    assert all(row["us"] > 0 for row in rows)
    assert {row["ratio"] for row in rows if row["kind"] == "off"} == {1.0}

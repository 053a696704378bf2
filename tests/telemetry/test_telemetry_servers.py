"""Figures of real servers: one process of uvicorn, two workers of gunicorn that add up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gatehound import __version__
from serving import NO_CONTROL, Servers, free_port, servers

FOLDER = Path(__file__).parent
ENVIRON = {
    "GATEHOUND_SECRET_KEYS": "s" * 40,
    "GATEHOUND_IDENTITY_KEY": "i" * 40,
    "GATEHOUND_TELEMETRY__PROMETHEUS": "true",
    "GATEHOUND_TELEMETRY__LOG": "json",
}
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]

pytestmark = [pytest.mark.full, pytest.mark.ci]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Servers]:
    with servers(tmp_path) as one:
        yield one


def scraped(url: str) -> Figures:
    """Read the figures as a scraper does."""
    text = httpx.get(f"{url}/metrics").raise_for_status().text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(figures: Figures) -> dict[str, float]:
    """How many requests there were, by outcome."""
    return {
        dict(labels)["outcome"]: value
        for (name, labels), value in figures.items()
        if name == "gatehound_examine_duration_seconds_count" and value
    }


def test_uvicorn_serves_the_figures_of_its_process(started: Servers, tmp_path: Path) -> None:
    port = free_port()
    options = ["--port", str(port), "--host", "127.0.0.1", "--no-proxy-headers"]
    command = [sys.executable, "-m", "uvicorn", "metered_app:asgi", *options]
    environ = {**ENVIRON, "GATEHOUND_STORE": f"sqlite:///{tmp_path}/s.db"}
    started.start("uvicorn", [*command, "--app-dir", str(FOLDER)], port, environ)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client() as client:
        cookie = client.get(f"{url}/sign-in").headers["set-cookie"].partition(";")[0]
        for _ in range(3):
            answer = client.get(f"{url}/", headers={"cookie": cookie})
            assert answer.text == "ada"
        client.get(f"{url}/", headers={"cookie": f"{cookie}x"})
    figures = scraped(url)
    assert requests(figures) == {"none": 1, "live": 3, "forged": 1}
    load = (("operation", "load"), ("outcome", "ok"), ("store", "sqlite"))
    assert figures["gatehound_store_operation_duration_seconds_count", load] == 3
    assert figures["gatehound_logins_total", (("outcome", "succeeded"),)] == 1
    assert figures["gatehound_store_down", ()] == 0


def test_two_workers_of_gunicorn_add_up(started: Servers, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "metered_app:wsgi", "--preload", *NO_CONTROL),
        *("--bind", f"127.0.0.1:{port}", "--chdir", str(FOLDER), "--workers", "2"),
        *("--config", str(FOLDER / "gunicorn_conf.py")),
        *("--worker-tmp-dir", str(started.folder), "--graceful-timeout", "3"),
    ]
    environ = {
        **ENVIRON,
        "GATEHOUND_STORE": f"sqlite:///{tmp_path}/s.db",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    started.start("gunicorn", command, port, environ)
    url = f"http://127.0.0.1:{port}"
    pids: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        while len(set(pids)) < 2 and len(pids) < 400:
            pids += pool.map(lambda _: httpx.get(f"{url}/").text, range(20))
    assert len(set(pids)) == 2
    figures = scraped(url)
    assert requests(figures) == {"none": len(pids)}
    # One series of each gauge, not one for each process.
    assert figures["gatehound_store_down", ()] == 0
    assert figures["gatehound_build_info", (("version", __version__),)] == 1
    assert not [key for key in figures if "pid" in dict(key[1])]


def test_a_gauge_shows_the_worst_process_that_lives(tmp_path: Path) -> None:
    code = """
import os
from gatehound.telemetry import Prometheus
from gatehound.telemetry.metric import DOWN
from prometheus_client import CollectorRegistry, multiprocess
telemetry = Prometheus()
child = os.fork()
telemetry.put(DOWN, 0 if child else 1)
if not child:
    os._exit(0)
os.waitpid(child, 0)
summed = CollectorRegistry()
multiprocess.MultiProcessCollector(summed)
print(summed.get_sample_value("gatehound_store_down"))
multiprocess.mark_process_dead(child)
print(summed.get_sample_value("gatehound_store_down"))
"""
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )
    assert done.stdout.split() == ["1.0", "0.0"]

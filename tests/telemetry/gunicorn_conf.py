"""What gunicorn has to tell prometheus-client: that a worker is gone."""

from __future__ import annotations

from typing import Any

from prometheus_client import multiprocess


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that ended."""
    del server
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # it has no types

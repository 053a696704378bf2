"""The server process of one Python participant of requests.py; that one starts it.

    python -P benchmarks/requests_serve.py

The environment says who is served and where, so that the workers of uvicorn know it as well.
`-P` and the end of `sys.path`: in the first place this folder would hide the package `requests`
behind requests.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

from requests_participants import BY_NAME
from requests_settings import Stores


def make_app() -> Any:
    """Make the app of the participant that the environment names."""
    name = os.environ["BENCHMARK_NAME"]
    stores = Stores(os.environ["BENCHMARK_REDIS"], os.environ["BENCHMARK_SQLITE"])
    if BY_NAME[name].side == "ASGI":
        import requests_asgi

        return requests_asgi.MAKERS[name](stores)
    import requests_wsgi

    return requests_wsgi.MAKERS[name](stores)


def serve_asgi(port: int, workers: int) -> None:
    """Serve under uvicorn; with one worker in this process."""
    import uvicorn

    uvicorn.run(
        "requests_serve:make_app",
        factory=True,
        port=port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        lifespan="auto",
        access_log=False,
        proxy_headers=False,
        log_level="warning",
    )


def serve_wsgi(port: int) -> None:
    """Serve under gunicorn with one sync worker, which is a child of this process."""
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # no types

    class Application(BaseApplication):  # type: ignore[misc] # gunicorn has no types
        def load_config(self) -> None:
            wanted = {
                "bind": f"127.0.0.1:{port}",
                "worker_class": "sync",
                "workers": 1,
                "loglevel": "warning",
                "control_socket_disable": True,  # newer ones open it in the home folder
            }
            for name, value in wanted.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Any:
            return make_app()

    Application().run()


def main() -> None:
    """Serve until a signal comes."""
    port = int(os.environ["BENCHMARK_PORT"])
    if BY_NAME[os.environ["BENCHMARK_NAME"]].side == "ASGI":
        serve_asgi(port, int(os.environ["BENCHMARK_WORKERS"]))
    else:
        serve_wsgi(port)


if __name__ == "__main__":
    main()

"""Put the demo together and serve it: settings, guard, edge, and a real uvicorn.

The port is bound before uvicorn sees it, so that a busy one is a sentence and not a traceback,
and so that the check can take a free one without a race.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import uvicorn

from gatehound import Event, Guard, Settings, SettingsError
from gatehound.asgi import App, GatehoundMiddleware
from gatehound.cli.demo.app import Demo
from gatehound.cli.demo.edge import Edge
from gatehound.cli.demo.world import ADMIN_PATH, USERS
from gatehound.events import Sink, as_json
from gatehound.listing import Users

Echo = Callable[[str], Any]
# The check's ports: under the range from which systems give out client ports.
PORTS: Final = (10000, 22000)
START_SECONDS: Final = 10.0


class Trouble(Exception):
    """The demo cannot start; the text is for the person who asked for it."""


def run_demo(host: str, port: int, data: Path | None, echo: Echo, unable: type[Exception]) -> None:
    """Serve until the process is told to stop; `unable` is raised where it cannot start."""
    # As Ctrl-C does: leave through the finally clauses, which remove the folder.
    before = signal.signal(signal.SIGTERM, lambda *_: _leave())
    try:
        with ExitStack() as stack:
            try:
                listening = stack.enter_context(listen(host, port))
                folder = stack.enter_context(_folder(data))
                sinks = (_printer(echo),)
                app, guard = stack.enter_context(built(folder, address_of(listening), sinks))
            except (Trouble, SettingsError, OSError) as error:
                raise unable(str(error)) from error
            _greet(echo, listening, folder, data is not None)
            asyncio.run(_serve(_server(app), listening, guard))
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    echo(f"Stopped. {'Kept' if data is not None else 'Removed'} the sessions.")


@contextmanager
def built(
    folder: Path, here: tuple[str, int], sinks: Sequence[Sink] = ()
) -> Iterator[tuple[App, Guard]]:
    """Build the demo over a SQLite file in `folder`; whoever serves it closes its store."""
    with ExitStack() as stack:
        package = files("gatehound.cli.demo")
        city, asn = (
            str(stack.enter_context(as_file(package / name)))
            for name in ("demo-city.mmdb", "demo-asn.mmdb")
        )
        users = Users(
            describe=lambda ids: {one: (USERS[one], "") for one in ids if one in USERS},
            find=lambda text: [one for one in USERS if text.lower() in USERS[one].lower()],
        )
        with _without_development():
            guard = Guard(_settings(folder, city, asn), sinks=sinks, users=users)
        yield Edge(GatehoundMiddleware(Demo(guard, here).app(), guard)), guard


@contextmanager
def _without_development() -> Iterator[None]:
    """Keep the line of development mode back: the greeting says where the demo can be reached."""

    def admits(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("development mode")

    log = logging.getLogger("gatehound")
    log.addFilter(admits)
    try:
        yield
    finally:
        log.removeFilter(admits)


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """Serve the demo on a free loopback port from a thread; yields host and port."""
    with listen_anywhere() as listening:
        here = address_of(listening)
        with built(folder, here) as (app, guard):
            server = _server(app)
            serving = _serve(server, listening, guard)
            thread = threading.Thread(target=asyncio.run, args=(serving,))
            thread.start()
            try:
                _wait(server, thread)
                yield here
            finally:
                server.should_exit = True
                thread.join()


def listen(host: str, port: int) -> socket.socket:
    """Bind a loopback address; Trouble says what is wrong with host or port."""
    name = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        loopback = ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise Trouble(
            f"--host {host} given; the demo signs anybody in, so it listens on loopback only: "
            "use 127.0.0.1, ::1 or localhost"
        )
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((name, port))
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise Trouble(
            f"port {port} of {host} cannot be used ({error.strerror}): another program has it, "
            f"or you may not; try --port {port + 1 if port < 65535 else 8000}"
        ) from error
    return listening


def listen_anywhere() -> socket.socket:
    """Bind a free port of 127.0.0.1 in PORTS."""
    for _ in range(50):
        port = random.randint(*PORTS)  # noqa: S311 - a port, not a secret
        try:
            return listen("127.0.0.1", port)
        except Trouble:
            continue
    raise Trouble(f"no free port found on 127.0.0.1 between {PORTS[0]} and {PORTS[1]}")


def address_of(listening: socket.socket) -> tuple[str, int]:
    """Return host and port of a bound socket."""
    host, port = listening.getsockname()[:2]
    return host, port


def _settings(folder: Path, city: str, asn: str) -> Settings:
    secret, identity = _keys(folder)
    return Settings.from_dict(
        {
            # Plain HTTP on loopback: a cookie without Secure, and no other host is answered.
            "development": True,
            "secret_keys": [secret],
            "identity_key": identity,
            "namespace": "demo",
            "store": f"sqlite:///{folder.absolute() / 'demo.db'}",
            "ignore_paths": ["/static/"],
            # The edge is in this process, so it speaks from the visitor's own loopback address.
            "client_ip": {
                "mode": "x-forwarded-for",
                "trusted_proxies": ["127.0.0.0/8", "::1"],
            },
            "detection": {"city_database": city, "asn_database": asn},
            # Nobody here has a password to sign in anew with.
            "web": {
                "admin_path": ADMIN_PATH,
                "sign_in_url": "/",
                "home_url": "/",
                "require_fresh": False,
            },
        }
    )


def _keys(folder: Path) -> tuple[str, str]:
    """Return both keys of this folder; made once, and readable by their owner alone."""
    path = folder / "keys"
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n{secrets.token_urlsafe(32)}\n")
    found = path.read_text(encoding="ascii").split()
    if len(found) != 2:
        raise Trouble(f"{path} holds no two keys: remove it, and {folder / 'demo.db'} with it")
    return found[0], found[1]


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="gatehound-demo-") as made:
        yield Path(made)


def _server(app: App) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            proxy_headers=False,  # gatehound reads them, and must see the real peer
            lifespan="off",
            ws="none",
            http="h11",
            loop="asyncio",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )


async def _serve(server: uvicorn.Server, listening: socket.socket, guard: Guard) -> None:
    """Serve until told to stop, then close the store on the loop that used it."""
    try:
        await server.serve(sockets=[listening])
    finally:
        await guard.store.close()


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Wait until the server accepts; Trouble where it does not."""
    end = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise Trouble(f"the demo's server did not start within {START_SECONDS:g} s")
        time.sleep(0.01)


def _greet(echo: Echo, listening: socket.socket, folder: Path, kept: bool) -> None:
    host, port = address_of(listening)
    echo(f"gatehound demo on http://{f'[{host}]' if ':' in host else host}:{port}/")
    echo(
        f"Sessions are in {folder.absolute()}, {'which is kept' if kept else 'removed at the end'}."
    )
    echo("Events follow as they happen. Stop with Ctrl-C.")


def _printer(echo: Echo) -> Sink:
    def tell(event: Event) -> None:
        echo(f"  {event.name} {as_json(event)}")

    return tell


def _leave() -> None:
    raise KeyboardInterrupt

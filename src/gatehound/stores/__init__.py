"""Where sessions live: open a store by its URL.

Belongs here: the schemes, and nothing about how a store works. Each store is imported when
it is opened, so that an app pays for the one it uses.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gatehound.stores.base import Store
from gatehound.stores.record import VERSION

REDIS_SCHEMES: Final = (
    *("redis", "rediss", "unix"),
    *("redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"),
)
EXAMPLES: Final = "memory://, sqlite:////var/lib/app/sessions.db, redis://127.0.0.1:6379/0"


def store_url_problem(url: str) -> str | None:
    """Say what is wrong with a store URL, without opening anything; None: nothing."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return f"no URL given (it has no ://, and may hold a password); write {EXAMPLES}"
    if scheme.endswith("+sentinel") and not rest.partition("/")[2].strip("/"):
        return f"{scheme}:// names no service; write {scheme}://host:26379,host:26379/service"
    if scheme == "sqlite" and not rest.lstrip("/"):
        return "sqlite:/// names no file; write sqlite:////absolute/path or sqlite:///relative/path"
    if scheme not in ("memory", "sqlite", *REDIS_SCHEMES):
        return f"scheme {scheme!r} given; allowed is a URL such as {EXAMPLES}"
    return None


def open_store(
    url: str,
    *,
    namespace: str,
    suspends: bool,
    event_retention: int,
    clock: Callable[[], int] | None = None,
    wait_replicas: int = 0,
    write_version: int = VERSION,
    multiplex: bool = True,
) -> Store:
    """Build the store that `url` names; nothing is connected to or opened yet.

    `suspends` asks for one that waits on an event loop (ASGI) or never does (WSGI); the
    memory store never does. `event_retention` is in milliseconds. `clock` is for tests. Of
    replicas to wait for, versions of the record and shared connections only Redis knows; the
    others ignore them.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        from gatehound.stores.memory import MemoryStore

        return MemoryStore(clock=clock, event_retention=event_retention)
    if scheme == "sqlite":
        from gatehound.stores.sqlite import SQLiteStore

        path = rest.removeprefix("/")
        return SQLiteStore(path, suspends=suspends, clock=clock, event_retention=event_retention)
    from gatehound.stores.redis import RedisStore

    return RedisStore(
        url,
        namespace=namespace,
        suspends=suspends,
        clock=clock,
        event_retention=event_retention,
        wait=wait_replicas,
        write_version=write_version,
        multiplex=multiplex,
    )


def default_store_url(namespace: str, *, development: bool = False) -> str:
    """Name the embedded default: a SQLite file in the user's state folder.

    Development has one of its own, because its identity_key is another.
    """
    name = f"{namespace}.development" if development else namespace
    return f"sqlite:///{state_folder() / f'{name}.db'}"


def state_folder() -> Path:
    """Where this user's programs keep their state (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "gatehound"


def development_keys_path(namespace: str) -> Path:
    """Where the keys of development mode lie."""
    return state_folder() / f"{namespace}.development-keys"


def development_keys(namespace: str) -> tuple[str, str]:
    """Return a secret key and an identity key, made once and kept for this user.

    They are kept, because sessions in the default store would be lost with them.
    """
    path = development_keys_path(namespace)
    if not path.exists():
        import tempfile  # development alone

        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n{secrets.token_urlsafe(32)}\n")
            file.flush()
            # A link appears whole, or not at all where another process was first.
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    secret, identity = path.read_text(encoding="ascii").split()
    return secret, identity

"""What redis-py raises, as errors of ours: which mean silence, which a refusal, and why."""

from __future__ import annotations

import re
from typing import Any, Final

from gatehound.errors import SettingsError, StoreCorrupt, StoreError, StoreUnavailable
from gatehound.stores.redis.address import Address

# What a server says instead of running a command. It has changed nothing: asking again is safe.
MOVED: Final = "MOVED"
ASK: Final = "ASK"
TRYAGAIN: Final = "TRYAGAIN"
READONLY: Final = "READONLY"
MASTERDOWN: Final = "MASTERDOWN"
CLUSTERDOWN: Final = "CLUSTERDOWN"
LOADING: Final = "LOADING"
OOM: Final = "OOM"
_CLASSES: Final = {
    "MovedError": MOVED,
    "AskError": ASK,
    "TryAgainError": TRYAGAIN,
    "ReadOnlyError": READONLY,
    "MasterDownError": MASTERDOWN,
    "ClusterDownError": CLUSTERDOWN,
    "BusyLoadingError": LOADING,
    "OutOfMemoryError": OOM,
    "NoScriptError": "NOSCRIPT",
}
# Redis 6 wraps what a command in a script was refused with: "... @user_script: 3: -READONLY ...".
_OF_A_SCRIPT: Final = re.compile(r": -(READONLY|MASTERDOWN) ")
_PLACE: Final = re.compile(r"([0-9]{1,5}) (\S*):([0-9]{1,5})")
_ADVICE: Final = {
    MOVED: "it is part of a cluster: use redis+cluster:// in the store URL",
    READONLY: (
        "it is a replica, and sessions live on the master: use the master's address in the store "
        "URL, or redis+sentinel:// to have it found"
    ),
    MASTERDOWN: "it is a replica that has lost its master",
    CLUSTERDOWN: "the cluster has slots that no server answers for",
    LOADING: "it is reading its data set after a start",
    OOM: (
        "its memory is full: give it more; until then nobody can sign in, and people who are "
        "signed in stay so"
    ),
}


# Of the first cause that is one of these; redis-py says "connecting" for all of them.
_SILENCES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (
        ConnectionRefusedError,
        "refused the connection",
        "check that it runs, and host and port in the store URL",
    ),
    (
        FileNotFoundError,
        "has no such socket",
        "check that it runs, and the path in the store URL",
    ),
    (
        TimeoutError,
        "gave no answer in time",
        "check that it runs, that this host may reach it, and how loaded it is",
    ),
)
_CUT_OFF: Final = (
    "cannot be reached, or broke the connection off",
    "check that it runs, the host in the store URL, and that this host may reach it",
)


class ScriptMissing(StoreUnavailable):
    """The server does not hold the script: it was restarted, or flushed. Nothing was changed."""


class SlotMoving(StoreUnavailable):
    """The keys of a command lie on two servers at this moment, while their slot is moved.

    Nothing was changed. It was tried for a second; a command that names one key gets through.
    """


class StoreSilent(StoreUnavailable):
    """No answer at all, or no connection: the outcome is unknown."""


class Misread(StoreCorrupt):
    """What came is not what a server answers to that: no connection to it can be trusted."""


def import_redis() -> Any:
    """Return redis-py, with the modules that are used here."""
    try:
        import redis.asyncio.retry
        import redis.backoff
        import redis.crc
        import redis.exceptions
        import redis.retry
    except ImportError as error:
        raise SettingsError(
            'the store is on Redis, but redis-py is not installed: pip install "gatehound[redis]"'
        ) from error
    return redis


def refusal(error: Exception) -> tuple[str, str]:
    """Return the first word of a refusal, and the rest.

    redis-py has classes for some words and cuts the word off then; which ones depends on its
    release.
    """
    text = str(error)
    code = _CLASSES.get(type(error).__name__)
    if code is not None:
        return code, text.removeprefix(f"{code} ")
    inside = _OF_A_SCRIPT.search(text)
    if inside is not None:
        return inside[1], text
    code, _, rest = text.partition(" ")
    return code, rest


def redirect(words: str, asked: Address) -> tuple[int, Address] | None:
    """Read what stands behind MOVED or ASK: "3999 127.0.0.1:6381", host "" is the one asked.

    None where it stands there in another form.
    """
    found = _PLACE.fullmatch(words)
    return found and (int(found[1]), Address(found[2] or asked.host, int(found[3])))


def is_silence(error: BaseException) -> bool:
    """Say whether a server gave no answer, so that its breaker counts it."""
    from redis import exceptions as e

    if isinstance(error, e.BusyLoadingError | e.AuthenticationError | e.AuthorizationError):
        return False
    if isinstance(error, e.ConnectionError) and "No connection available" in str(error):
        return False  # all connections of this process are in use: nobody asked the server
    return isinstance(error, e.ConnectionError | e.TimeoutError | OSError)


def _silence(error: BaseException) -> tuple[str, str]:
    """Say what happened where no answer came, and what to look at."""
    from redis import exceptions as e

    seen: BaseException | None = TimeoutError() if isinstance(error, e.TimeoutError) else error
    for _ in range(4):  # redis-py raises its own while it handles the one of the system
        for kind, what, advice in _SILENCES:
            if isinstance(seen, kind):
                return what, advice
        seen = seen and (seen.__cause__ or seen.__context__)
    return _CUT_OFF


def translate(error: Exception, address: Address) -> StoreError:
    """Say it in our words. redis-py's name the host and the cause, and never a password."""
    from redis import exceptions as e

    if isinstance(error, StoreError):
        return error
    if isinstance(error, e.InvalidResponse):
        return Misread(f"Redis at {address} sent what is not the Redis protocol")
    if not isinstance(error, e.RedisError | OSError):  # it broke what redis-py makes of replies
        return Misread(f"Redis at {address} sent what cannot be read: {type(error).__name__}")
    if is_silence(error):
        what, look = _silence(error)
        return StoreSilent(f"Redis at {address} {what} ({error or type(error).__name__}): {look}")
    code, _ = refusal(error)
    if code == "NOSCRIPT":
        return ScriptMissing(f"Redis at {address} does not hold the script")
    if code in (TRYAGAIN, ASK):
        return SlotMoving(f"Redis at {address} is moving the keys to another server")
    words = f"Redis at {address} refused: {error}"
    if "GHVERSION" in words or "WRONGTYPE" in words:
        return StoreCorrupt(words)
    advice = _ADVICE.get(code)
    return StoreUnavailable(f"{words} ({advice})" if advice else words)

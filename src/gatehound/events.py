"""What happened, for people: the names, what is left out of them, and where they go.

Belongs here: the closed list of names, redaction, and the sinks that need no network.
A sink is any callable that takes an Event. It is called on the request's own thread or
loop, so it must return at once; what it raises is logged and changes nothing. With
notification_failed alone it is called from the thread of the notifier, also under ASGI.
Secrets never reach an event: a session is named by its public id, which authenticates nobody.
"""

from __future__ import annotations

import inspect
import ipaddress
import logging
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from gatehound.errors import UsageError
from gatehound.model import Event

Sink = Callable[[Event], None]
Precision = Literal["full", "network", "none"]

# Each name, and one sentence for the reference. Append only: logs and dashboards know them.
NAMES: Final = {
    "session_created": "Somebody signed in.",
    "session_terminated": "A session was ended by its user, an admin or a policy.",
    "session_terminated_limit": "A session ended because its user signed in elsewhere.",
    "session_expired": "A session reached its idle or absolute timeout.",
    "session_ip_shift": "A session was used from a network that is new to it.",
    "session_geo_anomaly": "A user's sessions were active in different countries.",
    "session_flagged": "A session became suspicious.",
    "session_cleared": "A session is no longer suspicious.",
    "session_rotated": "A session got a new secret.",
    "session_reuse": "An old secret of a session was presented after its grace.",
    "step_up_required": "A session has to prove again who it belongs to.",
    "step_up_passed": "A session proved again who it belongs to.",
    "login_refused": "A login was refused by a limit, a disabled user or an end of all sessions.",
    "login_failed": "The app reported failed credentials.",
    "login_over_http": "A login came over plain HTTP, where browsers drop its cookie.",
    "token_forged": "A cookie of our name did not verify.",
    "token_unknown": "A cookie verified, but its session is not known.",
    "token_replayed": "The cookie of an ended session came back.",
    "record_unreadable": "A stored record cannot be read: damage, or another release.",
    "store_down": "The session store does not answer.",
    "store_up": "The session store answers again.",
    "proxy_misconfigured": "Many users share an address: a proxy is not declared.",
    "device_bound": "A session was bound to a device.",
    "device_proof_failed": "A device did not prove that it holds the key.",
    "sessions_moved": "Many sessions moved to one new network within an hour.",
    "login_new_device": "Somebody signed in on a device that their account has not used before.",
    "detector_failed": "A detector raised; its finding is missing.",
    "user_disabled": "A user was disabled, and all their sessions ended.",
    "user_enabled": "A disabled user may sign in again.",
    "user_forgotten": "Everything stored about a user was erased.",
    "everyone_terminated": "All sessions of the site were ended.",
    "notification_failed": "A notice did not get through, and is not tried again.",
    "admin_acted": "An admin did something on the pages of admins, or by a command.",
    "login_spray": "Logins of many users failed from one network.",
    "login_guessing": "Many logins of one user failed.",
}

# What goes to the sinks alone, and is never in the log of the store: strangers make it, the store
# is what failed, or a user was erased. A test emits each and looks.
SINKS_ONLY: Final = frozenset(
    {
        "login_over_http",
        "notification_failed",
        "record_unreadable",
        "store_down",
        "token_forged",
        "token_replayed",
        "token_unknown",
        "user_forgotten",
    }
)
# No code of this release emits these.
RESERVED: Final = frozenset({"device_bound", "device_proof_failed"})

# Made by requests, at the rate a stranger likes: so many a minute are told one by one, the
# rest as one count.
FLOODABLE: Final = {
    "token_forged": 1,
    "token_unknown": 1,
    "token_replayed": 1,
    "record_unreadable": 1,
    "session_reuse": 10,
    "login_failed": 60,
    "login_over_http": 1,
    "login_spray": 10,
    "login_guessing": 10,
    "sessions_moved": 1,
    "detector_failed": 10,
}
FLOOD_WINDOW: Final = 60.0  # seconds


class LogSink:
    """Write each event as one line to a logger: its name, then its fields as JSON."""

    def __init__(self, logger: str = "gatehound.events") -> None:
        self._logger = logging.getLogger(logger)

    def __call__(self, event: Event) -> None:
        """Log the event; suspicious ones as warnings."""
        if self._logger.isEnabledFor(level := _level(event)):
            self._logger.log(level, "%s %s", event.name, as_json(event))


class JSONLogSink:
    """Write each event as one JSON object a line, for programs that collect logs.

    The record carries the same as a dict, `gatehound`, for a formatter that makes JSON itself.
    While a span of OpenTelemetry is open, the line names it.
    """

    def __init__(self, logger: str = "gatehound.events") -> None:
        self._logger = logging.getLogger(logger)

    def __call__(self, event: Event) -> None:
        """Log the event; suspicious ones as warnings."""
        level = _level(event)
        if not self._logger.isEnabledFor(level):
            return
        at = datetime.fromtimestamp(event.at or time.time(), UTC)
        told = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": logging.getLevelName(level).lower(),
            "name": event.name,
            **as_fields(event),
            **_span(),
        }
        line = msgspec.json.encode(told).decode()
        self._logger.log(level, "%s", line, extra={"gatehound": told})


class Events:
    """Hands events to sinks, redacted, and keeps floods to one line a minute."""

    def __init__(
        self,
        sinks: Iterable[Sink] = (),
        *,
        precision: Precision = "full",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sinks = tuple(sinks)
        for sink in self._sinks:
            call = sink if inspect.isroutine(sink) else type(sink).__call__
            if not callable(sink) or inspect.iscoroutinefunction(call):
                raise UsageError(
                    f"sink {sink!r} given; allowed is a plain function of an Event that returns "
                    "at once: put what waits into a queue there, and empty it elsewhere"
                )
        self._precision: Precision = precision
        self._monotonic = monotonic
        self._floods: dict[str, _Flood] = {}
        self._unwritten: dict[str, Event] = {}  # one a name: it stays small in an outage

    def emit(self, event: Event) -> None:
        """Hand an event to every sink; never raises. One without a time gets the local one."""
        if not event.at:
            event = replace(event, at=time.time())
        self._tell_held()
        self._hand_out(event)

    def _hand_out(self, event: Event) -> None:
        for sink in self._sinks:
            try:
                sink(event)
            except Exception:
                logging.getLogger("gatehound").exception("a sink failed on %s", event.name)

    def redacted(self, event: Event) -> Event:
        """Return the event with its address at the precision of the settings."""
        if self._precision == "full":
            return event
        address = coarse(event.address, self._precision)
        return event if address == event.address else replace(event, address=address)

    def admits(self, name: str) -> bool:
        """Say whether one more event of this name is told now; else it is counted.

        A name that is not in FLOODABLE always is. The state is one entry a name; a lost update
        under threads only miscounts.
        """
        allowed = FLOODABLE.get(name)
        if allowed is None:
            return True
        now = self._monotonic()
        flood = self._floods.get(name)
        if flood is None or now - flood.since >= FLOOD_WINDOW:
            self._tell_held()
            flood = self._floods[name] = _Flood(now)
        flood.told += 1
        if flood.told <= allowed:
            return True
        flood.held += 1
        return False

    def unwritten(self, *, ends: bool = False) -> Event | None:
        """Take out a count that the store has to have; None: there is none.

        Of windows that are over; `ends`: of all, because nothing comes after this.
        """
        self._tell_held(ends=ends)
        try:
            return self._unwritten.popitem()[1]
        except KeyError:
            return None

    def keep(self, event: Event) -> None:
        """Put back a count that the store did not take; it is added to what came since."""
        since = self._unwritten.pop(event.name, None)
        if since is not None:
            event = replace(event, detail={"count": _count_of(event) + _count_of(since)})
        self._unwritten[event.name] = event

    def _tell_held(self, *, ends: bool = False) -> None:
        """Tell how many were held back in windows that are over."""
        if not self._floods:
            return
        now = self._monotonic()
        over = [n for n, f in self._floods.items() if ends or now - f.since >= FLOOD_WINDOW]
        for name in over:
            flood = self._floods.pop(name, None)
            if flood is None or not flood.held:
                continue
            # It happened in the window, however long ago that is.
            at = time.time() - max(now - flood.since - FLOOD_WINDOW, 0.0)
            event = Event(name, reason="more of them", detail={"count": flood.held}, at=at)
            self._hand_out(event)
            if name not in SINKS_ONLY:
                self.keep(event)


class _Flood(msgspec.Struct):
    """How many events of one name were told and held back since the window began."""

    since: float
    told: int = 0
    held: int = 0


def _count_of(event: Event) -> int:
    count = event.detail["count"]
    return count if isinstance(count, int) else 0


def coarse(address: str, precision: Precision) -> str:
    """Reduce the text of an address to what the settings allow to be kept."""
    if precision == "full" or not address:
        return address
    if precision == "none":
        return ""
    bits = 64 if ":" in address else 24
    return str(ipaddress.ip_network((address, bits), strict=False).network_address)


def as_json(event: Event) -> str:
    """Write the fields that are set as one JSON object, for logs and exports."""
    at = round(event.at, 3)
    return msgspec.json.encode(({"at": at} if at else {}) | as_fields(event)).decode()


def as_fields(event: Event) -> dict[str, Any]:
    """Return the fields that are set, but for the name and the time."""
    fields = {
        "user_id": event.user_id,
        "public_id": event.public_id,
        "address": event.address,
        "reason": event.reason,
        "notify": event.notify,
        "detail": dict(event.detail),
    }
    return {name: value for name, value in fields.items() if value}


def _span() -> dict[str, str]:
    """Name the span that is open, in a process that has loaded OpenTelemetry."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


_CALM: Final = frozenset(
    {
        "session_created",
        "session_terminated",
        "session_terminated_limit",
        "session_expired",
        "session_cleared",
        "session_rotated",
        "step_up_passed",
        "device_bound",
        "user_enabled",
        "user_forgotten",
        "admin_acted",
    }
)


def _level(event: Event) -> int:
    return logging.INFO if event.name in _CALM else logging.WARNING

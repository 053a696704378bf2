"""The plain data that all other parts speak.

Belongs here: frozen values and closed lists of words. Does not: anything that does I/O,
keeps state or decides. Code lists that are stored as numbers (EndReason, METHODS) are
append-only: an older release must be able to read what a newer one wrote.

Times are seconds since 1970 (float) here, where people read them; stores count in
milliseconds (int), see gatehound.stores.base.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import msgspec

from gatehound.clientip import ClientIP, ClientIPResolver

# Seconds. The marker lets settings accept text such as "60m" or "14d" for it.
Duration: TypeAlias = Annotated[float, "duration"]
Detail: TypeAlias = Mapping[str, str | int | float | bool | None]
NOTHING: Final[Detail] = MappingProxyType({})
# Headers by which a browser says that it fetches ahead of time. Sec-Purpose is the standard;
# Purpose is sent by Safari and older Chrome, X-Moz by older Firefox, X-Sec-Purpose by Turbo's link
# prefetch, whose fetch may not set Sec- headers.
PURPOSES: Final = ("sec-purpose", "purpose", "x-moz", "x-sec-purpose")


class Silent:
    """What says nothing of what is in it, because there are secrets among it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Name the class alone."""
        return object.__repr__(self)

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Say no more to rich, whose tracebacks show local variables."""
        return []


class Action(enum.IntEnum):
    """What is done about a request; the order is the order of severity."""

    ALLOW = 0
    RECORD = 1
    FLAG = 2
    NOTIFY = 3
    STEP_UP = 4
    TERMINATE = 5


class Activity(enum.StrEnum):
    """What kind of request this is; only NAVIGATE and ACTION extend the idle timeout."""

    NAVIGATE = "navigate"
    ACTION = "action"
    BACKGROUND = "background"
    SPECULATIVE = "speculative"
    ASSET = "asset"

    @property
    def extends(self) -> bool:
        """True where a person is there: the request slides the idle timeout."""
        return self is Activity.NAVIGATE or self is Activity.ACTION


class EndReason(enum.StrEnum):
    """Why a session is over. Append only: the position in this list is stored."""

    LOGOUT = "logout"
    LIMIT = "limit"
    IDLE = "idle"
    ABSOLUTE = "absolute"
    USER = "user"
    ADMIN = "admin"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason, not a password
    SUSPICIOUS = "suspicious"
    REPLACED = "replaced"
    DISABLED = "disabled"
    EVERYONE = "everyone"
    UNDONE = "undone"
    REPORTED = "reported"

    @property
    def text(self) -> str:
        """One plain sentence for the person who was signed out."""
        return _END_TEXT[self]

    @property
    def code(self) -> int:
        """The stored number."""
        return _END_CODES[self]


END_REASONS: Final = tuple(EndReason)
_END_CODES: Final = {reason: code for code, reason in enumerate(END_REASONS)}
_END_TEXT: Final = {
    EndReason.LOGOUT: "You signed out.",
    EndReason.LIMIT: "You signed in again, and this session made room for the new one.",
    EndReason.IDLE: "You were away for longer than a session may rest.",
    EndReason.ABSOLUTE: "Your session reached its maximum age.",
    EndReason.USER: "You ended this session from another device.",
    EndReason.ADMIN: "An administrator ended this session.",
    EndReason.PASSWORD_CHANGED: "Your password was changed.",
    EndReason.SUSPICIOUS: "This session looked as if somebody else was using it.",
    EndReason.REPLACED: "You signed in again on this device.",
    EndReason.DISABLED: "Your account was disabled.",
    EndReason.EVERYONE: "All sessions of this site were ended.",
    EndReason.REPORTED: "You said that a sign-in was not yours, and ended it.",
    EndReason.UNDONE: "Signing in did not succeed: the site failed before it could answer.",
}

# How somebody proved who they are (compare RFC 8176, "amr" values). Append only: the
# position is a bit in the stored record, so there is room for 16.
METHODS: Final = (
    "password",
    "totp",
    "sms",
    "email",
    "passkey",
    "security_key",
    "push",
    "recovery_code",
    "magic_link",
    "federated",
    "certificate",
    "other",
)


class Request(ABC):
    """What one HTTP request tells, the same for WSGI and ASGI.

    `method` is upper case, `path` is the decoded path including a mount prefix, `query` the raw
    query text, `host` the Host header as sent, `agent` the User-Agent and `cookie` all Cookie
    lines joined by "; " (each "" when absent). Header text is Latin-1. `commas` says whether
    the server may have joined Cookie lines with ",".
    """

    __slots__ = ("agent", "cookie", "host", "method", "path", "query", "scheme", "websocket")

    commas: ClassVar[bool] = False

    method: str
    path: str
    query: str
    scheme: str
    host: str
    agent: str
    cookie: str
    websocket: bool

    @property
    def root(self) -> str:
        """The path below which the server says that the app is, decoded; "" where at the top."""
        return ""

    @property
    def route(self) -> str:
        """The path below `root`, with the slash first."""
        return self.path

    @abstractmethod
    def header(self, name: str) -> str:
        """Return the value of a header, lines joined by ", "; "" when absent."""

    def lacks(self, names: tuple[str, ...]) -> bool:
        """True where none of these headers was sent, names in lower case."""
        return not any(self.header(name) for name in names)

    def navigates(self) -> bool:
        """True where a browser follows a link, and says nothing of doing it ahead of time."""
        return (
            not self.websocket
            and self.header("sec-fetch-mode") == "navigate"
            and self.lacks(PURPOSES)
        )

    @abstractmethod
    def locate(self, resolver: ClientIPResolver) -> ClientIP:
        """Ask the resolver for the client's address."""


def is_loopback(host: str) -> bool:
    """True for a name or an address, without a port, that is this machine for everybody.

    RFC 6761, 6.3: "localhost" and every name below it; browsers see it the same way.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        name = host.lower()
        return name == "localhost" or name.endswith(".localhost")


NetworkKind: TypeAlias = Literal[
    "", "isp", "mobile", "business", "hosting", "relay", "proxy", "vpn", "tor"
]


class Network(msgspec.Struct, frozen=True, gc=False):
    """What is known of an address. Empty text and 0 mean "not known".

    `location` is latitude and longitude in degrees, None not known. `kind` says who is behind
    the network: `isp` a home line, `mobile` a phone or satellite, `business` a company's own,
    `hosting` servers, `relay` a privacy relay that a browser has built in, `proxy` a gateway
    of a company or carrier, `vpn` and `tor` what their names say.
    """

    prefix: str = ""
    asn: int = 0
    organisation: str = ""
    country: str = ""
    continent: str = ""
    city: str = ""
    place_id: int = 0
    build: int = 0
    kind: NetworkKind = ""
    location: tuple[float, float] | None = None

    @property
    def place(self) -> str:
        """City and country for people, "" where neither is known."""
        return ", ".join(part for part in (self.city, self.country) if part)


class Device(msgspec.Struct, frozen=True, gc=False):
    """What a User-Agent header claims. Empty text means "not known".

    `is_app` is True for a phone's app: for its web view and for the HTTP library of its own code.
    """

    label: str = "Unknown device"
    family: str = ""
    version: tuple[int, ...] = ()
    os: str = ""
    is_mobile: bool = False
    is_script: bool = False
    is_app: bool = False


class Session(msgspec.Struct, frozen=True, gc=False):
    """One sign-in as people see it. Times are seconds since 1970.

    `public_id` names the session for its whole life and authenticates nobody. `expires` is
    the absolute end and `idle_expires` the end if nothing more happens. `reasons` says in
    plain words why it is `flagged`. `place` and `device` are labels for people, "" and
    "Unknown device" where nothing is known. `user_name` and `user_avatar` are what `users.describe`
    says.
    `current` is True in a list that the owner of this very session asked for.
    """

    public_id: str
    user_id: str
    roles: tuple[str, ...]
    created: float
    authenticated_at: float
    last_seen: float
    expires: float
    idle_expires: float
    methods: tuple[str, ...]
    aal: int
    remembered: bool
    address: IPv4Address | IPv6Address | None = None
    country: str = ""
    place: str = ""
    agent: str = ""
    device: str = "Unknown device"
    flagged: bool = False
    reasons: tuple[str, ...] = ()
    current: bool = False
    user_name: str = ""
    user_avatar: str = ""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """Why the session that a cookie names is over, and since when (seconds since 1970)."""

    reason: EndReason
    at: float

    @property
    def text(self) -> str:
        """One plain sentence for the person who was signed out."""
        return self.reason.text


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One finding of a detector.

    `code` is a fact in the past tense (`network_changed`), `weight` is in points of the
    policy (see gatehound.detection.policy), `reason` one plain sentence for the user, and
    `detail` facts for the log. A negative weight speaks for the session; 0 takes back what was
    said under this code.
    """

    code: str
    weight: float
    reason: str
    detail: Detail = NOTHING
    detector: str = ""
    at: float = 0.0


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the policy decided, the score it decided on, and why."""

    action: Action = Action.ALLOW
    score: float = 0.0
    signals: tuple[Signal, ...] = ()


Notify = Literal["", "user", "admins", "both"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened, for people and programs.

    `name` is one of gatehound.events.NAMES. `user_id` and `public_id` are None where nobody
    is known. `reason` is a word or a plain sentence. `at` is seconds since 1970; 0 lets the
    store that writes it set its own time. `id` is its place in the store's log, "" before it
    has one. `notify` says who should hear of it.
    """

    name: str
    user_id: str | None = None
    public_id: str | None = None
    reason: str = ""
    address: str = ""
    detail: Detail = NOTHING
    notify: Notify = ""
    at: float = 0.0
    id: str = ""

"""The document of the JSON API (OpenAPI 3.1), and what the API answers with.

The schemas are made from the very structs that are encoded, and the problems from the table out of
which they are answered: so the document says what the code does. A route that api.py gets is
written here too, and a test asks each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gatehound import __version__
from gatehound.model import EndReason
from gatehound.stores.record import SID_BYTES
from gatehound.web.demand import TITLES

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
TOKEN_HEADER: Final = "X-CSRF-Token"  # noqa: S105 - the name of a header
ID_PATTERN: Final = f"^[0-9a-f]{{{2 * SID_BYTES}}}$"

# --- what is answered; times are seconds since 1970 ---


class Listed(msgspec.Struct, frozen=True):
    """One session. Times are seconds since 1970; `address` is null where it is not kept."""

    id: Annotated[str, Meta(pattern=ID_PATTERN)]
    current: Annotated[bool, Meta(description="The session in which this was asked.")]
    device: str
    agent: Annotated[str, Meta(description="The User-Agent header, as it was sent.")]
    address: str | None
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2; empty where it is not known.")]
    place: str
    methods: Annotated[tuple[str, ...], Meta(description="How the user signed in.")]
    remembered: bool
    created: float
    authenticated_at: float
    last_seen: float
    expires: Annotated[float, Meta(description="The end, whatever happens.")]
    idle_expires: Annotated[float, Meta(description="The end, if nothing more happens.")]
    flagged: Annotated[bool, Meta(description="It looks suspicious.")]
    reasons: Annotated[tuple[str, ...], Meta(description="Why, in plain English.")]


class Listing(msgspec.Struct, frozen=True):
    """Sessions, the current one first and then the most recently active."""

    sessions: tuple[Listed, ...]
    cursor: Annotated[str | None, Meta(description="Leads to the rest; null at the end.")]


class Ending(msgspec.Struct, frozen=True):
    """How many sessions were ended."""

    ended: Annotated[int, Meta(ge=0)]


class Confirming(msgspec.Struct, frozen=True):
    """False where nothing was suspicious."""

    confirmed: bool


class Token(msgspec.Struct, frozen=True):
    """What requests that change something carry as X-CSRF-Token; good for 12 hours."""

    token: str


class Whereabouts(msgspec.Struct, frozen=True):
    """From where the site sees this request; `address` is null where that cannot be told."""

    address: str | None
    country: str
    place: str
    reason: Annotated[
        str | UnsetType,
        Meta(description="Why it is this one or none, for those with a role of web.trace_roles."),
    ] = UNSET
    trace: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="How it was found, for the same alone: it tells of the site's proxies."),
    ] = UNSET


class Problem(msgspec.Struct, frozen=True):
    """Why something was not done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    reason: Annotated[
        str | UnsetType,
        Meta(
            description="Of signed-out, why the session of this cookie is over: "
            f"{', '.join(EndReason)}. Of cross-site, what tells it."
        ),
    ] = UNSET
    ended_at: float | UnsetType = UNSET
    sign_in_url: str | UnsetType = UNSET
    step_up_url: str | UnsetType = UNSET
    max_age: Annotated[
        float | UnsetType, Meta(description="How old a sign-in may be for this, in seconds.")
    ] = UNSET
    reasons: Annotated[
        tuple[str, ...] | UnsetType, Meta(description="Why the session looks suspicious.")
    ] = UNSET


# --- what is refused ---

PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "bad-limit": (400, f"The parameter limit is a whole number from 1 to {MAX_LIMIT}."),
    "bad-cursor": (400, "This cursor was not made for this session. Ask again without one."),
    "signed-out": (401, "Nobody is signed in."),
    "cross-site": (403, "This was sent from another site."),
    "csrf-token": (
        403,
        f"{TOKEN_HEADER} is missing, or of another session, or too old: get one from token.",
    ),
    "no-such-session": (404, "You have no such session: it may be over by now."),
    "current-session": (404, "This is the session that you are in. To end it, use sign-out."),
    "no-such-path": (404, "There is nothing at this path."),
    "method-not-allowed": (405, "This path does not know this method."),
    "too-long": (413, "The body of this request is too long; none is needed."),
}
# Those that the whole site answers with: see gatehound.web.reply.
_EVERYWHERE: Final[Mapping[str, tuple[int, str]]] = {
    "fresh-login-required": (401, "This needs a more recent sign-in."),
    "step-up-required": (401, "The session looks suspicious: its user has to sign in again."),
    "superseded": (401, "The session was renewed in a parallel request: ask again."),
    "development-mode": (403, "The site runs in development mode, and answers loopback alone."),
    "session-store-down": (503, "Sessions cannot be read at this moment: ask again later."),
}
_CHANGE: Final = ("signed-out", "cross-site", "csrf-token", "too-long")


def _refusals(codes: Iterable[str]) -> dict[str, Any]:
    """The responses of an operation that can be refused for these reasons."""
    told = {**{code: PROBLEMS[code] for code in codes}, **_EVERYWHERE}
    statuses = sorted({status for status, _ in told.values()})
    return {
        str(status): _refusal(status, {c: text for c, (s, text) in told.items() if s == status})
        for status in statuses
    }


def _refusal(status: int, told: Mapping[str, str]) -> dict[str, Any]:
    types = [f"urn:gatehound:{code}" for code in told]
    lines = [f"- `{name}`: {text}" for name, text in zip(types, told.values(), strict=True)]
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"type": {"enum": types}, "status": {"const": status}},
    }
    response: dict[str, Any] = {
        "description": "\n".join([f"{TITLES[status]}.", "", *lines]),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status == 503:
        seconds = {"type": "integer", "minimum": 1}
        about = {"description": "Seconds to wait.", "required": True, "schema": seconds}
        response["headers"] = {"Retry-After": about}
    return response


# --- operations ---


def _operation(
    name: str,
    summary: str,
    answer: type[msgspec.Struct] | None,
    codes: Iterable[str],
    *parameters: Mapping[str, Any],
    is_open: bool = False,
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if answer is not None:
        schema = {"$ref": f"#/components/schemas/{answer.__name__}"}
    done = {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": done, **_refusals(codes)},
    }
    if parameters:
        operation["parameters"] = list(parameters)
    if is_open:
        operation["security"] = [{}, {"cookie": []}]
    return operation


def _parameter(
    where: str, name: str, text: str, schema: Mapping[str, Any], *, required: bool = True
) -> dict[str, Any]:
    about = {"name": name, "in": where, "description": text, "schema": {**schema}}
    return {**about, "required": required}


_LIMIT: Final = _parameter(
    "query",
    "limit",
    "How many sessions to list.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    required=False,
)
_CURSOR: Final = _parameter(
    "query",
    "cursor",
    "What the list before gave as `cursor`. A session that its user goes on with meanwhile moves "
    "to the front, which was shown: it is in a new list.",
    {"type": "string"},
    required=False,
)
_ID: Final = _parameter("path", "id", "Of a list.", {"type": "string", "pattern": ID_PATTERN})
_TOKEN: Final = _parameter("header", TOKEN_HEADER, "From `token`.", {"type": "string"})


def _paths() -> dict[str, Any]:
    find = ("signed-out", "bad-limit", "bad-cursor")
    end = (*_CHANGE, "no-such-session", "current-session", "no-such-path")
    return {
        "/sessions": {
            "get": _operation(
                "listSessions", "List your sessions.", Listing, find, _LIMIT, _CURSOR
            ),
        },
        "/sessions/{id}": {
            "delete": _operation("endSession", "End another session.", Ending, end, _ID, _TOKEN),
        },
        "/end-others": {
            "post": _operation(
                "endOthers", "End all your sessions but this one.", Ending, _CHANGE, _TOKEN
            ),
        },
        "/sign-out": {
            "post": _operation("signOut", "End this session.", Ending, _CHANGE, _TOKEN),
        },
        "/confirm": {
            "post": _operation(
                "confirm",
                "Say of a suspicious session that this was you.",
                Confirming,
                _CHANGE,
                _TOKEN,
            ),
        },
        "/token": {
            "get": _operation("getToken", "Get a token for changes.", Token, ("signed-out",)),
        },
        "/address": {
            "get": _operation(
                "getAddress", "See from where you are seen.", Whereabouts, (), is_open=True
            ),
        },
        "/openapi.json": {
            "get": _operation("getDocument", "Get this document.", None, (), is_open=True),
        },
    }


_DESCRIPTION: Final = """\
The sessions of the user who is signed in, by the cookie of the site.

What changes something comes from this site (Sec-Fetch-Site or Origin) and carries a token.
HEAD is answered where GET is. Any other path is 404 (`urn:gatehound:no-such-path`), and any other
method 405 (`urn:gatehound:method-not-allowed`) with `Allow`.
Where the site refuses a request before this API is asked (development mode, a step-up for every
path), that is a page or a redirect for clients that accept text/html.
"""


@lru_cache(maxsize=8)
def document(cookie: str) -> bytes:
    """Return the document as JSON, for sessions in a cookie of this name."""
    answers = (Listing, Ending, Confirming, Token, Whereabouts, Problem)
    _, schemas = msgspec.json.schema_components(answers, ref_template="#/components/schemas/{name}")
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Sessions",
            "version": __version__,
            "description": _DESCRIPTION,
        },
        # Relative to this document: so it is right below any prefix.
        "servers": [{"url": "../api"}],
        "security": [{"cookie": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"cookie": {"type": "apiKey", "in": "cookie", "name": cookie}},
        },
    }
    return msgspec.json.encode(whole)

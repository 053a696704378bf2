"""A client that really asks, over a socket: the thief, the other device, and both browsers.

Blocking (http.client), one connection a request. It keeps the header lines as they were sent
and received, with the values of cookies shortened: they open sessions.
"""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from gatehound.cli.demo.world import PLACE_COOKIE, Place

TIMEOUT: Final = 10.0  # seconds; an answer on loopback takes milliseconds
_SHOWN: Final = 12  # characters of a cookie value: enough to tell two apart, too few to use
_LONGEST: Final = 400  # characters of a line: real agents end at about 300
_LONG_VALUE: Final = re.compile(rf"=([A-Za-z0-9_.-]{{{_SHOWN}}})[A-Za-z0-9_.-]{{20,}}")
# Of each message only what this story is about is shown; all of it is really sent.
_ASKED: Final = frozenset({"host", "user-agent", "cookie", "x-forwarded-for"})
_ANSWERED: Final = frozenset({"location", "set-cookie", "cache-control"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; `sent` and `got` are header lines of both, for people."""

    sent: tuple[str, ...]
    got: tuple[str, ...]
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def header(self, name: str) -> str:
        """Return the lines of one header joined by newlines, "" where there is none."""
        return "\n".join(value for other, value in self.headers if other == name)

    def json(self) -> Any:
        """Read the body as JSON; ValueError where it is none."""
        return json.loads(self.body)


@dataclass(slots=True)
class Browser:
    """Somebody with an agent and cookies, in a place. `here` is host and port of the demo."""

    here: tuple[str, int]
    agent: str
    place: Place
    jar: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Exchange:
        """Send one request and keep the cookies of the answer; redirects are not followed."""
        cookies = {**self.jar, PLACE_COOKIE: self.place.key}
        lines = {
            "Host": _host(self.here),
            "User-Agent": self.agent,
            "Accept": "text/html,*/*;q=0.8",
            **(headers or {}),
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }
        body = b"" if fields is None else urlencode(fields).encode()
        if fields is not None:
            lines["Content-Type"] = "application/x-www-form-urlencoded"
            lines["Content-Length"] = str(len(body))
        exchange = _exchange(self.here, method, path, lines, body)
        for line in filter(None, exchange.header("set-cookie").split("\n")):
            _keep(self.jar, line)
        return exchange

    def get(self, path: str, headers: dict[str, str] | None = None) -> Exchange:
        """Ask for a page."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, fields: dict[str, str] | None = None) -> Exchange:
        """Send a form."""
        return self.ask("POST", path, fields or {})


def shortened(line: str) -> str:
    """Cut long values in a header line to their first characters, and then the line."""
    line = _LONG_VALUE.sub(lambda found: f"={found[1]}...", line)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _exchange(
    here: tuple[str, int], method: str, path: str, lines: dict[str, str], body: bytes
) -> Exchange:
    link = http.client.HTTPConnection(*here, timeout=TIMEOUT)
    try:
        link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in lines.items():
            link.putheader(name, value.encode("latin-1", "replace"))
        link.endheaders(body)
        answer = link.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        link.close()
    given = tuple((name.lower(), value) for name, value in answer.getheaders())
    return Exchange(
        sent=(f"{method} {path} HTTP/1.1", *_lines(tuple(lines.items()), _ASKED)),
        got=(f"HTTP/1.1 {answer.status} {answer.reason}", *_lines(given, _ANSWERED)),
        status=answer.status,
        headers=given,
        body=text,
    )


def _lines(headers: tuple[tuple[str, str], ...], wanted: frozenset[str]) -> list[str]:
    return [shortened(f"{name}: {value}") for name, value in headers if name.lower() in wanted]


def _keep(jar: dict[str, str], line: str) -> None:
    pair, _, attributes = line.partition(";")
    name, _, value = pair.partition("=")
    if "max-age=0" in attributes.lower():
        jar.pop(name, None)
    else:
        jar[name] = value


def _host(here: tuple[str, int]) -> str:
    host, port = here
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

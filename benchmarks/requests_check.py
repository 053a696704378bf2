"""Ask each participant whose session a request has, before it is measured.

One that does not know the user by its cookie is wrong, and so is one with sessions that knows
somebody without a cookie or with a forged one. The check also sees whether a read sets a cookie.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from typing import Final, NamedTuple

from requests_participants import HEADERS, USER
from requests_servers import Server

WITHIN: Final = 20.0
"""Seconds for one answer; the first request of a framework may take one."""
TRIES: Final = 5
PAUSE: Final = 0.5
"""A 5xx is asked again after so many seconds: a store may be late on a machine that is busy, and
nobody is wrong then."""
FORGED: Final = 8
"""Characters at the end of a cookie that a forger changes; fewer may be bits that nobody reads."""


class Checked(NamedTuple):
    """The cookies of a signed-in user, whether a read sets it again, and what is wrong."""

    cookie: str
    sets_cookie: bool
    wrong: tuple[str, ...]


class Answer(NamedTuple):
    """What a participant answered."""

    status: int
    body: str
    cookies: tuple[str, ...]


def ask(port: int, method: str, path: str, cookie: str = "") -> Answer:
    """Send one request, as wrk does."""
    answer = Answer(0, "", ())
    for _ in range(TRIES):
        answer = ask_once(port, method, path, cookie)
        if answer.status < 500:
            break
        time.sleep(PAUSE)
    return answer


def ask_once(port: int, method: str, path: str, cookie: str) -> Answer:
    """Send one request on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)) as line:
        line.request(method, path, headers=HEADERS | ({"Cookie": cookie} if cookie else {}))
        response = line.getresponse()
        body = response.read().decode("latin-1")
        return Answer(response.status, body, tuple(response.headers.get_all("set-cookie") or ()))


def sign_in(port: int) -> str:
    """Sign the user in and return the cookies; "" where none was set."""
    answer = ask(port, "POST", "/sign-in")
    return "; ".join(line.partition(";")[0] for line in answer.cookies)


def forge(cookie: str) -> str:
    """Change the end of each cookie, to characters that it may have."""
    return "; ".join(
        one[:-FORGED] + "".join("b" if char == "a" else "a" for char in one[-FORGED:])
        for one in cookie.split("; ")
    )


def check(server: Server) -> Checked:
    """Ask a participant everything that it has to know."""
    try:
        return check_sessions(server) if server.participant.has_sessions else check_bare(server)
    except (OSError, http.client.HTTPException) as error:
        said = server.log.read_text(errors="replace").strip()[-300:]
        return Checked("", sets_cookie=False, wrong=(f"does not answer: {error!r} {said}",))


def check_bare(server: Server) -> Checked:
    """A bare app answers the user, and sets no cookie."""
    answer = ask(server.port, "GET", "/")
    wrong = () if answer == (200, USER, ()) else (f"bare: {answer}",)
    return Checked("", sets_cookie=False, wrong=wrong)


def check_sessions(server: Server) -> Checked:
    """Ask with the cookie, without one, and with a forged one."""
    cookie = sign_in(server.port)
    if not cookie:
        return Checked("", sets_cookie=False, wrong=("a sign-in sets no cookie",))
    known = [ask(server.port, "GET", "/", cookie) for _ in range(2)]
    wrong = [f"with its cookie: {one}" for one in known if one[:2] != (200, USER)]
    for what, sent in (("without a cookie", ""), ("with a forged cookie", forge(cookie))):
        answer = ask(server.port, "GET", "/", sent)
        if answer.status != 401 or USER in answer.body:
            wrong.append(f"{what}: {answer}")
    return Checked(cookie, bool(known[-1].cookies), tuple(wrong))

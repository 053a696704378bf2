"""The session of WordPress's block editor that was recorded, and how it is played.

tests/live/record_editor.py made tests/data/editor_session.json, which says what is in it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from flow_kit import Browser, Job, Result

RECORDING: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "data" / "editor_session.json").read_text(encoding="utf-8")
)
# Of a request that is played without its body, and to another host.
NOT_PLAYED: Final = ("host", "content-type")


@dataclass(frozen=True)
class Sent:
    """One request of the recording; times in milliseconds since the visit began."""

    at: int
    took: int
    phase: str
    method: str
    path: str
    query: str
    status: int
    headers: dict[str, str]
    action: str
    repeated: bool = False

    @property
    def kind(self) -> str:
        """What the editor means by it, by what WordPress's own documentation calls it."""
        path = f"/wp-json{self.query}" if "rest_route=" in self.query else self.path
        path = path.replace("%2F", "/")
        if path.endswith("/admin-ajax.php"):
            return self.action or "ajax"
        if path.endswith("/async-upload.php"):
            return "library upload"
        if "/wp-json" in path:
            return self._kind_of_rest(path)
        return "page" if "text/html" in self.headers["accept"] else "asset"

    def _kind_of_rest(self, path: str) -> str:
        if self.method != "POST":
            return "REST read"
        if "/autosaves" in path:
            return "autosave"
        return "upload" if "/media" in path else "REST write"


Visit: TypeAlias = list[Sent]


def visit(name: str) -> Visit:
    """Return what was recorded of a visit, in the order in which it arrived."""
    found = RECORDING[name]
    made = []
    for at, took, method, target, status, place, *action in found["requests"]:
        path, _, query = target.partition("?")
        lines = [line.partition(":") for line in found["headers"][place]]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        phase = [name for name, begins in found["phases"] if begins <= at][-1]
        made.append(Sent(at, took, phase, method, path, query, status, headers, "".join(action)))
    return made


def half_an_hour() -> Visit:
    """Return the long visit as `replay` stretches it: its phases, and timers in between."""
    recorded, replay = visit("desk"), RECORDING["replay"]
    begins = dict(RECORDING["desk"]["phases"])
    played = [
        replace(sent, at=replay["starts"][sent.phase] + sent.at - begins[sent.phase])
        for sent in recorded
    ]
    for _, place, every, since, until in replay["repeated"]:
        played += [
            replace(recorded[place], at=at, repeated=True) for at in range(since, until, every)
        ]
    return sorted(played, key=lambda sent: sent.at)


def kinds(sents: Visit) -> Counter[str]:
    return Counter(sent.kind for sent in sents)


def at_once(sents: Visit) -> int:
    """Count how many of these were under way at the same time, at most."""
    return max(sum(a.at <= b.at < a.at + a.took for a in sents) for b in sents)


def send(browser: Browser, sent: Sent, job: Job, **options: Any) -> Result:
    """Send it through the site's adapter as it was recorded, without its body."""
    site, whole = browser.site, browser.site.app
    headers = {name: line for name, line in sent.headers.items() if name not in NOT_PLAYED}
    headers |= options.pop("headers", {})

    def asgi(scope: Any, receive: Any, send: Any) -> Any:
        return whole({**scope, "query_string": sent.query.encode()}, receive, send)

    def wsgi(environ: Any, start_response: Any) -> Any:
        return whole({**environ, "QUERY_STRING": sent.query}, start_response)

    site.app = asgi if site.world == "asgi" else wsgi
    try:
        return browser.do(job, path=sent.path, method=sent.method, headers=headers, **options)
    finally:
        site.app = whole

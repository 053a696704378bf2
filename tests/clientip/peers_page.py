"""The tables of docs/reference/disagreements.md, made from the rows of the comparison.

Run as a script, it writes them into the page.
"""

from __future__ import annotations

import re
from typing import Final

from pages import REFERENCE, Page, grid
from peers_rows import ROWS, Row

THEIRS: Final = {
    "uvicorn": (
        "`ProxyHeadersMiddleware(app, trusted_hosts=[...])`, with the same networks",
        '`scope["client"]`',
    ),
    "werkzeug": ("`ProxyFix(app, x_for=hops, x_proto=0)`", "`REMOTE_ADDR`"),
    "python-ipware": (
        '`IpWare(precedence=("HTTP_X_FORWARDED_FOR",), proxy_count=hops - 1)`',
        "the address that `get_client_ip` returns",
    ),
}
"""What each library is given beside our options, and what of it is the answer."""

REPEATED: Final = re.compile(r"((?:,|, )[^, ]+)\1{3,}")
"""The same entry more often than a reader counts."""


def table() -> str:
    """The part of the page that the rows decide."""
    return "\n\n".join(_section(library) for library in THEIRS)


def _section(library: str) -> str:
    """One library: what was asked, and a line for each class."""
    rows = [row for row in ROWS if row.library == library]
    counts = any(row.hops for row in rows)
    setting, answer = THEIRS[library]
    heads = ("case", *(["`hops`"] if counts else []), "peer", "X-Forwarded-For", "gatehound")
    lines = grid((*heads, library, "why gatehound does it"), (_cells(row) for row in rows))
    return "\n".join(
        [
            f"## {library}\n",
            f"Seen with release {rows[0].seen}.",
            f"Compared with: {setting}; its answer is {answer}.\n",
            *lines,
        ]
    )


def _cells(row: Row) -> list[str]:
    ours = f"{_address(row.ours)}, `{row.reason}`"
    count = [str(row.hops)] if row.hops else []
    peer = "a unix socket" if row.peer is None else f"`{row.peer}`"
    return [row.name, *count, peer, _header(row.lines), ours, _address(row.theirs), row.why]


def _address(text: str | None) -> str:
    return "none" if text is None else f"`{text}`"


def _header(lines: tuple[str, ...]) -> str:
    return ", then ".join(map(_line, lines)) or "no header"


def _line(text: str) -> str:
    """Show a byte that is no ASCII as its escape, and what is repeated once, with its count."""
    shown = text.encode("unicode_escape").decode()
    found = REPEATED.search(shown)
    if found is None:
        return f"`{shown}`"
    count = len(found[0]) // len(found[1])
    return f"`{shown[: found.start()]}` and {count} times `{found[1]}`" + (
        f" and `{rest}`" if (rest := shown[found.end() :]) else ""
    )


PAGE: Final = Page(REFERENCE / "disagreements.md", "from the rows", table)

if __name__ == "__main__":
    PAGE.write()

"""The table of docs/reference/proxies.md, made from what proxies sent.

Run as a script, it writes the table into the page.
"""

from __future__ import annotations

from typing import Final

from captures_kit import (
    DATA,
    FORWARDED,
    FROM_OUTSIDE,
    REAL,
    SETUPS,
    XFF,
    Capture,
    environ,
    of,
    resolver,
)
from pages import REFERENCE, Page, grid

from gatehound.clientip import ClientIP

HEADER_MODES: Final = (XFF, REAL, FORWARDED, "auto", "cloudflare")


def shown(proxy: str, mode: str) -> list[tuple[Capture, ClientIP]]:
    """What the resolver answers for each request of a proxy, with the settings of the page."""
    one = resolver(**FROM_OUTSIDE.options(mode))
    captures = map(FROM_OUTSIDE.show, of(proxy))
    return [(each, one.resolve(peer=each.peer, headers=each.lines)) for each in captures]


def wins(proxy: str, mode: str) -> int:
    """Count the requests for which a forged address is the answer."""
    return sum(str(answer.address) in one.forged for one, answer in shown(proxy, mode))


def folded(proxy: str) -> bool:
    """Tell whether X_Forwarded_For wins where a WSGI server takes `_` for `-` in names."""
    one = resolver(**FROM_OUTSIDE.options(XFF))
    captures = [FROM_OUTSIDE.show(capture) for capture in of(proxy)]
    return any(
        str(one.from_environ(environ(capture, comma, folds=True)).address) in capture.forged
        for capture in captures
        for comma in (",", "")
    )


def passes_underscores(proxy: str) -> bool:
    return any("_" in name for capture in of(proxy) for name, _ in capture.lines)


def _result(proxy: str) -> str:
    found = shown(proxy, SETUPS[proxy].mode)
    told = [(str(answer.address), one) for one, answer in found]
    counts = {
        "the client": sum(text == one.client for text, one in told),
        "unresolved": sum(answer.address is None for _, answer in found),
        "the proxy's own": sum(text == one.peer != one.client for text, one in told),
        "refused by the proxy": len(DATA["proxies"][proxy]["cases"]) - len(found),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _also(proxy: str) -> str:
    cells = ["`hops` 1"] if XFF in SETUPS[proxy].writes else []
    for mode in SETUPS[proxy].sound[1:]:
        lost = sum(answer.address is None for _, answer in shown(proxy, mode))
        cells.append(f"`{mode}` ({lost} unresolved)" if lost else f"`{mode}`")
    return ", ".join(cells)


def _cells(proxy: str) -> list[str]:
    setup = SETUPS[proxy]
    counts = {mode: wins(proxy, mode) for mode in HEADER_MODES}
    forged = ", ".join(f"`{mode}` {count}" for mode, count in counts.items() if count)
    cells = (proxy, setup.written, f"`{setup.mode}`", _result(proxy), _also(proxy), forged)
    return [cell or "-" for cell in (*cells, setup.note)]


def table() -> str:
    """The part of the page that the captures decide."""
    passing = [proxy for proxy in SETUPS if passes_underscores(proxy) and SETUPS[proxy].writes]
    marked = ("in the proxy", "mode", "answers", "also sound", "do not: forged wins", "note")
    lines = [
        *grid(("proxy", *marked), map(_cells, SETUPS)),
        "",
        f"`X_Forwarded_For` arrives beside the real header: {', '.join(passing)}.",
        f"And after it, so that it wins: {', '.join(filter(folded, passing))}.",
    ]
    return "\n".join(lines)


PAGE: Final = Page(REFERENCE / "proxies.md", "from the captures", table)

if __name__ == "__main__":
    PAGE.write()

"""The table and the sections of docs/reference/providers.md, made from the presets.

Run as a script, it writes them into the page. What the presets do not say (Cloudflare is a
mode, WP Engine has no preset) stands in the page outside of the marks.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pages import REFERENCE, Page, grid

from gatehound.clientip import ClientIPResolver
from gatehound.clientip.presets import PRESETS, Preset

PEER: Final = "192.0.2.10"
"""Stands for the operator's own list; from the range of RFC 5737 that is kept for examples."""

SECRET: Final = {"azure-front-door": ("X-Azure-FDID", "FRONT_DOOR_ID")}
"""Where the provider itself sends the second factor; its header, and where its value is kept."""

OWN_SECRET: Final = ("X-Edge-Key", "EDGE_KEY")
"""Where the operator makes it up. The page shows no value, because people copy what it shows."""

VALUE: Final = "a-value-of-these-tests"

TYPED: Final = re.compile(
    r"(\$?\b[A-Za-z]+_\w+(?:=\([^)]*\)|=\w+)?|\bhops=\d+)|(?<!\w)'([^']+)'(?!\w)"
)
"""In the presets' texts: a name with an underscore and its value, or what is in quotes."""


def options(name: str) -> dict[str, Any]:
    """What an operator writes for a preset, beside `mode`."""
    preset = PRESETS[name]
    given: dict[str, Any] = {}
    if not preset.networks:
        given["trusted_proxies"] = PEER
    if not preset.edge_overwrites:
        given["edge_overwrites"] = True
    if preset.shared:
        given["edge_secret"] = (SECRET.get(name, OWN_SECRET)[0], VALUE)
    return given


def table() -> str:
    """The part of the page that the presets decide."""
    heads = ("provider", "mode", "reads", "what you must give", "second factor", "scheme, host")
    lines = grid(heads, (_cells(name, preset) for name, preset in PRESETS.items()))
    return "\n".join((*lines, *(_section(name, preset) for name, preset in PRESETS.items())))


def _cells(name: str, preset: Preset) -> tuple[str, ...]:
    given = options(name)
    needs = [f"`{option}`" for option in ("trusted_proxies", "edge_overwrites") if option in given]
    return (
        preset.title,
        f"[`{name}`](#{name})",
        _reads(preset),
        ", ".join(needs) or "nothing",
        "`edge_secret`" if preset.shared else "-",
        ", ".join(f"`{one}`" for one in (preset.scheme_header, preset.host_header) if one) or "-",
    )


def _reads(preset: Preset) -> str:
    if preset.mode != "header":
        return f"`{preset.mode}`" + (f", entry {preset.hops}" if preset.hops else "")
    return f"`{preset.header}`"


def _section(name: str, preset: Preset) -> str:
    """One preset: what it stands for, the line to write, setup, trap, source."""
    found = [
        f"{preset.title}; the name stands for {_stands_for(preset)}.",
        f"Trusted without being listed: {_trusted(preset)}.",
    ]
    if preset.one_line:
        found.append("A request with several lines of that header is unresolved.")
    source = f"Source: <{preset.source}>, read on {preset.checked}."
    return (
        f"\n## `{name}`\n\n" + "\n".join(found) + f"\n\n{_code(name)}\n\n"
        f"{_text(preset.setup)}\n\n**Trap.**\n{_text(preset.trap)}\n\n{source}"
    )


def _stands_for(preset: Preset) -> str:
    parts = [f'mode="{preset.mode}"']
    if preset.hops:
        parts.append(f"hops={preset.hops}")
    texts = {one: getattr(preset, one) for one in ("header", "scheme_header", "host_header")}
    parts += [f'{option}="{text}"' for option, text in texts.items() if text]
    return f"`{', '.join(parts)}`"


def _trusted(preset: Preset) -> str:
    if len(preset.networks) > 4:
        return f"the {len(preset.networks)} networks that it publishes"
    return ", ".join(f"`{network}`" for network in preset.networks) or "nobody"


def _code(name: str) -> str:
    """A block that runs: the line to write, in the layout of the formatter."""
    parts = [f'mode="{name}"']
    for option, value in options(name).items():
        shown = _literal(value)
        if option == "edge_secret":
            header, variable = SECRET.get(name, OWN_SECRET)
            shown = f'("{header}", os.environ["{variable}"])'
        parts.append(f"{option}={shown}")
    call = f"resolver = ClientIPResolver({', '.join(parts)})"
    if len(call) > 100:
        call = "resolver = ClientIPResolver(\n    " + ",\n    ".join(parts) + ",\n)"
    first = "import os\n" if "os.environ" in call else ""
    return f"```python\n{first}from gatehound.clientip import ClientIPResolver\n\n{call}\n```"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """Put each sentence on a line of its own, and what is typed into code marks."""
    return re.sub(r"(?<=\.) (?=[A-Z])", "\n", TYPED.sub(r"`\1\2`", text))


def resolver(name: str) -> ClientIPResolver:
    """What the page tells for a preset."""
    return ClientIPResolver(mode=name, **options(name))


PAGE: Final = Page(REFERENCE / "providers.md", "from the presets", table)

if __name__ == "__main__":
    PAGE.write()

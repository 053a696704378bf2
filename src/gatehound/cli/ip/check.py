"""`gatehound ip check`: what holds, and what an operator should know of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gatehound.cli.finding import LEVELS, lines_of
from gatehound.cli.ip.arguments import Lines, is_unix, takes_options, takes_request
from gatehound.cli.output import AS_JSON, Unable, tell, tell_json

if TYPE_CHECKING:
    from gatehound.clientip import ClientIPResolver
    from gatehound.clientip.check import Finding

_PORT: Final = 1
"""Of the peer; any but 0, which the checks take for the mark of a server that rewrites it."""


@click.command()
@takes_request(required=False)
@takes_options
@click.option(
    "--fail-on",
    type=click.Choice(LEVELS),
    default="danger",
    show_default=True,
    help="Exit with 1 where a finding is of this level or above.",
)
@AS_JSON
def check(
    peer: str | None,
    headers: Lines,
    pasted: Lines,
    config: Path | None,
    pairs: dict[str, str],
    fail_on: str,
    as_json: bool,
) -> None:
    """Show which options hold, and what is allowed and yet doubtful.

    With --peer, a request is looked at too. Exits with 0 where no finding reaches --fail-on,
    1 where one does, and 2 where the command line or an option is wrong.
    """
    from gatehound.cli.ip.options import changed, read_resolver

    if peer is None and (headers or pasted):
        raise Unable("header lines given without --peer; add who connects to the server")
    options, resolver = read_resolver(config, pairs)
    request = None if peer is None else scope_of(peer, (*headers, *pasted))
    findings = resolver.check(request)
    if as_json:
        tell_json(_tree(resolver, changed(options), findings))
    else:
        tell(
            (
                *_summary(resolver, changed(options)),
                "",
                *(lines_of(findings) or ("Nothing to say.",)),
            )
        )
    reached = [one for one in findings if LEVELS.index(one.level) >= LEVELS.index(fail_on)]
    raise SystemExit(1 if reached else 0)


def scope_of(peer: str, headers: Lines) -> dict[str, Any]:
    """Make the ASGI scope of such a request."""
    return {
        "type": "http",
        "client": None if is_unix(peer) else (peer, _PORT),
        "headers": [(name.lower(), value) for name, value in headers],
    }


def _summary(resolver: ClientIPResolver, options: dict[str, Any]) -> Iterator[str]:
    from gatehound.clientip.presets import PRESETS

    preset = PRESETS.get(resolver.mode)
    beside = f" (preset of {preset.title}: mode {preset.mode})" if preset else ""
    yield f"mode: {resolver.mode}{beside}"
    yield f"trusted_proxies: {', '.join(resolver.trusted_proxies) or 'nobody'}"
    for name, value in options.items():
        yield f"{name}: {_written(value)}"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tree(
    resolver: ClientIPResolver, options: dict[str, Any], findings: tuple[Finding, ...]
) -> dict[str, Any]:
    return {
        "mode": resolver.mode,
        "trusted_proxies": list(resolver.trusted_proxies),
        "options": options,
        "findings": [asdict(one) for one in findings],
    }

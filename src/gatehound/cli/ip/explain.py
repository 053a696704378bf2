"""`gatehound ip explain`: which address one request would get, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatehound.cli.finding import lines_of
from gatehound.cli.ip.arguments import Lines, is_unix, takes_options, takes_request
from gatehound.cli.ip.check import scope_of
from gatehound.cli.output import AS_JSON, fold, tell, tell_json

if TYPE_CHECKING:
    from gatehound.clientip import ClientIP


@click.command()
@takes_request(required=True)
@takes_options
@AS_JSON
def explain(
    peer: str,
    headers: Lines,
    pasted: Lines,
    config: Path | None,
    pairs: dict[str, str],
    as_json: bool,
) -> None:
    """Explain hop by hop which address a request gets, and what is doubtful in the request.

    Exits with 0 where the client is resolved, 1 where it is not, and 2 where the command line
    or an option is wrong.
    """
    from gatehound.cli.ip.options import read_resolver

    _, resolver = read_resolver(config, pairs)
    reported = "unix:" if is_unix(peer) else peer
    answer = resolver.resolve(peer=reported, headers=(*headers, *pasted))
    standing = resolver.check()
    # Those of the request alone: what the options deserve is for `gatehound ip check`.
    findings = resolver.check(scope_of(peer, (*headers, *pasted)))[len(standing) :]
    if as_json:
        tell_json({**tree_of(answer), "findings": [asdict(one) for one in findings]})
    else:
        tell((sentence(answer), "", *answer.explain()))
        if findings:
            tell(("", *lines_of(findings)))
    for one in standing:
        if one.code == "list-stale":  # it may be why the edge was not recognised
            click.echo(fold(f"Warning: {one.text} {one.fix}."), err=True)
    raise SystemExit(0 if answer.address is not None else 1)


def sentence(answer: ClientIP) -> str:
    """Say the answer in one line."""
    flags = ", ".join(sorted(answer.flags))
    return (
        f"The client is {answer.text or 'unresolved'}: reason {answer.reason}, source "
        f"{answer.source}, {f'flags {flags}' if flags else 'no flags'}."
    )


def tree_of(answer: ClientIP) -> dict[str, Any]:
    """Return the answer as JSON holds it."""
    return {
        "address": answer.text or None,
        "text": answer.text,
        "reason": answer.reason,
        "source": answer.source,
        "flags": sorted(answer.flags),
        "peer": None if answer.peer is None else str(answer.peer),
        "scheme": answer.scheme,
        "host": answer.host,
        "read": [{"name": name, "text": text} for name, text in answer.read],
        "trace": list(answer.explain()),
    }

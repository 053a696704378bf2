"""`gatehound status`: how much happens, in one look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.cli.table import exact, tell_pairs

if TYPE_CHECKING:
    from gatehound import Guard
    from gatehound.listing import FailedLogins
    from gatehound.tally import Tally

HOURS: Final = 24
# In the words of people; the rest of a name is as in the reference.
_DAY: Final = {
    "logins": "sign-ins",
    "ends": "sessions ended",
    "flags": "sessions flagged",
    "failed": "sign-ins failed or refused",
    "step_ups": "proofs asked for",
}
_WOULD: Final = {
    "flag": "flagged",
    "flag_strict": "flagged in mode strict",
    "notify": "told to people",
    "step_up": "asked for a proof",
    "terminate": "ended",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the store found; `now` is by its clock, in seconds since 1970."""

    now: float
    living: int
    failed: FailedLogins
    observed: dict[str, int]
    tally: Tally

    def day(self) -> dict[str, int]:
        """Sum up this hour and the 23 before it, by kind."""
        from gatehound.tally import HOUR, KINDS

        hour = int(self.now // HOUR)
        hours = range(hour - HOURS + 1, hour + 1)
        return {kind: sum(self.tally.series(kind, hours)) for kind in KINDS}


@click.command(cls=GuardCommand)
@takes_settings
@AS_JSON
def status(source: Source, as_json: bool) -> None:
    """Say how many sessions there are, and what happened this hour and in the last 24.

    Exits with 0, 2 where something given is wrong, and 3 where the store does not answer.
    """
    with opened(source) as guard:
        found = _look(guard)
    if as_json:
        tell_json(_tree(found))
        return
    tell_pairs(_pairs(found))
    if not found.tally.complete:
        tell(("", f"Counted up to {exact(found.tally.until)}; ask again for the rest."))


def _look(guard: Guard) -> Look:
    from gatehound._sync import run_sync

    admin = guard.sync
    return Look(
        now=run_sync(guard.blocking().store.ping()) / 1000,
        living=admin.living(),
        failed=admin.failed_logins(),
        observed=admin.observed(),
        tally=admin.tally(),
    )


def _pairs(found: Look) -> Iterator[tuple[str, str]]:
    failed = found.failed
    yield "living sessions", f"{found.living:,}"
    yield (
        "failed sign-ins of this hour",
        f"{failed.attempts:,}, of {failed.users:,} users from {failed.networks:,} networks",
    )
    for worst in failed.worst[:3]:
        yield "", f"{worst.prefix or '(not kept)'}: {worst.attempts:,} of {worst.users:,} users"
    yield "users guessed at", f"{failed.guessed:,}"
    yield "", ""
    yield "in the last 24 hours", ""
    for kind, count in found.day().items():
        yield f"  {_DAY[kind]}", f"{count:,}"
    yield "", ""
    yield "suspicious today, so would be", ""
    for way, count in found.observed.items():
        yield f"  {_WOULD[way]}", f"{count:,}"


def _tree(found: Look) -> dict[str, Any]:
    import msgspec

    return {
        "at": round(found.now, 3),
        "living": found.living,
        "failed_logins": msgspec.to_builtins(found.failed),
        "observed": found.observed,
        "last_24_hours": found.day(),
        "until": round(found.tally.until, 3),
        "complete": found.tally.complete,
    }

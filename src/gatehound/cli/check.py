"""`gatehound check`: what an operator should know of settings, files and store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from gatehound.cli.finding import LEVELS, lines_of
from gatehound.cli.opening import GuardCommand, Source, absent, build, place_of, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.errors import StoreError, StoreMismatch

if TYPE_CHECKING:
    from gatehound import Guard
    from gatehound.clientip.check import Finding

NEVER: Final = "never"


@click.command(cls=GuardCommand)
@click.option(
    "--fail-on",
    type=click.Choice((*LEVELS, NEVER)),
    default="danger",
    show_default=True,
    help="Exit with 1 where a finding is of this level or above.",
)
@takes_settings
@AS_JSON
def check(fail_on: str, source: Source, as_json: bool) -> None:
    """Look at the settings, the files and the store, and say what to change.

    A store that does not answer is a finding, and the rest is told all the same. Exits with 0
    where no finding reaches --fail-on, 1 where one does, and 2 where a setting is wrong.
    """
    from gatehound import audit

    found = audit.worst_first(_findings(build(source)))
    points = audit.score(found)
    if as_json:
        tree = {"score": points, "grade": audit.grade(points)}
        tell_json({**tree, "findings": [asdict(one) for one in found]})
    else:
        tell(lines_of(tuple(found)) or ("Nothing to say.",))
        tell(("", f"Score: {points} of 100, {audit.grade(points)}."))
    bar = len(LEVELS) if fail_on == NEVER else LEVELS.index(fail_on)
    raise SystemExit(1 if any(LEVELS.index(one.level) >= bar for one in found) else 0)


def _findings(guard: Guard) -> list[Finding]:
    """Ask everything; where the store is silent, all but the store."""
    from gatehound import audit
    from gatehound._sync import run_sync

    settings, plain = guard.settings, guard.blocking()
    without_store = audit.findings(settings, guard.detection, plain.store)
    missing = absent(plain.store)
    if missing is not None:
        return [*without_store, _of_store("note", "store-missing", missing, "start the app once")]
    try:
        run_sync(plain.ready())
        return guard.sync.check()
    except StoreMismatch as error:
        text = f"The store is not the one of these settings: {'; '.join(error.problems)}."
        fix = "use the identity_key and namespace that the store was first used with"
        return [*without_store, _of_store("danger", "store-mismatch", text, fix)]
    except StoreError as error:
        text = f"The store {place_of(settings.store_url)} does not answer: {error}."
        fix = "start the store, or correct the setting store"
        return [*without_store, _of_store("danger", "store-unreachable", text, fix)]
    finally:
        run_sync(plain.store.close())


def _of_store(level: str, code: str, text: str, fix: str) -> Finding:
    from gatehound.clientip.check import Finding

    return Finding(level, code, text, fix)  # type: ignore[arg-type]  # a level of LEVELS

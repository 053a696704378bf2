"""`gatehound notify`: tell users and admins what happened, from a worker or a cron job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import Unable, tell
from gatehound.errors import StoreError

if TYPE_CHECKING:
    from gatehound.notify import Notifier, Step

# Seconds. Nobody wakes a worker, so it looks oftener than the thread of an app.
POLL: Final = 5.0
BREATH: Final = 0.2


@click.command(cls=GuardCommand)
@click.option("--once", is_flag=True, help="Tell what is due, and end.")
@takes_settings
def notify(once: bool, source: Source) -> None:
    """Tell users and admins what happened, by the channels that the settings name.

    Mail to users needs --guard, because the app alone knows their addresses. With --once it exits
    with 0, or with 1 where something did not get through and is not tried again.
    """
    with opened(source) as guard:
        if guard.notifier is None:
            raise Unable("nobody is to be told: set notify.smtp, notify.webhook or notify.log")
        guard.notifier.close(for_good=True)  # what the steps tell must not start a thread
        if once:
            raise SystemExit(_run_once(guard.notifier))
        while True:
            time.sleep(_run(guard.notifier))


def _run_once(notifier: Notifier) -> int:
    sent = failed = 0
    more = True
    while more:  # what happened just now is told too: no other run may come for an hour
        done = notifier.run_once(settle=0)
        sent, failed, more = sent + done.sent, failed + done.failed, done.more
    tell((f"{sent} sent, {failed} failed",))
    return 1 if failed else 0


def _run(notifier: Notifier) -> float:
    """Do a step, and return for how long to sleep."""
    try:
        done = notifier.run_once()
    except StoreError as error:
        click.echo(f"the store does not answer, tried again: {error}", err=True)
        return POLL
    if done.sent or done.failed:
        tell((f"{done.sent} sent, {done.failed} failed",))
    return BREATH if done.more else pause(done)


def pause(done: Step) -> float:
    """Return for how many seconds nothing is due."""
    wait = POLL if done.due_in is None else min(POLL, done.due_in / 1000)
    return max(BREATH, wait)

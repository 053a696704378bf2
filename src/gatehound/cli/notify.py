"""`gatehound notify`: tell users and admins what happened, from a worker or a cron job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import Unable, tell, tell_aside

if TYPE_CHECKING:
    from gatehound.notify import Notifier, Step

# Seconds. Nobody wakes a worker, so it looks oftener than the thread of an app.
POLL: Final = 5.0


@click.command(cls=GuardCommand)
@click.option("--once", is_flag=True, help="Tell what is due, and end.")
@takes_settings
def notify(once: bool, source: Source) -> None:
    """Tell users and admins what happened, by the channels that the settings name.

    Mail to users needs --guard, because the app alone knows their addresses. With --once it exits
    with 0, or with 1 where something did not get through and is not tried again; it says, too, what
    waits until when.
    """
    from gatehound.notify.worker import Worker, in_words

    with opened(source, notifies=True) as guard:
        notifier = guard.notifier
        if notifier is None:
            raise Unable("nobody is to be told: set notify.smtp, notify.webhook or notify.log")
        notifier.close(for_good=True)  # what the steps tell must not start a thread
        if once:
            done = notifier.drain()
            tell(_lines(notifier, done))
            raise SystemExit(1 if done.failed else 0)
        Worker(
            notifier, poll=POLL, told=_tell, warn=lambda error: tell_aside(in_words(error))
        ).run()


def _tell(done: Step) -> None:
    if done.sent or done.failed:
        tell((_counts(done),))


def _counts(done: Step) -> str:
    return f"{done.sent} sent, {done.failed} failed"


def _lines(notifier: Notifier, done: Step) -> Iterator[str]:
    """Say what was done, and what waits for what."""
    from gatehound.notify.outbox import lines_of

    yield _counts(done)
    for box in notifier.waiting_now():
        yield from lines_of(box)

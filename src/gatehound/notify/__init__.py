"""Notifications: users and admins hear of what they should know, once.

Reading order: notifier, sending (one step), ledger (what is remembered), sorting (whom, what, how
often), outbox (what waits), fact and letter (what is said), channel, deadline, smtp and webhook
(how it gets there), worker (when).

Loaded where a channel is configured. It waits for networks, and therefore runs in a thread of its
own: no request waits for it.
"""

from gatehound.notify.channel import (
    CallChannel,
    Channel,
    Letter,
    LetterChannel,
    LogChannel,
    Notice,
    NoticeChannel,
    OutOfReach,
    Refused,
    Undelivered,
)
from gatehound.notify.notifier import Notifier
from gatehound.notify.outbox import Outbox, Queued
from gatehound.notify.sending import Step

__all__ = [
    "CallChannel",
    "Channel",
    "Letter",
    "LetterChannel",
    "LogChannel",
    "Notice",
    "NoticeChannel",
    "Notifier",
    "OutOfReach",
    "Outbox",
    "Queued",
    "Refused",
    "Step",
    "Undelivered",
]

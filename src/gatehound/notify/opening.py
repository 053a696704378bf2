"""The channels that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from gatehound._notify_rules import server_of
from gatehound.errors import SettingsError
from gatehound.listing import Users
from gatehound.notify.channel import CallChannel, Channel, Letter, LogChannel
from gatehound.notify.letter import check_installed
from gatehound.settings import Settings


def channels_of(
    settings: Settings, users: Users, call: Callable[[Letter], object] | None
) -> list[Channel]:
    """Build the channels; SettingsError says which cannot be used. Nothing is opened."""
    notify = settings.notify
    found: list[Channel] = []
    if notify.smtp is not None and notify.mail_from is not None:
        if notify.users and users.mail is None:
            raise SettingsError(
                "notify.users: true given, and nobody knows the addresses of users; give "
                "Guard(users=Users(mail=...)), or set notify.users to false"
            )
        from gatehound.notify.smtp import Mail

        name = notify.site_name or urlsplit(notify.site_url or "").hostname or ""
        found.append(Mail(server_of(notify.smtp), sender=notify.mail_from, sender_name=name))
    if call is not None:
        found.append(CallChannel(call))
    if found:
        check_installed()
    if notify.webhook is not None:
        from gatehound.notify.webhook import Webhook

        found.append(Webhook(notify.webhook, notify.webhook_secrets, namespace=settings.namespace))
    if notify.log:
        found.append(LogChannel())
    return found

"""Find what notices to people miss: a link, a name, somebody who knows that they are sent."""

from __future__ import annotations

from collections.abc import Iterator

from gatehound.clientip.check import Finding
from gatehound.settings import Settings


def notice_findings(settings: Settings) -> Iterator[Finding]:
    """Look at what letters say and lead to."""
    notify = settings.notify
    if not notify.smtp:
        return
    places = (("web.path", settings.web.path), ("notify.site_url", notify.site_url))
    missing = [name for name, value in places if value is None]
    if notify.users and missing:
        yield Finding(
            "warning",
            "notices-without-link",
            "Letters to users have no link on which to say that it was not them: "
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set.",
            f"set {' and '.join(missing)}",
        )
    if notify.site_name is None and notify.site_url is None:
        yield Finding(
            "note",
            "notices-without-name",
            "Letters do not say which site they are from.",
            "set notify.site_name",
        )

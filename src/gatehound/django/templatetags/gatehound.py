"""The list of sessions as a tag: `{% load gatehound %}{% gatehound_sessions style="compact" %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from gatehound import SyncVisit, UsageError, current
from gatehound.web import render_sessions

if TYPE_CHECKING:
    from markupsafe import Markup

    from gatehound.web.fragment import Style

register = template.Library()


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator] # Django has no types
def gatehound_sessions(
    context: Any, style: Style = "default", *, at: str | None = None, level: int = 2
) -> Markup:
    """Return the user's sessions; see `gatehound.web.render_sessions`.

    Under ASGI a template is rendered in a thread: in a `def` view, or with `sync_to_async`.
    """
    request = getattr(context, "request", None) or context.get("request")
    if request is None:
        raise UsageError(
            "{% gatehound_sessions %} found no request: render with django.shortcuts.render, or "
            "put the request into the context"
        )
    visit: SyncVisit = current(request).sync
    return render_sessions(visit, style, at=at, level=level)

"""The app by which Django finds our template tags; it has no models."""

from __future__ import annotations

from django.apps import AppConfig


class GatehoundConfig(AppConfig):  # type: ignore[misc] # Django comes without types
    """Names the app."""

    name = "gatehound.django"
    label = "gatehound"
    verbose_name = "gatehound"

"""Template tags, for `{% load gatehound %}`."""

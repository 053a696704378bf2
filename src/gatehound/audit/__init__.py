"""Say the active policy in words, find what an operator should know of, and score it.

OWASP ASVS 5.0 (7.1.1, 7.1.2) asks that timeouts, limits and deviations are documented:
`describe` writes that text from the settings, so that it cannot be out of date. Each finding
that a standard asks for names the requirement.

Loaded by whoever asks: a process that serves requests never needs it.
"""

from gatehound.audit.findings import findings
from gatehound.audit.scoring import grade, score, worst_first
from gatehound.audit.words import describe

__all__ = ["describe", "findings", "grade", "score", "worst_first"]

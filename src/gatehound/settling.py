"""The part of the guard that says whether there is anything new about a request to judge.

An unchanged request costs one comparison, and is not written. What is kept of it is in this
process alone: when and from where a session was used, for the detectors that compare with that.
"""

from __future__ import annotations

from typing import Final

from gatehound.acting import Acting
from gatehound.detection.device import MAX_AGENT
from gatehound.model import Verdict
from gatehound.passage import Passage
from gatehound.standing import is_suspicious, standing_action
from gatehound.stores.record import FLAGGED, STEP_UP, WATCHED, Record

NOTHING_STANDS: Final = Verdict()
LOOKED_AT: Final = FLAGGED | STEP_UP | WATCHED


class Settling(Acting):
    """Acting, and finding the requests that nobody has to look at."""

    def is_settled(self, passage: Passage, record: Record) -> bool:
        """Say what stands against a session; True where there is nothing new to look at."""
        detection, security = self.detection, record.security
        if not detection.enabled:
            # What stands is shown, and stays.
            passage.verdict = Verdict(standing_action(record))
            return True
        request, population = passage.request, detection.population
        packed = passage.client_ip.packed if population.crowd is None else None
        passage.agent_digest, pair = detection.contexts(packed, request.agent[:MAX_AGENT])
        if (  # almost every request: in the context that was the last new one, and nothing stands
            pair == record.seen.pairs[0]
            and not (security.flags & LOOKED_AT or passage.was_seen)
            and not population.is_due
            and detection.turns.is_quiet(security.sid, passage.now)
        ):
            passage.verdict = NOTHING_STANDS
            return True
        return self._has_settled(passage, record, pair)

    def _has_settled(self, passage: Passage, record: Record, pair: bytes) -> bool:
        """Is_settled, for all other requests."""
        if passage.was_seen and pair in record.seen.pairs:  # else it is judged, and noted there
            self.note_active(passage, record)
        is_due = self.detection.population.is_due
        turns, sid = self.detection.turns, record.sid
        if pair != record.seen.pairs[0] or sid in turns:
            is_due |= self._is_turn(passage, record, pair)
        if is_suspicious(record):
            # It is looked at each time, so that its reasons can be shown.
            passage.verdict = Verdict(standing_action(record))
            return False
        passage.verdict = NOTHING_STANDS
        if is_due or pair not in record.seen.pairs:
            return False
        if record.security.flags & WATCHED:
            request = passage.request
            if self.detection.policy.caution(request.method, request.path, record.roles) > 0:
                return False
        turns.hear(sid, passage.now)
        return True

    def _is_turn(self, passage: Passage, record: Record, pair: bytes) -> bool:
        """Note a turn; True where it is worth a look, and the other one is what was judged last."""
        turns, seen = self.detection.turns, record.seen
        is_due = turns.note(record.sid, pair, seen.pairs[0], passage.now)
        self._note_place(passage, record, pair)
        if not is_due:
            return False
        if self.detection.pair(seen.address or None, seen.agent) != pair:
            return True
        turns.put_off(record.sid)
        return False

    def _note_place(self, passage: Passage, record: Record, pair: bytes) -> None:
        """Note from where a session that goes back and forth is used, in contexts that it has."""
        turns, sid, seen = self.detection.turns, record.sid, record.seen
        heard = turns.heard(sid)
        # It has just left the context that it was judged in, where it was heard of until now.
        if heard and pair != seen.pairs[0] and not turns.places(sid):
            turns.stay(sid, seen.pairs[0], seen.address, heard)
        if pair in seen.pairs:
            turns.stay(sid, pair, self.kept_address(passage.client_ip.packed), passage.now)

    def note_active(self, passage: Passage, record: Record, prefix: str | None = None) -> None:
        """Count who is active from where: at each sign-in, new context and slide."""
        if prefix is None:
            prefix = self.networks.prefix(passage.client_ip.address)
        packed, now = passage.client_ip.packed, passage.now / 1000
        self.detection.population.note(record.alias, packed, prefix, now)

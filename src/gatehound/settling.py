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
from gatehound.standing import standing_action
from gatehound.stores.record import FLAGGED, STEP_UP, WATCHED, Record, Seen

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
        security, pairs, detection = record.security, record.seen.pairs, self.detection
        is_known, turns = pair in pairs, detection.turns
        if passage.was_seen and is_known:  # else it is judged, and noted there
            self.note_active(passage, record)
        is_due = detection.population.is_due
        if pair != pairs[0] or security.sid in turns:
            is_due |= self._is_turn(passage, record, pair)
        if security.flags & (FLAGGED | STEP_UP):
            # It is looked at each time, so that its reasons can be shown.
            passage.verdict = Verdict(standing_action(record))
            return False
        passage.verdict = NOTHING_STANDS
        if is_due or not is_known:
            return False
        if security.flags & WATCHED:
            request = passage.request
            if self.detection.policy.caution(request.method, request.path, record.roles) > 0:
                return False
        turns.hear(security.sid, passage.now)
        return True

    def _is_turn(self, passage: Passage, record: Record, pair: bytes) -> bool:
        """Note a turn; True where it is worth a look, and the other one is what was judged last."""
        turns, seen, sid = self.detection.turns, record.seen, record.security.sid
        is_due = turns.note(sid, pair, seen.pairs[0], passage.now)
        self._note_place(passage, sid, seen, pair)
        if not is_due:
            return False
        if self.detection.pair(seen.address or None, seen.agent) != pair:
            return True
        turns.put_off(sid)
        return False

    def _note_place(self, passage: Passage, sid: bytes, seen: Seen, pair: bytes) -> None:
        """Note from where a session that goes back and forth is used, in contexts that it has."""
        turns = self.detection.turns
        # It has just left the context that it was judged in, where it was heard of until now.
        if pair != seen.pairs[0] and not turns.places(sid) and (heard := turns.heard(sid)):
            turns.stay(sid, seen.pairs[0], seen.address, heard)
        if pair in seen.pairs:
            turns.stay(sid, pair, self.kept_address(passage.client_ip.packed), passage.now)

    def note_active(self, passage: Passage, record: Record, prefix: str | None = None) -> None:
        """Count who is active from where: at each sign-in, new context and slide."""
        if prefix is None:
            prefix = self.networks.prefix(passage.client_ip.address)
        packed, now = passage.client_ip.packed, passage.now / 1000
        self.detection.population.note(record.alias, packed, prefix, now)

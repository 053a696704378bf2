"""A history checker: many clients, one fault, and a proof over everything that was answered.

Reading order: record (what is written down), checker (what must hold), workload (what clients
do), door_store and door_guard (what they do it to), worker (one process of them), server, proxy
and faults (what goes wrong), scene (one run of all that).
"""

from __future__ import annotations

import sys
from pathlib import Path

# What all tests share lies two folders up; worker processes import it too.
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

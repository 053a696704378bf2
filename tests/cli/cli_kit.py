"""What the tests of the command line share: a store with people in it, and ways to run commands."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from click.testing import CliRunner, Result

from gatehound import Event, Guard, Settings
from gatehound._sync import run_sync
from gatehound.cli.commands import gatehound as command
from gatehound.detection.device import digest
from gatehound.stores.answer import Created, NewSession
from gatehound.stores.record import ANONYMOUS, FLAGGED, Seen

SECRET, IDENTITY = "s" * 40, "i" * 40
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
DAY = 86_400_000
GATEHOUND = Path(sys.executable).with_name("gatehound")


class Town:
    """A store with sessions and events, and commands that are run on it."""

    def __init__(self, store: str, **settings: object) -> None:
        self.environ = {
            "GATEHOUND_SECRET_KEYS": SECRET,
            "GATEHOUND_IDENTITY_KEY": IDENTITY,
            "GATEHOUND_STORE": store,
        }
        given = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": store, **settings}
        self.guard = Guard(Settings.from_dict(given), sinks=())
        self.store = self.guard.blocking().store
        self._count = 0

    def sign_in(
        self,
        user: str = "ann",
        *,
        agent: str = CHROME,
        address: str = "203.0.113.7",
        country: str = "DE",
        flagged: bool = False,
        visitor: bool = False,
        idle: int = 30 * DAY,
    ) -> str:
        """Create a session and return its public id."""
        self._count += 1
        new = NewSession(
            # In order: of two that began in one millisecond the greater is the newer.
            sid=self._count.to_bytes(4) + os.urandom(4),
            alias=os.urandom(12) if visitor else self.guard.alias(user),
            user_id="" if visitor else user,
            secret_hash=self._count.to_bytes(16),
            idle=idle,
            absolute=60 * DAY,
            seen=Seen(0, ip_address(address).packed, country, agent=digest(agent)),
            agent=agent,
            flags=(FLAGGED if flagged else 0) | (ANONYMOUS if visitor else 0),
            limit=None,
        )
        event = None if visitor else Event("session_created", user, new.sid.hex(), address=address)
        created = run_sync(self.store.create(new, event))
        assert isinstance(created, Created)
        return new.sid.hex()

    def note(self, *events: Event) -> None:
        """Write events that belong to no change."""
        for event in events:
            run_sync(self.store.append(event))

    def ids(self, user: str = "ann") -> set[str]:
        return {one.public_id for one in self.guard.sync.sessions_of(user)}

    def close(self) -> None:
        run_sync(self.store.close())


def run(*words: str, code: int | None = None, stdin: str | None = None) -> Result:
    """Run a command in this process; nothing but an exit code may come out of it."""
    result = CliRunner().invoke(command, words, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    if code is not None:
        assert result.exit_code == code, result.output
    return result


def flat(text: str) -> str:
    """The words of a text that was folded."""
    return " ".join(text.split())


class Terminal:
    """A program on a terminal of its own, of so many columns."""

    def __init__(self, *words: str, environ: Mapping[str, str], columns: int = 80) -> None:
        import fcntl
        import struct
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GATEHOUND_", "COLUMNS"))}
        self.process = subprocess.Popen(
            [GATEHOUND, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**kept, "TERM": "xterm-256color", **environ},
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""

    def until(self, text: str, within: float = 20.0) -> str:
        """Read until the text came; what is read is kept."""
        end = time.monotonic() + within
        while text not in self.raw:
            assert time.monotonic() < end, self.raw
            if not self._read(0.05) and self.process.poll() is not None:
                assert text in self.raw, self.raw
        return self.raw

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def has_ended(self, within: float) -> bool:
        """Read for so long, and say whether the program is gone."""
        end = time.monotonic() + within
        while time.monotonic() < end and self.process.poll() is None:
            self._read(0.02)
        return self.process.poll() is not None

    def end(self, within: float = 20.0) -> int:
        """Read to the end and return the exit code."""
        end = time.monotonic() + within
        while self._read(0.05) or self.process.poll() is None:
            assert time.monotonic() < end, self.raw
        os.close(self._master)
        return self.process.wait()

    @property
    def text(self) -> str:
        """What a person sees, without colours and moves of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.raw).replace("\r\n", "\n")

    def _read(self, wait: float) -> bool:
        if not select.select([self._master], [], [], wait)[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # EIO: the program is gone
            return False
        self.raw += piece.decode("utf-8", "replace")
        return bool(piece)

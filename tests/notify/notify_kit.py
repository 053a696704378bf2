"""A guard with channels that only collect, and real servers of mail and webhooks on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from gatehound import Event, Guard
from gatehound._sync import run_sync
from gatehound.listing import Users
from gatehound.notify import Channel, Letter, LetterChannel, Notice, NoticeChannel, Notifier, Step
from gatehound.notify import ledger as book
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock
from serving import free_port

SECRET, IDENTITY = "s" * 40, "i" * 40
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # that of the specification's examples
SITE = "https://shop.example"
PUBLIC_ID = "0123456789abcdef"
FLAGGED = Event(
    "session_flagged",
    user_id="ada",
    public_id=PUBLIC_ID,
    reason="A country that is new; Another browser",
    address="203.0.113.7",
    notify="both",
)
ENDED = Event("session_terminated", user_id="ada", reason="suspicious", notify="both")
PROXY = Event("proxy_misconfigured", reason="All come from 10.0.0.1", notify="admins")


class Box(LetterChannel):
    """Keeps letters; raises what `failing` holds, the first first."""

    def __init__(self, name: str = "box") -> None:
        self.name = name
        self.letters: list[Letter] = []
        self.failing: list[Exception] = []

    def send(self, letter: Letter) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.letters.append(letter)

    def to(self, whom: str) -> list[Letter]:
        return [one for one in self.letters if one.whom == whom]


class Pipe(NoticeChannel):
    """Keeps notices; raises what `failing` holds, the first first."""

    def __init__(self, name: str = "pipe") -> None:
        self.name = name
        self.notices: list[Notice] = []
        self.failing: list[Exception] = []

    def send(self, notice: Notice) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.notices.append(notice)


def mail_of(ids: Any) -> Mapping[str, str]:
    return {one: f"{one}@people.example" for one in ids if one != "nobody"}


@dataclass
class Desk:
    """A guard, its store on a fake clock, and one notifier over channels that collect."""

    guard: Guard
    clock: FakeClock
    box: Box
    pipe: Pipe
    events: list[Event]
    notifier: Notifier

    def tell(self, event: Event) -> None:
        run_sync(self.guard.blocking().store.append(event))

    def step(self, seconds: float = 0.0) -> Step:
        self.clock.advance(seconds)
        return self.notifier.run_once()

    def another(self, *channels: Channel, **options: Any) -> Notifier:
        """A notifier that knows nothing but the store, as after a restart."""
        given = channels or (self.box, self.pipe)
        return Notifier(self.guard, channels=given, jitter=lambda: 0.5, **options)

    @property
    def ledger(self) -> book.Ledger:
        return book.read(run_sync(self.guard.blocking().store.shelf("notify")).data)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


MakeDesk = Callable[..., Desk]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return MemoryStore(clock=clock)


@pytest.fixture
def make_desk(clock: FakeClock, store: Store) -> MakeDesk:
    def make(
        *,
        over: Store | None = None,
        guard: Mapping[str, Any] | None = None,
        channels: Sequence[Channel] | None = None,
        web: Mapping[str, Any] | None = None,
        **notify: Any,
    ) -> Desk:
        events: list[Event] = []
        settings = {
            "secret_keys": [SECRET],
            "identity_key": IDENTITY,
            "web": {"path": "/account/sessions", "step_up_url": "/again", **(web or {})},
            "notify": {"users": True, "site_url": SITE, "thread": False, **notify},
        }
        given: dict[str, Any] = {
            "store": over or store,
            "sinks": [events.append],
            "users": Users(mail=mail_of),
            **(guard or {}),
        }
        made = Guard(settings, **given)
        box, pipe = Box(), Pipe()
        used = (box, pipe) if channels is None else channels
        notifier = Notifier(made, channels=used, jitter=lambda: 0.5)
        notifier.run_once()  # what happens from now on is told
        return Desk(made, clock, box, pipe, events, notifier)

    return make


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()


@pytest.fixture
def letters() -> list[Letter]:
    return []


def a_letter(**changes: Any) -> Letter:
    values: dict[str, Any] = {
        "key": "0" * 24,
        "whom": "user",
        "user_id": "ada",
        "to": ("ada@people.example",),
        "subject": "Unusual activity - The Shop",
        "text": "In words.\n",
        "html": "<p>In words.</p>\n",
        "language": "en",
        "events": (FLAGGED,),
        "at": 1_800_000_000.0,
    }
    return Letter(**{**values, **changes})


# --- a real mail server ---


@dataclass
class Inbox:
    """What a mail server took, and how it answers."""

    port: int
    taken: list[Envelope] = field(default_factory=list)
    recipient: list[str] = field(default_factory=list)  # answers to RCPT, else 250
    data: list[str] = field(default_factory=list)  # answers to DATA, else 250
    secure: list[bool] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipient.pop(0) if self.recipient else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, session: Any, envelope: Envelope
    ) -> str:
        if self.data:
            return self.data.pop(0)
        self.secure.append(session.ssl is not None)
        self.taken.append(envelope)
        return "250 OK"

    def check(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        known = isinstance(data, LoginPassword)
        if known:
            self.logins.append((data.login, data.password))
        return AuthResult(success=known and data.password == b"p@ss/word", handled=False)


@contextlib.contextmanager
def mail_server(port: int = 0, **options: Any) -> Iterator[Inbox]:
    """Run aiosmtpd; `tls` is a context for STARTTLS, `auth` asks for a password."""
    inbox = Inbox(port or free_port())
    tls, auth = options.pop("tls", None), options.pop("auth", False)
    if tls is not None:
        options["tls_context"] = tls
    if auth:
        options |= {"authenticator": inbox.check, "auth_required": tls is not None}
        options["auth_require_tls"] = tls is not None
    controller = Controller(inbox, hostname="127.0.0.1", port=inbox.port, **options)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def served(authority: trustme.CA) -> ssl.SSLContext:
    """What a server on this machine shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


def trust(authority: trustme.CA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process trust the authority, and nobody else."""
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


# --- a server that misbehaves ---


@contextlib.contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on a port, and let `talk` have each; then it is closed."""
    listener = socket.create_server(("127.0.0.1", free_port()))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link, contextlib.suppress(OSError):
                if not ended.is_set():
                    talk(link)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        with contextlib.suppress(OSError), socket.create_connection(listener.getsockname(), 1):
            pass
        thread.join()
        listener.close()


# --- a real webhook ---


@dataclass
class Hook:
    """What a webhook got, and what it answers: a status, or a function that answers by itself."""

    port: int = 0
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?for=us"


@contextlib.contextmanager
def hook_server(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Hook]:
    hook = Hook(port or free_port())

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sent = {name.lower(): value for name, value in self.headers.items()}
            hook.got.append((self.path, sent, body))
            answer = hook.answers.pop(0) if hook.answers else 200
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", hook.port), Answer)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

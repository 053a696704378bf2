"""Where the file is: refuse places that cannot work, make it readable by its owner only.

Also which file it is: one that was deleted or replaced under a running app is not made anew.

MUST NOT open a database file that may exist already: POSIX drops all locks that a process
has on a file when any descriptor of that file is closed in it, SQLite's locks included
(https://www.sqlite.org/howtocorrupt.html, section 2.2). So the file is only ever opened here
with O_EXCL, which fails where it exists.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from gatehound.errors import SettingsError, StoreCorrupt, StoreUnavailable

MOUNTS = Path("/proc/mounts")

Identity = tuple[int, int]  # device and inode
NO_FILE: Final[Identity] = (0, 0)

# WAL needs memory that all processes share and locks that hold; a file system that crosses
# the network has neither (https://www.sqlite.org/wal.html, disadvantage 2).
_NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
        "fuse.ceph",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.mfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.smbnetfs",
        "fuse.sshfs",
    }
)

# One thread at a time, or the descriptor that one closes after making the file drops the
# locks that another has just taken on it.
_making = threading.Lock()


def start_over() -> None:
    """Forget the lock after a fork: a thread that held it does not exist in the child."""
    global _making
    _making = threading.Lock()


def check_name(path: str | os.PathLike[str]) -> Path:
    """Return the path of the file; SettingsError for what SQLite would keep in memory."""
    text = os.fspath(path)
    if text == ":memory:" or not text.strip() or text.startswith("file:"):
        raise SettingsError(
            f"store path {text!r} is not a file: every connection would have a database of its "
            "own. Use `memory://` to keep sessions in memory, or name a file: "
            "`sqlite:////var/lib/app/sessions.db`"
        )
    return Path(text).expanduser()


def make(path: Path) -> None:
    """Make the file (0600) and its missing directories (0700) where they are missing.

    SQLite gives the -wal and -shm beside it the same mode. A file that is there keeps its
    mode: sharing it with a group is the operator's decision.
    """
    try:
        with _making:
            _make_directory(path.parent)
            refuse_network(path)
            _refuse_orphan(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
    except FileExistsError:
        if path.is_dir():
            raise SettingsError(
                f"store path {path} is a directory: name a file in it, such as "
                f"{path / 'sessions.db'}"
            ) from None
    except OSError as error:
        raise StoreUnavailable(
            f"the session file {path} cannot be made ({error.strerror}): give this process a "
            f"directory that it may write to"
        ) from error


def _make_directory(directory: Path) -> None:
    # Path.mkdir(parents=True) gives `mode` to the last one only.
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)
        _sync(parent.parent)


def _sync(directory: Path) -> None:
    """Put the names in a directory on the disk; SQLite does so for the one its file is in."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_orphan(path: Path) -> None:
    """Raise StoreCorrupt for a WAL without its database: SQLite would delete it unread.

    The WAL is looked at first: whoever makes a database just now writes that before its WAL.
    """
    if _size(path.with_name(f"{path.name}-wal")) and not _size(path):
        raise StoreCorrupt(
            f"the session file {path} is missing or empty, but its -wal is there: put the file "
            "back, or restore a backup and end everybody's sessions, or move the -wal and -shm "
            "away and let everybody sign in again (disabled users have to be disabled again)"
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# --- which file it is ---


def identity(path: Path) -> Identity | None:
    """Say which file has this name now, None where none has."""
    try:
        found = os.stat(path)  # noqa: PTH116 - on the way of requests, and half as fast through Path
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(
            f"the session file {path} cannot be reached ({error.strerror}): check its directory"
        ) from error
    return found.st_dev, found.st_ino


def refuse_another(path: Path, known: Identity) -> None:
    """Raise StoreUnavailable where the name belongs to no file, or to another than `known`.

    What is written into a file that has no name is lost with the process, and nobody else
    sees it: a session that was ended here would live there.
    """
    found = identity(path)
    if found == known:
        return
    if found is None:
        raise StoreUnavailable(
            f"the session file {path} was deleted or moved while it was in use: move it back, "
            "or restart the app to begin with an empty one (everybody signs in again, and "
            "disabled users have to be disabled again)"
        )
    raise StoreUnavailable(
        f"the session file {path} was replaced while it was in use: restart the app, and if it "
        "is a backup, end everybody's sessions (it brings ended ones back)"
    )


def refuse_network(path: Path) -> None:
    """Raise SettingsError where the file lies on a network file system, as far as one can see."""
    kind = file_system(Path(os.path.realpath(path.parent)))
    if kind in _NETWORK:
        raise SettingsError(
            f"store path {path} lies on a network file system ({kind}), where SQLite's locks "
            "do not hold and sessions get lost: use a local directory, or a `redis://` store "
            "for several machines"
        )


def file_system(directory: Path) -> str:
    """Return the type of the file system of a directory, "" where the system does not tell."""
    try:
        lines = MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    found, best = "", -1
    for line in lines:
        _, point, kind, *_ = (*line.split(" "), "", "", "")
        mount = Path(_plain(point))
        # The last line wins among equals: it is mounted on top.
        if len(mount.parts) >= best and directory.is_relative_to(mount):
            found, best = kind, len(mount.parts)
    return found


def _plain(point: str) -> str:
    """Undo the octal escapes of proc(5), fstab(5): space, tab, newline and backslash."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(escape, character)
    return point

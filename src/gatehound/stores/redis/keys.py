"""The names of all keys, and how they spread over the slots of a cluster.

The layout is final: what is stored under these names outlives a release. All keys of one user
lie in one of 256 buckets, and so in one slot, because their names share a hash tag. The tags
are chosen so that bucket i lands on slot i * 64: every shard of a cluster then holds an equal
share of the buckets (with tags "0" to "255" the busiest of ten shards has 1.37 of its share).
"""

from __future__ import annotations

import re
from typing import Final
from zlib import crc32

from gatehound.errors import SettingsError

BUCKETS: Final = 256

# The shortest text, first in base 36, whose CRC16 (XMODEM) modulo 16384 is i * 64; a test
# compares each with binascii.crc_hqx.
_TAG_TABLE: Final = """
1bz 5n3 53t d5m nbd 7me j3j 3xc 04s a2j if5 0i4 o4m cu4 kec 2jb dlj 5js 574 92e 3el bcu 74b fvs
003 4xr akm 0mt 23e cqt 6bk x3 5nw dhn 96a 530 bgq 3ah frw 70f pt6 047 0ip 4e9 c1x ex oin 6fo
5j7 9of d1i 57p 7ia fox 38o j7n 4x6 00w 0m0 4ay c58 a8 xw kag 17p h8q he6 1j7 n7n 78o box 3ia
0ay 4m0 40w 0x6 06 6nf c9q mq 130 hx9 hav 1nw 30f brw 7ah fgq 0e9 4ip 447 81f 4v kin 67a i1 h85
174 1js her bvs 34b fcu 7el 4mt ekm 0xr 403 cdr 0r m5 63e qsu 13t 1n3 5bz 7xc n3j 3me jbd 4i4
8le e2j 44s 6jb 42 iu k4m fjl 7lu 712 3ys 1cj hlk 52d 975 265 k94 cmk 9k 05c a3z 4dm ebt ng4 7h5
75r f3k 9n2 5kc h5l 93u 22u 6z4 02bb 2o2 m2k 4yb ice 0ld 7l1 nc0 3y7 71v 5og 9j6 1za h1h c0h dh
2k6 kd7 49n 8x7 8ax any 7hq 3d8 wu7 756 hho 1gn 931 5rh 6zp 221 yg cio asv 01g 8e8 aj9 356 su7
7d8 3hq 1rh h9a 5gn daw gio 6ov 621 la 8iq afp 41g 846 31v 7y7 jc0 3l1 d8p 5za qkn 1og 5f 6k6
66q g0h 8m1 ab0 i6o 09n b3k 35r 3h5 jg4 092l l5l 1kc hdb 6o2 1b 2z4 62u 4ld 8i5 0yb i2k 7ys 312
3lu bjl hym 12d des 5cj 6kr gmk he 665 abt 0dm 802 45c
"""
_TAGS: Final = tuple(_TAG_TABLE.split())

_NAMESPACE: Final = re.compile(r"[a-z0-9-]{1,32}")


class Keys:
    """The key names of one namespace. Aliases and sids are raw bytes in them."""

    __slots__ = ("_plain", "buckets", "meta")

    def __init__(self, namespace: str) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise SettingsError(
                f"namespace is {namespace!r}: use 1 to 32 of a-z, 0-9 and '-', like 'default'"
            )
        self._plain = f"gh:{namespace}:".encode()
        self.buckets = tuple(self._plain + b"{" + tag.encode() + b"}" for tag in _TAGS)
        self.meta = self._plain + b"meta"

    def bucket(self, alias: bytes) -> bytes:
        """Return what the names of all keys of this user begin with."""
        return self.buckets[crc32(alias) % BUCKETS]

    def user(self, alias: bytes) -> bytes:
        """The hash of a user: all sessions, tombstones, user id, roles, epoch."""
        return self.bucket(alias) + b"u" + alias

    def texts(self, alias: bytes) -> bytes:
        """User id and roles that are too long for the user's hash."""
        return self.bucket(alias) + b"l" + alias

    def disabled(self, alias: bytes) -> bytes:
        """The mark of a disabled user."""
        return self.bucket(alias) + b"x" + alias

    def user_memory(self, alias: bytes) -> bytes:
        """What detectors remember of the user."""
        return self.bucket(alias) + b"h" + alias

    def memory(self, alias: bytes, sid: bytes) -> bytes:
        """What detectors remember of the session."""
        return self.bucket(alias) + b"m" + alias + sid

    def data(self, alias: bytes, sid: bytes) -> bytes:
        """App data of the session."""
        return self.bucket(alias) + b"d" + alias + sid

    def of_user(self, alias: bytes) -> tuple[bytes, ...]:
        """All keys of a user with a name known beforehand, in the order that scripts declare."""
        bucket = self.bucket(alias)
        of_alias = [bucket + kind + alias for kind in (b"u", b"l", b"x", b"h")]
        return (*of_alias, bucket + b"i", bucket + b"ev")

    def line(self, bucket: bytes) -> bytes:
        """The moment before which everybody's sessions are over, as this bucket was told."""
        return bucket + b"n"

    def line_beside(self, key: bytes) -> bytes | None:
        """The line of the bucket that a key lies in; None for a key of no bucket."""
        bucket, brace, _ = key.partition(b"}")
        return bucket + b"}n" if brace else None

    def agent(self, digest: bytes) -> bytes:
        """The text of one User-Agent, whoever sent it."""
        return self._plain + b"ua:" + digest

    def shelf(self, name: str) -> bytes:
        """A note of background work."""
        return self._plain + b"shelf:" + name.encode()

    def counters(self, kind: str, window: int, number: int) -> bytes:
        """The counters of one kind in the window `number` of `window` milliseconds."""
        return self._plain + f"c:{kind}:{window}:{number}".encode("utf-8", "surrogatepass")


def bucket_of_text(text: str) -> int:
    """Return the bucket for what belongs to a user whose alias is not known."""
    return crc32(text.encode("utf-8", "surrogatepass")) % BUCKETS

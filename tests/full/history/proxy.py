"""A TCP proxy between store and server that does to replies what networks do.

It delays, drops, truncates and resets; it never makes up or doubles a byte. `swap`, which no
network does, gives two connections each other's replies: it is there to be found.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from typing import Final, Literal, Self

Mode = Literal["pass", "delay", "drop", "truncate", "reset", "swap"]
SIZE: Final = 65_536
LONGEST_DELAY: Final = 0.4
SHARE: Final = 0.15  # of replies that are dropped, truncated or reset


class Proxy:
    """Listens on a port of its own, in a thread of its own; `mode` may be set at any time."""

    def __init__(self, port: int) -> None:
        self.mode: Mode = "pass"
        self.port = 0
        self.swapped = 0
        self._target = port
        self._chance = random.Random(7)
        self._waiting: tuple[bytes, asyncio.Future[bytes]] | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        """What a store connects to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(_end_others())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._questions(reader, server)),
            asyncio.ensure_future(self._replies(upstream, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            server.close()

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(SIZE):
                writer.write(data)
                await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(SIZE):
                hit = self._chance.random() < SHARE
                if self.mode == "delay":
                    await asyncio.sleep(self._chance.uniform(0, LONGEST_DELAY))
                elif self.mode == "swap":
                    data = await self._swap(data)
                elif self.mode in ("truncate", "reset") and hit:
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    if self.mode == "reset":
                        _reset(writer)
                    return
                elif self.mode == "drop" and hit:
                    continue  # the connection stays open, and silent
                writer.write(data)
                await writer.drain()

    async def _swap(self, data: bytes) -> bytes:
        """Wait a moment for a reply of another connection, and take that one."""
        if self._waiting is not None:
            other, future = self._waiting
            self._waiting = None
            if not future.done():
                self.swapped += 1
                future.set_result(data)
                return other
        future = self._loop.create_future()
        self._waiting = data, future
        try:
            return await asyncio.wait_for(future, 0.02)
        except TimeoutError:
            self._waiting = None
            return data


async def _end_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()

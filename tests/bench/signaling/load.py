"""Callers, over connections that are kept open: as fast as answers come, or at a rate that does not wait for them."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

OFFER: Final = (Path(__file__).parents[2] / "vectors" / "offers" / "chromium.sdp").read_bytes()
SPARE: Final = 256
"""Connections of the open loop at most: so many calls wait for answers at once."""


@dataclass(frozen=True, slots=True)
class Served:
    """How a stretch of calls went; times in seconds."""

    seconds: float
    times: Sequence[float]
    refused: int

    @property
    def rate(self) -> float:
        """Answered calls a second."""
        return len(self.times) / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds within which this share was answered."""
        ordered = sorted(self.times) or [float("inf")]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Callers:
    """Clients in random networks, each with one of the keys, as a trusted proxy brings them."""

    def __init__(self, port: int, keys: Sequence[str], *, hang_up: bool = False, seed: int = 1) -> None:
        self.refusals: Counter[bytes] = Counter()
        """By status line."""
        self._port = port
        self._hang_up = hang_up
        self._keys = keys
        self._random = Random(seed)

    async def closed(self, connections: int, seconds: float) -> Served:
        """Each connection asks again when it was answered."""
        times: list[float] = []
        refused = 0
        started = time.perf_counter()

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal refused
            while (now := time.perf_counter()) < started + seconds:
                if location := await self._call(reader, writer):
                    times.append(time.perf_counter() - now)
                    await self._end(reader, writer, location)
                else:
                    refused += 1

        async with AsyncExitStack() as stack:
            opened = [await self._open(stack) for _ in range(connections)]
            started = time.perf_counter()
            await asyncio.gather(*(ask(*each) for each in opened))
        return Served(time.perf_counter() - started, times, refused)

    async def open(self, rate: float, seconds: float) -> Served:
        """Calls come when they come; the time counts from when one was due."""
        times: list[float] = []
        refused = 0
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            idle = [await self._open(stack) for _ in range(16)]
            opened = len(idle)
            started = time.perf_counter()

            async def ask(due: float) -> None:
                nonlocal refused, opened
                if not idle and opened >= SPARE:
                    refused += 1
                    return
                if not idle:
                    opened += 1
                each = idle.pop() if idle else await self._open(stack)
                if location := await self._call(*each):
                    times.append(time.perf_counter() - due)
                    await self._end(*each, location)
                else:
                    refused += 1
                idle.append(each)

            due = started
            while due < started + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(ask(due))
                due += self._random.expovariate(rate)
        return Served(time.perf_counter() - started, times, refused)

    async def _open(self, stack: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        stack.callback(writer.close)
        return reader, writer

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Where the call can be found; empty if it was refused."""
        random = self._random
        key = random.choice(self._keys)
        client = (
            f"{random.randrange(11, 100)}.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        )
        writer.write(
            b"POST /v1/realtime/calls HTTP/1.1\r\nHost: bench\r\nContent-Type: application/sdp\r\n"
            + f"Authorization: Bearer {key}\r\nX-Forwarded-For: {client}\r\n".encode()
            + f"Content-Length: {len(OFFER)}\r\n\r\n".encode()
            + OFFER
        )
        head = await _answer(reader)
        taken = head.startswith(b"HTTP/1.1 201")
        if not taken:
            self.refusals[head.partition(b"\r\n")[0]] += 1
        return head.partition(b"Location: ")[2].partition(b"\r\n")[0].decode() if taken else ""

    async def _end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, location: str) -> None:
        if self._hang_up:
            head = f"POST {location}/hangup HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._keys[0]}\r\n"
            writer.write(
                f"{head}X-Forwarded-For: 10.{self._random.randrange(256)}.0.1\r\nContent-Length: 0\r\n\r\n".encode()
            )
            await _answer(reader)


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0))
    return head

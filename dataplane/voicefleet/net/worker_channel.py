"""Requests, answers and news between a process and its children: JSON over a Unix stream socket, in order.

Both ends are alike. A request is answered once, with a value or with a refusal that the two ends agree on; news are not
answered. Neither end waits for the other where it says something: what is not taken is buffered, and a channel whose
buffer grows beyond its bound counts as closed, since then the other end no longer lives.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

LARGEST: Final = 4 * 1024 * 1024
"""Octets of one message: an offer of a megabyte, escaped."""
BACKLOG: Final = 16 * 1024 * 1024
"""Octets that wait for the other end at most."""
_REQUEST, _ANSWER, _REFUSAL, _NEWS = "?", "=", "!", "."


class Closed(ConnectionError):
    """The other end is gone."""


class Refused(Exception):
    """The other end's refusal, as it was made: a kind and what belongs to it."""

    def __init__(self, kind: str, fields: dict[str, Any]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.fields = fields


Answerer = Callable[[str, Any], Awaitable[Any]]
"""(kind, fields) of a request -> its answer; raises `Refused`."""
Hearer = Callable[[str, Any], None]


class WorkerChannel:
    """One end; `run` reads until the other end is gone."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answerer, hear: Hearer
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._hear = hear
        self._number = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def open(cls, end: socket.socket, answer: Answerer, hear: Hearer) -> "WorkerChannel":
        """Over one end of a socket pair."""
        reader, writer = await asyncio.open_connection(sock=end, limit=LARGEST)
        return cls(reader, writer, answer, hear)

    async def ask(self, kind: str, fields: Any, deadline: float) -> Any:
        """The answer to a request; raises `Refused`, `Closed`, or TimeoutError after so many seconds."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._write([_REQUEST, number, kind, fields])
            async with asyncio.timeout(deadline):
                return await answer
        finally:
            del self._asked[number]

    def tell(self, kind: str, fields: Any) -> None:
        """Say something; nothing happens if the other end is gone."""
        try:
            self._write([_NEWS, 0, kind, fields])
        except Closed:
            pass  # its death is noticed by whoever runs the channel

    async def run(self) -> None:
        """Read until the other end is gone; what was asked and not answered fails then."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(4))
                self._take(*json.loads(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close this end; the other one notices."""
        if self._closed:
            return
        self._closed = True
        for task in self._answering:
            task.cancel()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Closed("the other end is gone"))
        self._writer.close()

    def _take(self, sort: str, number: int, kind: str, fields: Any) -> None:
        if sort == _NEWS:
            self._hear(kind, fields)
        elif sort == _REQUEST:
            task = asyncio.get_running_loop().create_task(self._reply(number, kind, fields))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        else:
            asked = self._asked.get(number)
            if asked is not None and not asked.done():
                if sort == _ANSWER:
                    asked.set_result(fields)
                else:
                    asked.set_exception(Refused(kind, fields))

    async def _reply(self, number: int, kind: str, fields: Any) -> None:
        try:
            answer = [_ANSWER, number, "", await self._answer(kind, fields)]
        except Refused as refused:
            answer = [_REFUSAL, number, refused.kind, refused.fields]
        try:
            self._write(answer)
        except Closed:
            pass  # whoever asked is gone

    def _write(self, message: list[Any]) -> None:
        if self._closed or self._writer.transport.get_write_buffer_size() > BACKLOG:
            raise Closed("the other end takes nothing")
        data = json.dumps(message, separators=(",", ":")).encode()
        self._writer.write(len(data).to_bytes(4) + data)

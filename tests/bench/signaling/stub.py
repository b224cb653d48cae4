"""A transceiver that takes every call at once: `python -m tests.bench.signaling.stub` prints its port.

Bare HTTP, so that what is measured is signaling and not its yardstick.
"""

import asyncio
import json
import sys
from typing import Final

from tests.support.workers import RING
from voicefleet.wire.call_id import call_id
from voicefleet.wire.route_token import Route, mint

ANSWER_OCTETS: Final = 1200
"""As long as a transceiver's answer."""


def _reply() -> bytes:
    call = call_id(mint(Route("127.0.0.1", 4478, 1, 1), RING.keys[0], RING.fleet_tag))
    body = json.dumps({"id": call, "answer": "v=0\r\n" + "a=x\r\n" * (ANSWER_OCTETS // 5)}).encode()
    head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._read = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if len(self._read) < end + 4 + length:
                return
            self._read = self._read[end + 4 + length :]
            self._transport.write(self._reply)


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    reply = _reply()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(reply), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

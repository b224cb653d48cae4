"""What is sent to a model arrives in order, also when the model takes nothing for a while; and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.support.facts import eventually
from voicefleet.agents.realtime.model_socket import MOST_WAITING, ModelSocket

PIECE = 4096


class SlowModel:
    """Reads when it is let."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.heard: list[int] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        await self.reads.wait()
        async for message in socket:
            self.heard.append(int(message.data[:8]))
        return socket


@asynccontextmanager
async def connected(model: SlowModel) -> AsyncIterator[ModelSocket]:
    app = web.Application()
    app.router.add_get("/", model.serve)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as client, client.ws_connect(model.url) as inner:
            yield ModelSocket(inner, model.url, 0.0, lambda: None)
    finally:
        model.reads.set()
        await runner.cleanup()


def message(number: int) -> bytes:
    return b"%08d" % number + b"x" * PIECE


async def test_what_a_model_takes_at_once_needs_no_task() -> None:
    model = SlowModel()
    model.reads.set()
    async with connected(model) as socket:
        for number in range(5):
            socket.send(message(number))
        await eventually(lambda: model.heard == [0, 1, 2, 3, 4], "all of it, with nobody in `write`")


async def test_a_model_that_takes_nothing_for_a_while_hears_the_rest_in_order() -> None:
    model = SlowModel()
    async with connected(model) as socket:
        writing = asyncio.ensure_future(socket.write())
        sent = 0
        while not socket.dropped:
            socket.send(message(sent))
            sent += 1
            if not sent % 100:
                await asyncio.sleep(0)  # the connection's own buffers fill
        assert sent > MOST_WAITING
        model.reads.set()
        await eventually(lambda: bool(model.heard) and model.heard[-1] == sent - 1, "what was sent last")
        assert len(model.heard) == sent - socket.dropped
        assert model.heard == sorted(model.heard)
        missing = sorted(set(range(sent)) - set(model.heard))
        assert missing[-1] - missing[0] == len(missing) - 1 and missing[-1] < sent - MOST_WAITING, "the oldest"
        writing.cancel()


async def test_what_is_sent_to_a_model_that_has_gone_is_nobodys_error() -> None:
    model = SlowModel()
    async with connected(model) as socket:
        writing = asyncio.ensure_future(socket.write())
        for number in range(3000):
            socket.send(message(number))
        await socket.close()
        socket.send(message(3000))
        await asyncio.wait((writing,), timeout=0.1)
        assert not writing.done() or writing.exception() is None
        writing.cancel()

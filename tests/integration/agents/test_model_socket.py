"""What is sent to a model arrives in order, also when the model takes nothing for a while; and nobody waits for it."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from tests.support.facts import eventually
from voicefleet.agents.realtime.model_socket import MOST_WAITING, REST, ModelSocket, Refused
from voicefleet.agents.realtime.models import tls_context
from voicefleet.wire.certificate import self_signed

PIECE = 4096
PATIENCE = 30.0


class SlowModel:
    """Reads when it is let."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.heard: list[int] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        await self.reads.wait()
        async for message in socket:
            self.heard.append(int(message.data[:8]))
        return socket


class Talker(SlowModel):
    """Says four things and leaves."""

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.reads.wait()
        for whole in ("first", "second"):
            await socket.send_str(whole)
        assert request.transport is not None
        for head, part in ((0x01, b"in "), (0x00, b"three "), (0x80, b"parts")):
            request.transport.write(bytes((head, len(part))) + part)  # aiohttp sends whole messages only
        await socket.send_str("last")
        await socket.close(code=4001)
        return socket


class Refusing(SlowModel):
    """Opens nothing."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__()
        self._answer = (status, headers)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        status, headers = self._answer
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def serving(model: SlowModel, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/", model.serve)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    model.url = f"{'ws' if tls is None else 'wss'}://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield
    finally:
        model.reads.set()
        await runner.cleanup()


@asynccontextmanager
async def connected(model: SlowModel) -> AsyncIterator[ModelSocket]:
    async with serving(model):
        socket = ModelSocket(model.url, 0.0, lambda: None)
        await socket.open(model.url, {}, PATIENCE)
        try:
            yield socket
        finally:
            await socket.close()


def message(number: int) -> bytes:
    return b"%08d" % number + b"x" * PIECE


async def test_what_a_model_takes_at_once_has_left_when_it_was_said() -> None:
    model = SlowModel()
    model.reads.set()
    async with connected(model) as socket:
        for number in range(5):
            socket.send(message(number))
        await eventually(lambda: model.heard == [0, 1, 2, 3, 4], "all of it")


async def test_a_model_that_takes_nothing_for_a_while_hears_the_rest_in_order() -> None:
    model = SlowModel()
    async with connected(model) as socket:
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


async def test_what_is_sent_to_a_model_that_has_gone_is_nobodys_error() -> None:
    model = SlowModel()
    async with connected(model) as socket:
        for number in range(3000):
            socket.send(message(number))
        await socket.close()
        socket.send(message(3000))
        assert await socket.next() is None


async def test_a_message_in_several_frames_is_one_and_none_is_lost_between_asking_and_handing_over() -> None:
    model = Talker()
    model.reads.set()
    async with connected(model) as socket:
        assert await socket.next() == b"first"
        taken: list[bytes] = []
        handing = asyncio.ensure_future(socket.hand_over(taken.append))
        await eventually(lambda: taken == [b"second", b"in three parts", b"last"], "the rest, in order")
        await asyncio.wait_for(handing, PATIENCE)
        assert socket.end == "close code 4001"


async def test_a_model_that_is_not_read_for_a_moment_is_read_on() -> None:
    model = Talker()
    async with connected(model) as socket:
        began = time.monotonic()
        socket.rest()
        model.reads.set()
        assert [await asyncio.wait_for(socket.next(), PATIENCE) for _ in range(2)] == [b"first", b"second"]
        assert time.monotonic() - began >= REST, "it was read at once"


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "7"}), (302, {"Location": "/elsewhere"})])
async def test_a_server_that_opens_no_socket_says_why(status: int, headers: dict[str, str]) -> None:
    model = Refusing(status, headers)
    with pytest.raises(Refused, match=f"answered {status}") as refused:
        async with connected(model):
            pass
    assert refused.value.retry_after == headers.get("Retry-After", "")


async def test_a_server_that_goes_before_it_answers_cannot_be_reached() -> None:
    async def goes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(goes, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(OSError, match=r"."):
            await ModelSocket(url, 0.0, lambda: None).open(url, {}, PATIENCE)


async def test_a_socket_that_nobody_waits_for_any_more_is_closed_when_the_server_answers_at_last() -> None:
    asked, answers, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.WebSocketResponse:
        asked.set()
        await answers.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert (await socket.receive()).type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.CLOSE)
        gone.set()
        return socket

    model = SlowModel()
    model.serve = late  # type: ignore[method-assign]
    async with serving(model):
        opening = asyncio.ensure_future(ModelSocket(model.url, 0.0, lambda: None).open(model.url, {}, PATIENCE))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        answers.set()
        await asyncio.wait_for(gone.wait(), PATIENCE)


async def test_a_model_behind_tls_is_spoken_to_if_somebody_vouches_for_it(tmp_path: Path) -> None:
    file = tmp_path / "model.pem"
    file.write_bytes(b"".join(self_signed(time.time(), timedelta(hours=1), "127.0.0.1")))
    serves, trusts = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), tls_context()
    serves.load_cert_chain(file)
    model = SlowModel()
    model.reads.set()
    async with serving(model, serves):
        with pytest.raises(ssl.SSLCertVerificationError):
            await ModelSocket(model.url, 0.0, lambda: None).open(model.url, {}, PATIENCE, tls_context())
        trusts.load_verify_locations(file)
        socket = ModelSocket(model.url, 0.0, lambda: None)
        await socket.open(model.url, {}, PATIENCE, trusts)
        for number in range(100):
            socket.send(message(number))
        await eventually(lambda: model.heard == list(range(100)), "all of it")
        await socket.close()

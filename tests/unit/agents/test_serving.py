"""The agent's side of a call, with a worker that answers when the test says so."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from voicefleet.agents.python.agent import VoiceAgent
from voicefleet.agents.python.messages import PLAYED, Kind, Reader, written, written_json
from voicefleet.agents.python.serving import ServedCall


class Waits(VoiceAgent):
    """Gives up waiting for silence before it is told of it, as one that is interrupted does."""

    async def on_start(self) -> None:
        waiting = asyncio.ensure_future(self.say_all(bytes(960)))
        await asyncio.sleep(0)
        waiting.cancel()
        self.tell({"type": "given up"})

    async def on_key(self, key: str) -> None:
        self.hang_up(f"{key} was pressed")


async def test_an_answer_that_nobody_waits_for_any_more_does_not_end_the_call() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    messages = Reader()

    async def until(wanted: Callable[[Kind], bool]) -> None:
        async with asyncio.timeout(30):
            while not any(wanted(kind) for kind, _ in messages.feed(await loop.sock_recv(ours, 65536))):
                pass

    served = asyncio.ensure_future(ServedCall(theirs, Waits).run())
    await loop.sock_sendall(ours, written_json(Kind.START, {"id": "rtc_1", "config": {}}))
    await until(lambda kind: kind is Kind.TELL)
    await loop.sock_sendall(ours, written(Kind.PLAYED, PLAYED.pack(0.0, 20.0)))
    await loop.sock_sendall(ours, written_json(Kind.KEY, {"key": "5"}))
    await until(lambda kind: kind is Kind.HANG_UP)
    ours.close()
    await served
    theirs.close()


class Works(VoiceAgent):
    """Does beside the call what its configuration says."""

    async def on_start(self) -> None:
        self.begin(self.work())
        await asyncio.sleep(0)

    async def work(self) -> None:
        if self.call.config.get("fails"):
            raise RuntimeError("as it was told")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def on_end(self) -> None:
        ended.append("call")


ended: list[str] = []


async def test_what_is_done_beside_a_call_ends_the_call_when_it_fails() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(written_json(Kind.START, {"id": "rtc_1", "config": {"fails": True}}))
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await ServedCall(theirs, Works).run()


async def test_what_is_done_beside_a_call_is_cancelled_once_the_agent_knows_of_the_end() -> None:
    ended.clear()
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(written_json(Kind.START, {"id": "rtc_1", "config": {}}))
        ours.close()
        await ServedCall(theirs, Works).run()
    assert ended == ["call", "work"]

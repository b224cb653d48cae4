"""The thread of packets and clocks."""

import asyncio
import socket
import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any
from unittest.mock import Mock

import pytest

from tests.support.facts import DEADLINE, eventually
from voicefleet.core.ice_lite import CONSENT, IceLite
from voicefleet.net.udp import receive_batch, udp_socket
from voicefleet.services.transceiver.inbox import Inbox
from voicefleet.services.transceiver.media_leg import LOOK_AT_CONSENT, MediaLeg
from voicefleet.services.transceiver.media_loop import STALLED, Clock, MediaLoop


class Reader:
    """Blocks the loop in the middle of a turn until the test lets it go on, then obeys as a worker does."""

    def __init__(self) -> None:
        self.socket = udp_socket(("127.0.0.1", 0))
        self.loop: MediaLoop | None = None
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.seen: list[str] = []

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self, clock: Clock) -> bool:
        self.reading.set()
        assert self.go_on.wait(DEADLINE)
        return receive_batch(self.socket, lambda packet, _source: self._take(packet, clock()))

    def flush(self, now: float) -> None:
        """Nothing is sent from here."""

    def _take(self, packet: bytes, now: float) -> None:
        assert self.loop is not None
        self.loop.obey(now)
        self.seen.append(packet.decode())


async def test_a_call_that_was_answered_is_known_before_the_packets_of_its_client() -> None:
    reader = Reader()
    media = reader.loop = MediaLoop(
        Inbox(asyncio.get_running_loop()), lambda _now: None, lambda _leg, _error: None, lambda _error: None
    )
    media.serve(reader)
    media.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"another's packet", reader.socket.getsockname())
            await asyncio.to_thread(reader.reading.wait, DEADLINE)
            media.post(lambda _now: reader.seen.append("call created"))
            client.sendto(b"its first check", reader.socket.getsockname())
            reader.go_on.set()
        await eventually(lambda: "its first check" in reader.seen, "the check was read")
        assert reader.seen.index("call created") < reader.seen.index("its first check")
    finally:
        reader.go_on.set()
        await asyncio.to_thread(media.stop)
        reader.socket.close()


@pytest.mark.parametrize("count", [1, 1000])
async def test_whatever_is_posted_is_done_in_order_however_often_the_loop_sleeps(count: int) -> None:
    media = MediaLoop(
        Inbox(asyncio.get_running_loop()), lambda _now: None, lambda _leg, _error: None, lambda _error: None
    )
    media.start()
    done: list[int] = []
    try:
        for number in range(count):
            media.post(lambda _now, number=number: done.append(number))  # type: ignore[misc]
            if number % 50 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: len(done) == count, "all is done")
        assert done == list(range(count))
    finally:
        await asyncio.to_thread(media.stop)


async def test_a_loop_that_dies_says_so_and_can_be_stopped() -> None:
    died: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def on_death(error: Exception) -> None:
        loop.call_soon_threadsafe(died.set_result, error)

    def on_tick(_now: float) -> None:
        raise RuntimeError("as the test wanted")

    media = MediaLoop(
        Inbox(loop),
        on_tick,
        lambda _leg, _error: None,
        on_death,
    )
    media.start()
    assert "as the test wanted" in str(await asyncio.wait_for(died, DEADLINE))
    await asyncio.to_thread(media.stop)
    media.post(lambda _now: None)


def due(now: float, tell: Callable[[], None]) -> MediaLeg:
    """A call whose consent is to be looked at now, and has run out: it tells that the clock had its turn."""
    unused: Any = None
    ice = IceLite({}, now - LOOK_AT_CONSENT)
    leg = MediaLeg(ice, unused, None, Mock(), lambda *_: tell(), unused)
    ice.started_at -= CONSENT
    return leg


async def turn(stall: float) -> list[str]:
    """What a turn does first that finds a packet and a clock that is due, after the thread stood still for so long."""
    reader = Reader()
    reader.go_on.set()
    media = reader.loop = MediaLoop(
        Inbox(asyncio.get_running_loop()), lambda _now: None, lambda _leg, _error: None, lambda _error: None
    )

    def both(_now: float) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"packet", reader.socket.getsockname())
        # After this turn's now: the next turn's business.
        media.note(due(monotonic(), lambda: reader.seen.append("clock")))
        sleep(stall)

    media.serve(reader)
    media.start()
    try:
        media.post(both)
        await eventually(lambda: len(reader.seen) == 2, "both are done")
    finally:
        await asyncio.to_thread(media.stop)
        reader.socket.close()
    return reader.seen


async def test_what_is_due_does_not_wait_for_what_has_come() -> None:
    for _ in range(1000):
        if await turn(0.0) == ["clock", "packet"]:  # unless this thread had no processor for so long just then
            return
    pytest.fail("packets always come first")


async def test_after_a_stall_what_came_meanwhile_goes_first_so_that_the_clock_sees_no_pause() -> None:
    assert await turn(2 * STALLED) == ["packet", "clock"]

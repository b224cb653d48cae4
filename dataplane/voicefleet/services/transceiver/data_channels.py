"""One call's data channels with what keeps them in bounds, both ways.

Packets from the client pass a gate and wait in a short queue; when the agent does not take messages, nobody takes
packets, the queue fills, packets are dropped, and SCTP slows the client down. A client that floods all the same, or
whose packets would break the library, loses its channels and is told why. The call's audio does not come by here.
"""

import asyncio
import json
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from voicefleet.core.transceiver.flood_gate import FloodGate, Verdict
from voicefleet.core.transceiver.sctp_sieve import SctpRefused
from voicefleet.net.sctp_adapter import SctpAssociation, Sent

MAX_WAITING: Final = 256
"""Packets that wait to be handled; SCTP repeats what is dropped."""
LAST_WORD: Final = 1.0
"""Seconds for a client to take the event that tells it why its channels are closed."""
LAST_PACKETS: Final = 256
"""Packets that are taken meanwhile."""
CLOSED_EVENT: Final = "voicefleet.data_channel_closed"
"""Type of the last event on channels that we close."""


class ChannelEvents(Protocol):
    """Who hears from the client's channels; a message is awaited, which is back-pressure."""

    def on_channel(self, channel: str, opened: bool) -> None:
        """A channel was opened, or is gone."""
        ...

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """A message has arrived."""
        ...


class DataChannels:
    """Lives on the event loop, from the end of the DTLS handshake to the end of the call."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        events: ChannelEvents,
        refused: Counter[str],
        now: float,
        *,
        client: bool = True,
    ) -> None:
        self._association = SctpAssociation(send, self._heard, self._opened, self._closed, client=client)
        self._events = events
        self._refused = refused
        self._gate = FloodGate(now)
        self._packets: deque[bytes] = deque()
        self._some = asyncio.Event()
        self._flooded = False
        self._last_packets = LAST_PACKETS
        self._arrived: deque[Callable[[], Awaitable[None] | None]] = deque()

    def put(self, packet: bytes, now: float) -> None:
        """A packet that DTLS carried; never waits."""
        if self._flooded:
            if self._last_packets > 0:  # among them are the acknowledgements of our last word
                self._last_packets -= 1
                self._packets.append(packet)
                self._some.set()
            return
        verdict = self._gate.weigh(now)
        if verdict is Verdict.CLOSE:
            self._flooded = True
            self._some.set()
        elif verdict is Verdict.DROP or len(self._packets) >= MAX_WAITING:
            self._refused["sctp_flood"] += 1
        else:
            self._packets.append(packet)
            self._some.set()

    async def run(self, remote_port: int, max_message_size: int) -> str:
        """Serve the channels until the client ends them, or until they are ended for a reason, which is returned."""
        association = self._association
        try:
            await association.start(remote_port, max_message_size)
            while not association.closed:
                await self._some.wait()
                self._some.clear()
                if self._flooded:
                    return await self._end("more than this call may send")
                while self._packets:
                    await association.on_packet(self._packets.popleft())
                    while self._arrived:
                        waiting = self._arrived.popleft()()
                        if waiting is not None:
                            await waiting
            return "closed by the client"
        except SctpRefused as refused:
            self._refused[f"sctp_{str(refused).partition(':')[0]}"] += 1
            return await self._end(f"a packet that is not served ({refused})")
        finally:
            await association.stop()

    def send(self, channel: str, message: str | bytes) -> Sent:
        """Send on the channel of that name."""
        return self._association.send(channel, message)

    def tell_all(self, event: dict[str, object]) -> None:
        """Send an event on every open channel."""
        self._association.tell_all(json.dumps(event | {"event_id": f"event_{secrets.token_hex(8)}"}))

    @property
    def delivered(self) -> bool:
        """Whether everything that was sent has left."""
        return self._association.delivered

    async def _end(self, reason: str) -> str:
        """Say why, and give the client a moment to take it; what it says meanwhile is not heard any more."""
        self._flooded = True
        self._packets.clear()
        self.tell_all({"type": CLOSED_EVENT, "reason": reason})
        association = self._association
        try:
            async with asyncio.timeout(LAST_WORD):
                while not association.delivered and not association.closed:
                    await self._some.wait()
                    self._some.clear()
                    while self._packets:
                        await association.on_packet(self._packets.popleft())
                        self._arrived.clear()
        except (TimeoutError, SctpRefused):
            pass  # it was told as well as could be
        return reason

    def _heard(self, channel: str, message: str | bytes, /) -> None:
        self._arrived.append(lambda: self._events.on_message(channel, message))

    def _opened(self, channel: str) -> None:
        self._arrived.append(lambda: self._events.on_channel(channel, True))

    def _closed(self, channel: str) -> None:
        self._arrived.append(lambda: self._events.on_channel(channel, False))

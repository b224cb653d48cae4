"""A bridge between callers and a model by stock aiortc and `websockets`, as one writes it in an afternoon. A yardstick.

`python -m tests.bench.agents_bridge MODEL_PORT` prints its port and takes offers by POST. For each line of standard
input it tells, in JSON, how long sound took through it since the line before.
"""

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any, Final

import av
import websockets
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpreceiver import RTCRtpReceiver

from tests.bench.agents_worker import EACH, TAKEN
from tests.bench.transceiver_stock import answered
from voicefleet.observability.health import served

RATE: Final = 24_000
SAMPLES: Final = RATE // 50
FIRST: Final[dict[int, int]] = {}
"""By track: its first timestamp, which aiortc makes zero."""
ARRIVED: Final[dict[tuple[int, int], float]] = {}
"""By track and time in it: when a packet came."""
KEPT: Final = 100_000


def watch_arrivals() -> None:
    """aiortc does not tell when a packet came."""
    handle = RTCRtpReceiver._handle_rtp_packet

    async def noting(receiver: RTCRtpReceiver, packet: Any, arrival_time_ms: int) -> None:
        if len(ARRIVED) > KEPT:
            ARRIVED.clear()
        track = id(receiver.track)
        since = packet.timestamp - FIRST.setdefault(track, packet.timestamp) & 0xFFFFFFFF
        ARRIVED[track, since] = time.monotonic()
        await handle(receiver, packet, arrival_time_ms)

    RTCRtpReceiver._handle_rtp_packet = noting  # type: ignore[method-assign, assignment]


class ModelVoice(MediaStreamTrack):
    """What the model says, at its pace."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.waiting = bytearray()
        self._begun: float | None = None
        self._frames = 0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms."""
        now = time.monotonic()
        self._begun = self._begun or now
        await asyncio.sleep(self._begun + self._frames * 0.02 - now)
        piece = bytes(self.waiting[: 2 * SAMPLES])
        del self.waiting[: 2 * SAMPLES]
        frame = av.AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(piece + bytes(2 * SAMPLES - len(piece)))
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), self._frames * SAMPLES
        self._frames += 1
        return frame


async def caller_to_model(track: MediaStreamTrack, model: websockets.ClientConnection) -> None:
    """The caller's sound, 20 ms at a time."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    number = 0
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        assert isinstance(frame, av.AudioFrame) and frame.pts is not None
        sound = b"".join(bytes(part.planes[0])[: 2 * part.samples] for part in resampler.resample(frame))
        event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}
        await model.send(json.dumps(event))
        number += 1
        arrived = ARRIVED.get((id(track), frame.pts & 0xFFFFFFFF))
        if number % EACH == 0 and arrived is not None:
            TAKEN.up.append(time.monotonic() - arrived)


async def model_to_caller(model: websockets.ClientConnection, voice: ModelVoice) -> None:
    """The model's sound, and whatever else it says."""
    async for message in model:
        event = json.loads(message)
        if event["type"] == "response.output_audio.delta":
            voice.waiting += base64.b64decode(event["delta"])
            TAKEN.down.append(time.monotonic() - int(event["event_id"].removeprefix("event_")) / 1e9)


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    watch_arrivals()
    tasks: set[asyncio.Task[None]] = set()
    peers: set[RTCPeerConnection] = set()

    def run(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def call(request: web.Request) -> web.Response:
        peer, voice = RTCPeerConnection(RTCConfiguration(iceServers=[])), ModelVoice()
        peers.add(peer)
        model = await websockets.connect(f"ws://127.0.0.1:{sys.argv[1]}/v1/realtime?model=bench")
        session = {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcm", "rate": RATE}}}}
        await model.send(json.dumps({"type": "session.update", "session": session}))

        def on_track(track: MediaStreamTrack) -> None:
            run(caller_to_model(track, model))

        async def on_change() -> None:
            if peer.connectionState in ("failed", "closed"):
                peers.discard(peer)
                await model.close()
                await peer.close()

        peer.on("track", on_track)
        peer.on("connectionstatechange", on_change)
        peer.addTrack(voice)
        run(model_to_caller(model, voice))
        return await answered(peer, await request.text())

    application = web.Application()
    application.router.add_post("/", call)
    async with served(application, "127.0.0.1", 0) as port:
        print(port, flush=True)
        while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            print(TAKEN.told(), flush=True)
        os._exit(0)  # what it still has running is of no interest


if __name__ == "__main__":
    asyncio.run(main())

"""A call as `helm test` makes it: says a tone, and waits until it comes back. Ends with 0, or says what is wrong."""

import asyncio
import fractions
import math
import os
import sys
import time
from array import array
from pathlib import Path

import aiohttp
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

URL = os.environ["SIGNALING"]
RATE, SAMPLES, LOUD = 48000, 960, 8000
# Eleven waves of 440 Hz are 1200 samples: made once, since the pod of a test has little of a processor.
WAVES = array("h", (int(LOUD * math.sin(2 * math.pi * 440 * at / RATE)) for at in range(1200))) * 2


class Tone(AudioStreamTrack):
    """The caller's voice."""

    said, began = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, at their time."""
        if not self.said:
            self.began = time.monotonic()
        await asyncio.sleep(self.began + self.said / RATE - time.monotonic())
        frame = av.AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        begin = self.said % 1200
        frame.planes[0].update(WAVES[begin : begin + SAMPLES].tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.said, fractions.Fraction(1, RATE)
        self.said += SAMPLES
        return frame


async def call(key: str) -> None:
    """From the offer to the tone's return."""
    peer, came_back = RTCPeerConnection(RTCConfiguration(iceServers=[])), asyncio.Event()
    peer.addTrack(Tone())

    @peer.on("track")
    async def hear(track: AudioStreamTrack) -> None:
        loud = 0
        while loud < 25:
            heard = array("h", bytes((await track.recv()).planes[0]))
            loud += max(heard[::7]) > LOUD // 8
        came_back.set()

    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
    offer, url = peer.localDescription.sdp, f"{URL}/v1/realtime/calls"
    for attempt in range(10):
        async with aiohttp.ClientSession() as client, client.post(url, data=offer, headers=headers) as answer:
            status, text = answer.status, await answer.text()
        if status != 503:  # a fleet that is busy at the moment says so
            break
        await asyncio.sleep(1.0 + attempt)
    if status != 201:
        sys.exit(f"{URL} answered {status}: {text}")
    relays = [line for line in text.splitlines() if line.startswith("a=candidate:")]
    await peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
    try:
        await asyncio.wait_for(came_back.wait(), 40.0)
    except TimeoutError:
        sys.exit(f"nothing came back; the connection is {peer.connectionState}, relays were offered at {relays}")
    await peer.close()
    print("the call's voice came back")


asyncio.run(call(next(file for file in sorted(Path("/keys").iterdir()) if file.is_file()).read_text().strip()))

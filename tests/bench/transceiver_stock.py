"""An echo server by stock aiortc, as its own example has it: decoded, and encoded again. A yardstick.

`python -m tests.bench.transceiver_stock` prints its port, takes offers by POST, and ends with its standard input.
"""

import asyncio
import os
import sys

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from voicefleet.observability.health import served


async def answered(peer: RTCPeerConnection, offer: str) -> web.Response:
    """What a caller who posts its offer gets."""
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    return web.Response(text=peer.localDescription.sdp, status=201)


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    peers: set[RTCPeerConnection] = set()

    async def call(request: web.Request) -> web.Response:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.add(peer)

        def on_track(track: MediaStreamTrack) -> None:
            peer.addTrack(track)

        async def on_change() -> None:
            if peer.connectionState in ("failed", "closed"):
                peers.discard(peer)
                await peer.close()

        peer.on("track", on_track)
        peer.on("connectionstatechange", on_change)
        return await answered(peer, await request.text())

    application = web.Application()
    application.router.add_post("/", call)
    async with served(application, "127.0.0.1", 0) as port:
        print(port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)  # what it still has running is of no interest


if __name__ == "__main__":
    asyncio.run(main())

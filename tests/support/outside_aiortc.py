"""One call by aiortc from the network namespace that this program runs in; says what it found as JSON.

python -m tests.support.outside_aiortc URL KEY
"""

import asyncio
import json
import sys

import aiohttp

from tests.support.aiortc_caller import aiortc_caller


async def main(url: str, key: str) -> None:
    """Call, hear the tone come back, and say which pair was used."""
    async with aiortc_caller() as caller, aiohttp.ClientSession() as client:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
        offer = await caller.offer()
        async with asyncio.timeout(60.0):
            status, text = 503, ""
            while status == 503:  # a busy machine says so, and a client asks again
                async with client.post(f"{url}/v1/realtime/calls", data=offer, headers=headers) as answer:
                    status, text = answer.status, await answer.text()
                await asyncio.sleep(0.2)
        assert status == 201, text
        await caller.answer(text)
        await caller.reaches("connected")
        await caller.hears_its_tone()
        assert caller.peer.sctp is not None
        pair = caller.peer.sctp.transport.transport._connection._nominated[1]
        print(
            json.dumps(
                {
                    "heard": True,
                    "remote": f"{pair.remote_addr[0]}:{pair.remote_addr[1]}",
                    "address": pair.local_candidate.host,
                    "port": pair.local_candidate.port,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Two WebSockets as one: what comes on either goes out on the other, in order, until one of them ends.

Neither side is read faster than the other takes it; one that takes nothing for `STUCK` seconds is left.
"""

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType, web

from voicefleet.core.realtime.client_events import MAX_MESSAGE

STUCK: Final = 15.0
"""Seconds that a message may take to be taken."""
HEARTBEAT: Final = 20.0
"""Seconds between pings: shorter than the idle limits of proxies on the way."""
_GOING_AWAY: Final = 1001
_TOO_SLOW: Final = 1008
MESSAGE: Final = MAX_MESSAGE

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse[Any]


async def relay(one: Socket, other: Socket) -> None:
    """Until one ends; both are closed then, with the reason of the one that did."""
    pumps = [asyncio.create_task(_pump(one, other)), asyncio.create_task(_pump(other, one))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump, ended, left in zip(pumps, (one, other), (other, one), strict=True):
            if pump.done() and not pump.cancelled() and pump.exception() is None:
                code = ended.close_code if not pump.result() else _TOO_SLOW
                usable = code is not None and (1000 <= code <= 1003 or 1007 <= code <= 1013)
                await left.close(code=code if usable and code is not None else _GOING_AWAY)
                break
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await one.close(code=_GOING_AWAY)
        await other.close(code=_GOING_AWAY)


async def _pump(source: Socket, target: Socket) -> bool:
    """Whether it ended because the target takes nothing."""
    while True:
        message = await source.receive()
        try:
            async with asyncio.timeout(STUCK):
                if message.type is WSMsgType.TEXT:
                    await target.send_str(message.data)
                elif message.type is WSMsgType.BINARY:
                    await target.send_bytes(message.data)
                else:
                    return False
        except TimeoutError:
            return True
        except ConnectionError:
            return False

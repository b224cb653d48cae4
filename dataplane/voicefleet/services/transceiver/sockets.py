"""WebSockets of a worker's calls: the client of a call without WebRTC, and whoever steers a call beside it."""

import asyncio
import json
from typing import Final

from aiohttp import WSMsgType, web

from voicefleet.core.realtime.client_events import MAX_MESSAGE, ClientError, Door, read_event
from voicefleet.core.realtime.server_events import error, stamped
from voicefleet.net.sctp_adapter import EVENTS
from voicefleet.net.websocket_relay import HEARTBEAT
from voicefleet.services.transceiver.outbox import LAST_WORDS, Outbox
from voicefleet.services.transceiver.record import EndCause
from voicefleet.services.transceiver.session import Session
from voicefleet.services.transceiver.socket_session import SocketSession

TOO_SLOW: Final = 1008
GOING_AWAY: Final = 1001
BUSY: Final = 1013


async def serve_socket(request: web.Request, call: Session | SocketSession, door: Door) -> web.WebSocketResponse:
    """One connection, until either side ends it."""
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT, compress=False)
    await socket.prepare(request)
    outbox = Outbox(socket)
    writing = asyncio.create_task(outbox.write())
    reading = asyncio.create_task(_client(socket, call, outbox) if door is Door.WEBSOCKET and
                                  isinstance(call, SocketSession) else _sideband(socket, call, outbox))  # fmt: skip
    over = asyncio.create_task(call.life.over())
    try:
        await asyncio.wait((reading, writing, over), return_when=asyncio.FIRST_COMPLETED)
        outbox.end()
        if not outbox.overflowed:
            await asyncio.wait((writing,), timeout=LAST_WORDS)
        code = BUSY if reading.done() and reading.result() else TOO_SLOW if outbox.overflowed else GOING_AWAY
        await socket.close(code=code)
    finally:
        call.events.leave(outbox.put)
        if isinstance(call, SocketSession) and door is Door.WEBSOCKET:
            slow = outbox.overflowed
            call.end(EndCause.FAILED if slow else EndCause.CLIENT_LEFT,
                     "the client takes too little" if slow else "the client hung up")  # fmt: skip
        for task in (writing, reading, over):
            task.cancel()
        await asyncio.gather(writing, reading, over, return_exceptions=True)
    return socket


async def _client(socket: web.WebSocketResponse, call: SocketSession, outbox: Outbox) -> bool:
    """Whether there is no place for it."""
    if not call.attach(outbox.put):
        return True
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await call.heard(message.data)
    return False


async def _sideband(socket: web.WebSocketResponse, call: Session | SocketSession, outbox: Outbox) -> bool:
    """Whether there is no place for it. What it does wrong is told to it alone."""
    listener = outbox.put
    if not call.events.listen(listener):
        return True
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        try:
            read_event(message.data, Door.SIDEBAND)
        except ClientError as wrong:
            outbox.put(json.dumps(stamped(error(wrong), call.events.ids)))
        else:
            await call.on_message(EVENTS, message.data)
    return False

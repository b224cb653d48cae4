"""The server: connections in, one `Conversation` each, and what it refuses."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from tests.support.realtime_model.conversation import Conversation
from tests.support.realtime_model.replies import Reply


@dataclass
class ModelServer:
    """What a test sees of the model server."""

    replies: deque[Reply] = field(default_factory=deque)
    """One for each response, in order; the last one is used again and again."""
    refusals: deque[tuple[HTTPStatus, dict[str, str]]] = field(default_factory=deque)
    """Answers to the next connections."""
    conversations: list[Conversation] = field(default_factory=list)
    """All that there were, in order."""
    requests: list[web.Request] = field(default_factory=list)
    refused: int = 0
    hold: asyncio.Event | None = None
    """While it is there and not set, connections wait."""
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    def reply(self) -> Reply:
        """What is next."""
        return self.replies.popleft() if len(self.replies) > 1 else self.replies[0]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        self.requests.append(request)
        if self.refusals:
            status, headers = self.refusals.popleft()
            self.refused += 1
            return web.json_response({"error": {"message": status.phrase}}, status=status, headers=headers)
        if self.hold is not None:
            await self.hold.wait()
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        model = None if request.query.get("intent") == "transcription" else request.query.get("model", "")
        conversation = Conversation(socket, model, self.reply)
        self.conversations.append(conversation)
        await conversation.run()
        return socket


@asynccontextmanager
async def model_server(*replies: Reply, port: int = 0) -> AsyncIterator[ModelServer]:
    """A model server that is listening."""
    server = ModelServer(deque(replies))
    application = web.Application()
    application.router.add_get("/v1/realtime", server.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        for conversation in server.conversations:
            conversation.cut()
        await runner.cleanup()

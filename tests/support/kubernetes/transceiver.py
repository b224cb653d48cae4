"""A transceiver's internal API at an address of loopback, with as many calls as the test says."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from voicefleet.contract import InternalApi, Port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StandIn:
    """What one pod says and was told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._begun: dict[str, float] = {}
        self._made = 0
        self.capacity = 200
        self.draining = False
        self.silent = False

    @property
    def calls(self) -> int:
        """How many it has; setting it begins some, or ends the oldest."""
        return len(self._begun)

    @calls.setter
    def calls(self, count: int) -> None:
        while len(self._begun) > count:
            del self._begun[next(iter(self._begun))]
        while len(self._begun) < count:
            self._made += 1
            self._begun[f"rtc_{self._made}"] = time.monotonic()

    @asynccontextmanager
    async def served(self, keys: set[str]) -> AsyncIterator["StandIn"]:
        """Answers who has the fleet's key, while the context lasts."""

        @web.middleware
        async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.headers.get("Authorization", "").removeprefix("Bearer ") not in keys:
                return web.Response(status=401)
            if self.silent:
                return web.Response(status=503)
            return await handler(request)

        async def status(_request: web.Request) -> web.Response:
            calls = [{"id": call, "age": time.monotonic() - begun} for call, begun in self._begun.items()]
            return web.json_response({"calls": calls, "capacity": self.capacity, "draining": self.draining})

        async def drain(_request: web.Request) -> web.Response:
            self.draining = True
            return web.json_response({"calls": self.calls})

        app = web.Application(middlewares=[authenticated])
        app.add_routes([web.get(InternalApi.SESSIONS, status), web.post(InternalApi.DRAIN, drain)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.address, Port.TRANSCEIVER_API).start()
            yield self
        finally:
            await runner.cleanup()

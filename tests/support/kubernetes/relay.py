"""A relay's metrics at an address of loopback, with as many flows as the test says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from voicefleet.contract import HealthPath, Metric, Port


class StandIn:
    """What one relay says of itself."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.flows = 0
        self.silent = False

    @asynccontextmanager
    async def served(self) -> AsyncIterator["StandIn"]:
        """Answers while the context lasts."""

        async def metrics(_request: web.Request) -> web.Response:
            if self.silent:
                return web.Response(status=503)
            lines = [
                f'{Metric.RELAY_FLOWS}{{state="confirmed"}} {float(self.flows)}',
                f'{Metric.RELAY_FLOWS}{{state="pending"}} 3.0',
                f'{Metric.RELAY_PACKETS}_total{{direction="uplink",tier="userspace"}} 0.0',
            ]
            return web.Response(text="\n".join(lines) + "\n")

        app = web.Application()
        app.add_routes([web.get(HealthPath.METRICS, metrics)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.address, Port.HEALTH).start()
            yield self
        finally:
            await runner.cleanup()

"""What a kubelet and Prometheus ask the operator: whether it turns, whether it sees, and its figures.

Alive means that looks end, that no object which is due waits for minutes, and that what this operator wrote comes back
by its watches: a watch that died and does not say so is mended by reading everything anew, and when that does not bring
it back either, by a new process. The API server's absence is no reason to restart.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from voicefleet.contract import HealthPath


class Health:
    """The answers; each question gives the reasons why not, and none is good."""

    def __init__(self, registry: CollectorRegistry, obstacles_to_life: Callable[[], list[str]]) -> None:
        self._registry, self._obstacles = registry, obstacles_to_life
        self.sees = False
        """Whether everything has been listed once."""

    @asynccontextmanager
    async def served(self, listen: str) -> AsyncIterator[None]:
        """Answer at `host:port` while the context lasts; at an empty one nobody is answered."""
        if not listen:
            yield
            return
        host, _, port = listen.rpartition(":")
        app = web.Application()
        app.add_routes(
            [
                web.get(HealthPath.LIVE, self._live),
                web.get(HealthPath.READY, self._ready),
                web.get(HealthPath.METRICS, self._metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
            yield
        finally:
            await runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return _answer(self._obstacles())

    async def _ready(self, _request: web.Request) -> web.Response:
        return _answer([] if self.sees else ["the cluster's objects have not been listed yet"])

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(obstacles: list[str]) -> web.Response:
    return web.Response(text="\n".join(obstacles or ["ok"]) + "\n", status=503 if obstacles else 200)

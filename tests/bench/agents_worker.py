"""A transceiver worker whose calls talk to a model over the Realtime link, in a process of its own.

`python -m tests.bench.agents_worker MODEL_PORT` prints the ports of its internal API and of its hop. For each line of
standard input it tells, in JSON, how long sound took through the link since the line before.
"""

import asyncio
import gc
import json
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType

from tests.bench.transceiver_load import PLENTY
from tests.support.workers import RING, direct_worker
from voicefleet.agents.link import Asked, Voice
from voicefleet.agents.realtime import models as models_module
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.model_socket import ModelSocket
from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.contract import Component
from voicefleet.core.media.frame import AudioFrame
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.observability import logs
from voicefleet.observability.health import served
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.session import Session
from voicefleet.services.transceiver.worker_calls import WorkerCalls

EACH: Final = 10
"""One frame in so many is looked at, so that looking costs nothing."""
STAMP: Final = re.compile(rb'"event_id":"event_(\d+)"')
"""When the model sent a delta, on the machine's monotonic clock."""


class Taken:
    """Seconds that sound took: from a packet's arrival to the model's socket, from the model to the call's queue."""

    def __init__(self) -> None:
        self.up: list[float] = []
        self.down: list[float] = []

    def told(self) -> str:
        """All since the last time."""
        up, down = self.up, self.down
        self.up, self.down = [], []
        return json.dumps({"up": up, "down": down})


TAKEN: Final = Taken()


class WatchedConnection:
    """A model's WebSocket; notes when what a caller said has left."""

    def __init__(self, inner: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._inner = inner
        self.watched: deque[tuple[bytes, float]] = deque()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send_frame(self, message: bytes, kind: WSMsgType) -> None:
        """Send, and note it."""
        await self._inner.send_frame(message, kind)
        if self.watched and self.watched[0][0] is message:
            TAKEN.up.append(time.monotonic() - self.watched.popleft()[1])


class WatchedSocket(ModelSocket):
    """Tells its connection which messages to look for."""

    def __init__(self, socket: Any, url: str, since: float, leave: Callable[[], None]) -> None:
        self.connection = WatchedConnection(socket)
        super().__init__(self.connection, url, since, leave)  # type: ignore[arg-type]
        self.next: float | None = None

    def send(self, message: bytes) -> None:
        """As ever."""
        if self.next is not None:
            self.connection.watched.append((message, self.next))
            self.next = None
        super().send(message)


class WatchedLink(RealtimeLink):
    """The product's link, looked at now and then."""

    _frames = 0
    _deltas = 0
    _voice: Session

    async def attend(self, voice: Voice) -> None:
        assert isinstance(voice, Session)
        self._voice = voice
        await super().attend(voice)

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        self._watch(frames[0].captured)
        super().on_audio(frames)

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        self._watch(frames[0].captured)
        super().on_pcm(frames)

    def _watch(self, captured: float) -> None:
        self._frames += 1
        if self._frames % EACH == 0 and isinstance(self._socket, WatchedSocket):
            self._socket.next = captured

    async def _on_message(self, message: bytes) -> None:
        await super()._on_message(message)
        self._deltas += 1
        found = STAMP.search(message, 0, 160) if self._deltas % EACH == 0 else None
        if found is not None:
            sent = int(found[1]) / 1e9
            self._voice._post(lambda _now: TAKEN.down.append(time.monotonic() - sent))


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    logs.configure(Component.TRANSCEIVER, format="text", level="error")  # nobody reads this pipe
    vars(models_module)["ModelSocket"] = WatchedSocket
    models = Models(ModelPlan([f"ws://127.0.0.1:{sys.argv[1]}/v1/realtime"], model="bench"))

    def link(asked: Asked) -> RealtimeLink:
        return WatchedLink(models, asked.config, asked.door)

    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(direct_worker(PLENTY, link=link))
        port = await stack.enter_async_context(served(internal_api(WorkerCalls(worker), lambda: RING), "127.0.0.1", 0))
        gc.collect()
        gc.freeze()  # as in a pod
        print(port, worker.hop[1], flush=True)
        while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            print(TAKEN.told(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

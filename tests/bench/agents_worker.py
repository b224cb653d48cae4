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
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from tests.bench.transceiver_load import PLENTY
from tests.support.workers import RING, direct_worker
from voicefleet.agents.link import Asked, Voice
from voicefleet.agents.realtime import models as models_module
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.model_socket import ModelSocket
from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.contract import Component
from voicefleet.core.media.frame import AudioFrame
from voicefleet.net.memory_reserve import reserve
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.observability import logs
from voicefleet.observability.health import served
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.session import Session
from voicefleet.services.transceiver.worker_calls import WorkerCalls
from voicefleet.services.transceiver.worker_start import reserved

EACH: Final = 5
"""One frame of a caller's in so many is looked at, so that looking costs nothing; all of the model's are."""
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


class WatchedSocket(ModelSocket):
    """Notes when what a caller said has left."""

    since_captured: float | None = None
    """Since when what is sent next is on its way, if it is looked at."""

    def send(self, message: bytes) -> None:
        """Send, and note it."""
        super().send(message)
        if self.since_captured is not None:
            TAKEN.up.append(time.monotonic() - self.since_captured)
            self.since_captured = None


class WatchedLink(RealtimeLink):
    """The product's link, looked at now and then."""

    _frames = 0
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
            self._socket.since_captured = captured

    def _on_message(self, message: bytes) -> None:
        super()._on_message(message)
        found = STAMP.search(message, 0, 160)
        if found is not None:
            sent = int(found[1]) / 1e9
            self._voice._post(lambda _now: TAKEN.down.append(time.monotonic() - sent))


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    logs.configure(Component.TRANSCEIVER, format="text", level="error")  # nobody reads this pipe
    reserve(reserved(PLENTY))
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

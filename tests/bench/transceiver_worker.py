"""One transceiver worker in a process of its own, without a relay: what scripts/bench transceiver loads.

`python -m tests.bench.transceiver_worker AGENT CAPACITY RESERVED` prints the ports of its internal API and of its hop;
what is reserved is the memory of so many calls. For each line of standard input (`all`, `calls`) it tells, in JSON,
what it holds; it ends with its standard input.
"""

import asyncio
import ctypes
import gc
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from tests.support.workers import RING, direct_worker
from voicefleet.agents.echo import EchoAgent, PcmEchoAgent
from voicefleet.agents.link import Agent
from voicefleet.contract import Component
from voicefleet.net.memory_reserve import reserve
from voicefleet.observability import logs
from voicefleet.observability.health import served
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.worker import Worker
from voicefleet.services.transceiver.worker_calls import WorkerCalls
from voicefleet.services.transceiver.worker_start import reserved

AGENTS: dict[str, Callable[[], Agent]] = {"echo": EchoAgent, "pcm": PcmEchoAgent}


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    logs.configure(Component.TRANSCEIVER, format="text", level="warning")  # nobody reads this pipe
    reserve(reserved(int(sys.argv[3])))
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(direct_worker(int(sys.argv[2]), agent=AGENTS[sys.argv[1]]))
        api = internal_api(WorkerCalls(worker), lambda: RING)
        port = await stack.enter_async_context(served(api, "127.0.0.1", 0))
        gc.collect()
        gc.freeze()  # as in a pod
        print(port, worker.hop[1], flush=True)
        reading = stack.enter_context(ThreadPoolExecutor(1))  # the default one grows at its leisure
        while asked := await asyncio.get_running_loop().run_in_executor(reading, sys.stdin.readline):
            print(json.dumps(holds(worker) if asked == "all\n" else len(worker.sessions)), flush=True)


def holds(worker: Worker) -> dict[str, int]:
    """What grows if anything is kept; the allocator gives back before what nobody uses."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return {
        "calls": len(worker.sessions),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "threads": threading.active_count(),
    }


if __name__ == "__main__":
    asyncio.run(main())

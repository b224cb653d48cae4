"""An operator that is killed after every single write: the API server has done it, and nobody remembers.

Each life is a process of its own, forked from one that has imported everything, and dies by SIGKILL from inside. A life
that finds nothing to write goes on. The lease is left out: renewing it is no step of a reconcile; and so are Events.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from typing import Any

from voicefleet_operator.__main__ import operate
from voicefleet_operator.kube.cluster import Cluster
from voicefleet_operator.settings import read

_PR_SET_PDEATHSIG = 1
_log = logging.getLogger("mortal")


def main() -> None:
    """One life after the other."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", stream=sys.stderr)
    while True:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _live()
        os.waitpid(child, 0)


def _live() -> None:
    original = Cluster._ask
    writing = asyncio.Lock()

    async def mortal(self: Cluster, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if method == "GET" or "/leases" in path or "/events" in path:
            return await original(self, method, path, *arguments, **more)
        # One at a time: a node port whose request is cut off half way stays allocated for minutes (Kubernetes' repair
        # loop frees it), and no write hides behind another one's death.
        async with writing:
            answer = await original(self, method, path, *arguments, **more)
            _log.info("dies after %s %s", method, path)
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    Cluster._ask = mortal  # type: ignore[method-assign]
    asyncio.run(operate(read(dict(os.environ))))
    os._exit(0)


if __name__ == "__main__":
    main()

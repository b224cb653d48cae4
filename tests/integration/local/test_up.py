"""`voicefleet up`: one command, and a client that we did not write has a call through a relay."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.local_fleet import Refused, local_fleet


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def parent(pid: int) -> int:
    """Who started a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_caller_hears_its_voice_through_the_relay(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, aiortc_caller() as caller:
        await fleet.call(caller)
        await caller.hears_its_tone()
        (relay,) = fleet.ready["relays"]
        assert {f"{c.ip}:{c.port}" for c in caller.remote_candidates()} == {relay}


async def test_ctrl_c_ends_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        children = list(fleet.ready["processes"].values())
        assert len(children) == 4 and all(alive(pid) for pid in children)
        services = [pid for name, pid in fleet.ready["processes"].items() if name != "session-map"]
        assert len({parent(pid) for pid in services} - {fleet.command.pid}) == 1, "what they load is loaded once"
        fleet.command.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(fleet.command.wait(), DEADLINE) == 0
        assert not any(alive(pid) for pid in children)
        assert not fleet.ready_file.exists()


async def test_when_the_command_is_killed_its_processes_end_too(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        children = list(fleet.ready["processes"].values())
        fleet.command.kill()
        await eventually(lambda: not any(alive(pid) for pid in children), "all children have ended")


async def test_a_part_that_dies_is_started_again_and_the_user_is_told(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        os.kill(fleet.ready["processes"]["signaling-1"], signal.SIGKILL)
        await eventually(
            lambda: any("signaling-1 ended (SIGKILL)" in line for line in fleet.output), "the user is told"
        )
        async with aiortc_caller() as caller, asyncio.timeout(DEADLINE):
            while True:
                try:
                    await fleet.call(caller)
                    break
                except (aiohttp.ClientConnectionError, Refused):  # not there yet, or knows nobody yet
                    await asyncio.sleep(0.05)
            await caller.hears_its_tone()

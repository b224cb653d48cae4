"""The relay dies while a call goes on."""

import os
import signal
from pathlib import Path

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually
from tests.support.local_fleet import local_fleet


async def test_a_call_goes_on_when_its_only_relay_is_killed_and_started_again(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, aiortc_caller() as caller:
        await fleet.call(caller)
        await caller.hears_its_tone()
        os.kill(fleet.ready["processes"]["edge-relay-1"], signal.SIGKILL)
        await eventually(
            lambda: any("edge-relay-1 ended (SIGKILL)" in line for line in fleet.output), "the relay is dead"
        )
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 2 * 48000, "two more seconds come back")
        await caller.hears_its_tone()
        assert caller.peer.connectionState == "connected"

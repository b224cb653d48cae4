"""Redis dies while calls go on."""

import os
import signal
from pathlib import Path

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually
from tests.support.local_fleet import local_fleet


async def test_a_killed_session_map_touches_no_live_call_and_new_calls_are_placed(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, aiortc_caller() as caller, aiortc_caller(1000.0) as newcomer:
        await fleet.call(caller)
        await caller.hears_its_tone()
        os.kill(fleet.ready["processes"]["session-map"], signal.SIGKILL)
        await fleet.call(newcomer)
        await newcomer.hears_its_tone()
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 48000, "one more second comes back")
        await caller.hears_its_tone()

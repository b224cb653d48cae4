"""A client that changes its address keeps its call."""

from pathlib import Path

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually
from tests.support.local_fleet import local_fleet
from tests.support.nat import nat


async def test_a_phone_that_changes_network_keeps_its_call_with_its_next_check(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, nat(fleet.ready["relays"][0]) as box, aiortc_caller() as caller:
        await fleet.call(caller, through=box)
        await caller.hears_its_tone()
        await box.rebind()
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 2 * 48000, "two more seconds come back")
        await caller.hears_its_tone()


async def test_media_alone_brings_the_call_to_the_new_address(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, nat(fleet.ready["relays"][0]) as box, aiortc_caller() as caller:
        await fleet.call(caller, through=box)
        await caller.hears_its_tone()
        box.carry_checks = False
        await box.rebind()
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 2 * 48000, "two more seconds come back")
        await caller.hears_its_tone()
        assert caller.peer.connectionState == "connected"

"""What operators ask of a fleet on their machine."""

import json
from pathlib import Path
from typing import Any

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.local_fleet import RunningFleet, local_fleet
from tests.support.voicefleet_command import run


async def told(fleet: RunningFleet, *arguments: str) -> Any:
    code, output = await run(*arguments, f"--ready-file={fleet.ready_file}", "--json")
    assert code == 0, output
    return json.loads(output)


async def test_a_live_call_is_seen_from_the_fleet_down_to_its_packets(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, aiortc_caller() as caller:
        call_id = (await fleet.call(caller)).rpartition("/")[2]
        await caller.hears_its_tone()
        status = await told(fleet, "status")
        shard = status["shards"]["main"]
        assert (status["fleet"], status["calls"], shard["calls"], shard["capacity"]) == ("local", 1, 1, 200)
        assert shard["setupMs"] > 0 and shard["lossPercent"] == 0
        assert status["pools"]["edge"]["addresses"] == fleet.ready["relays"]
        (listed,) = (await told(fleet, "calls"))["calls"]
        assert (listed["id"], listed["transceiver"]) == (call_id, "main-transceiver-1")
        call = await told(fleet, "call", call_id)
        assert call["record"]["first_audio_out"] > 0
        assert call["record"]["leg"]["measurements"]["uplink"]["packets"] > 0
        for command in ("status", "calls"):
            code, text = await run(command, f"--ready-file={fleet.ready_file}")
            assert code == 0 and "main" in text
        code, text = await run("call", call_id, f"--ready-file={fleet.ready_file}")
        assert code == 0 and "first audio said" in text and "transceiver main-transceiver-1" in text


async def test_a_call_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        code, output = await run("call", "rtc_nothing", f"--ready-file={fleet.ready_file}")
        assert code == 7 and output == "voicefleet: There is no such call, or it has ended\n"


async def test_where_calls_go_is_explained(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        explained = await told(fleet, "trace", "198.51.100.7")
        assert explained["relays"][0]["id"] == "edge-relay-1" and explained["transceivers"] == ["main-transceiver-1"]


async def test_a_drained_transceiver_is_replaced_and_keeps_its_call_until_the_caller_hangs_up(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        async with aiortc_caller() as caller:
            await fleet.call(caller)
            await caller.hears_its_tone()
            assert (await told(fleet, "drain", "main-transceiver-1"))["callsLeft"] == 1
            await eventually(lambda: any("main-transceiver-2 is ready" in each for each in fleet.output), "replaced")
            heard = len(caller.heard)
            await eventually(lambda: len(caller.heard) > heard + 48000, "the call goes on")
        await eventually(
            lambda: any("main-transceiver-1 has ended" in each for each in fleet.output), "it ends", 2 * DEADLINE
        )


async def test_a_drained_relay_is_replaced_on_its_very_port_and_the_call_goes_on(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, aiortc_caller() as caller:
        await fleet.call(caller)
        await caller.hears_its_tone()
        await told(fleet, "drain", "edge-relay-1", "--wait=1")
        await eventually(lambda: any("edge-relay-1 has ended" in each for each in fleet.output), "gone", 3 * DEADLINE)
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 48000, "the call goes on")
        assert (await told(fleet, "status"))["pools"]["edge"]["addresses"] == fleet.ready["relays"]


async def test_what_is_not_there_cannot_be_drained(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        code, output = await run("drain", "main", f"--ready-file={fleet.ready_file}")
        assert code == 7 and "there are: edge-relay-1, main-transceiver-1" in output

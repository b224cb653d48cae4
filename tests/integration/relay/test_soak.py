"""Calls that come and go leave nothing behind. `scripts/bench relay.soak` does it for ten minutes."""

import asyncio
import os
from pathlib import Path

from tests.support.echo_peer import EchoPeer, echo_peer
from tests.support.facts import eventually, eventually_seen
from tests.support.ice_client import ice_client
from tests.support.relay_process import RelayProcess, relay_process
from voicefleet.wire.keyring import FleetKey, KeyRing

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))
WAVES = 8
CALLS = 20
PACKETS = 20


async def test_waves_of_calls_leave_no_flow_no_descriptor_and_no_memory_and_lose_no_packet(tmp_path: Path) -> None:
    async with echo_peer(RING) as peer, relay_process(tmp_path, RING, FLOW_IDLE="1s", ICE_TCP="true") as relay:

        async def nobody_left() -> bool:
            return not (await relay.metrics())["voicefleet_relay_flows{state=confirmed}"]

        descriptors: list[int] = []
        memory: list[int] = []
        for _ in range(WAVES):
            await asyncio.gather(*(_call(relay, peer) for _ in range(CALLS)))
            await eventually_seen(nobody_left, lambda: "the flows have ended")
            processes = [relay.pid, *relay.packet_processes()]
            descriptors.append(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes))
            memory.append(sum(map(_private, processes)))
        metrics = await relay.metrics()
    print(f"descriptors {descriptors}, memory {memory}")
    # A scrape's connection may still be open when it is counted.
    assert max(descriptors[2:]) <= max(descriptors[:2]) + 1
    assert max(memory[-2:]) < memory[2] + 2 * 2**20
    opened = metrics["voicefleet_relay_events_total{event=flows_opened}"]
    assert opened == metrics["voicefleet_relay_events_total{event=flows_expired}"] == WAVES * CALLS
    dropped = {name: count for name, count in metrics.items() if "dropped_packets_total" in name and count}
    assert not dropped


async def _call(relay: RelayProcess, peer: EchoPeer) -> None:
    async with ice_client(relay.address, peer.new_call(), RING) as client:
        await client.check()
        await client.talks()
        for _ in range(PACKETS):
            client.media()
            await asyncio.sleep(0.01)
        await eventually(lambda: client.lost == 0, "every packet came back")


def _private(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Private_"))

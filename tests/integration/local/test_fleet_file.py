"""`voicefleet up -f`: the file's pools and shards run, and changes of the file are followed while calls go on."""

import json
import signal
import socket
from pathlib import Path

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.local_fleet import RunningFleet, local_fleet
from tests.support.voicefleet_command import run
from voicefleet.net.port_holder import Holder, port_holder


def fleet_text(shards: dict[str, int], pools: dict[str, str], **fleet: object) -> str:
    def one(kind: str, name: str, spec: str) -> str:
        return f"apiVersion: voicefleet.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"

    made = [one("VoiceFleet", "demo", json.dumps(fleet))]
    made += [
        one("RelayPool", name, f"{{fleetRef: demo, drain: {{deadline: 30s}}{more}}}") for name, more in pools.items()
    ]
    made += [one("TransceiverShard", name, f"{{fleetRef: demo, replicas: {count}}}") for name, count in shards.items()]
    return "---\n".join(made)


def said(fleet: RunningFleet, words: str) -> bool:
    return any(words in line for line in fleet.output)


def processes(fleet: RunningFleet) -> set[str]:
    """As the ready file tells them now."""
    return set(json.loads(fleet.ready_file.read_text())["processes"])


async def test_several_pools_and_shards_are_several_processes(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(fleet_text({"eu": 2, "us": 1}, {"fra": "", "nyc": ", replicas: 2"}))
    async with local_fleet(tmp_path, file=file) as fleet:
        assert processes(fleet) == {
            "session-map", "signaling-1", "eu-transceiver-1", "eu-transceiver-2", "us-transceiver-1",
            "fra-relay-1", "nyc-relay-1", "nyc-relay-2",
        }  # fmt: skip
        assert len(fleet.ready["relays"]) == 3


async def test_a_shard_grows_and_a_pool_goes_while_a_call_lasts(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(fleet_text({"main": 1}, {"edge": "", "spare": ""}))
    async with local_fleet(tmp_path, file=file) as fleet, aiortc_caller() as caller:
        await fleet.call(caller)
        await caller.hears_its_tone()
        file.write_text(fleet_text({"main": 3}, {"edge": ""}))
        await eventually(lambda: said(fleet, "main-transceiver-3 is ready"), "the shard has grown")
        await eventually(lambda: said(fleet, "spare-relay-1 has ended"), "the pool is gone", 2 * DEADLINE)
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 48000, "the call goes on")
        await caller.hears_its_tone()
        wanted = {"main-transceiver-1", "main-transceiver-2", "main-transceiver-3", "edge-relay-1"}
        await eventually(lambda: wanted <= processes(fleet), "the ready file says so")
        assert "spare-relay-1" not in processes(fleet)


async def test_a_shard_that_shrinks_lets_its_calls_end_first(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(fleet_text({"main": 1}, {"edge": ""}))
    async with local_fleet(tmp_path, file=file) as fleet:
        async with aiortc_caller() as caller:
            await fleet.call(caller)
            await caller.hears_its_tone()
            file.write_text(fleet_text({"main": 1}, {"edge": ""}).replace("replicas: 1", "sessionsPerReplica: 50"))
            await eventually(lambda: said(fleet, "main-transceiver-2 is ready"), "the new process is there")
            await eventually(lambda: said(fleet, "main-transceiver-1 drains"), "the old one drains")
            await caller.hears_its_tone()
            assert not said(fleet, "main-transceiver-1 has ended")
        await eventually(lambda: said(fleet, "main-transceiver-1 has ended"), "it ends after its last call")


async def test_a_bad_change_is_explained_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    good = fleet_text({"main": 1}, {"edge": ""})
    file.write_text(good)
    async with local_fleet(tmp_path, file=file) as fleet:
        file.write_text(good.replace("replicas: 1", "replica: 2"))
        await eventually(lambda: said(fleet, "spec.replica is an unknown field; did you mean replicas?"), "it is told")
        await eventually(lambda: said(fleet, "the fleet stays as it was"), "nothing changes")
        file.write_text(good.replace("replicas: 1", "replicas: 2"))
        await eventually(lambda: said(fleet, "main-transceiver-2 is ready"), "the good one is followed")


async def test_a_port_of_the_file_is_used_and_a_taken_one_is_reported_with_who_has_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        file = tmp_path / "fleet.yaml"
        file.write_text(fleet_text({"main": 1}, {"edge": f", expose: {{port: {port}}}"}))
        code, output = await run("up", "--port=0", "-f", str(file))
        assert code == 6
        assert f"UDP port {port} of 127.0.0.1, for edge-relay-1, is taken by" in output and "Traceback" not in output
        holder = port_holder(port, socket.SOCK_DGRAM)
        assert isinstance(holder, Holder) and f"process {holder.pid}" in output
    async with local_fleet(tmp_path, file=file) as fleet:
        assert fleet.ready["relays"] == [f"127.0.0.1:{port}"]


async def test_a_taken_signaling_port_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, output = await run("up", f"--port={port}")
    assert code == 6 and f"TCP port {port} of 127.0.0.1, for signaling, is taken by" in output


async def test_after_a_sudden_death_the_next_start_works_on_the_same_ports(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file.write_text(fleet_text({"main": 1}, {"edge": f", expose: {{port: {port}}}"}))
    async with local_fleet(tmp_path, file=file) as fleet:
        fleet.command.send_signal(signal.SIGKILL)
        await fleet.command.wait()
        fleet.ready_file.unlink()
    await eventually(lambda: port_holder(port, socket.SOCK_DGRAM) is None, "the old relay is gone")
    async with local_fleet(tmp_path, file=file) as fleet, aiortc_caller() as caller:
        await fleet.call(caller)
        await caller.hears_its_tone()

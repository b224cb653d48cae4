"""`voicefleet doctor` finds what was broken, and says how to mend it."""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.facts import eventually_seen
from tests.support.local_fleet import RunningFleet, local_fleet
from tests.support.namespaces import namespaces
from tests.support.tiers import NETWORKS
from tests.support.voicefleet_command import run

SKEWED = """
import sys, time
real = time.time
time.time = lambda: real() + 60
sys.argv = sys.argv[1:]
from voicefleet.cli import main
sys.exit(main())
"""
"""The command on a machine whose clock is a minute fast."""


async def findings(fleet: RunningFleet, *more: str, before: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    code, output = await run("doctor", f"--ready-file={fleet.ready_file}", "--json", *more, before=before)
    document, _ = json.JSONDecoder().raw_decode(output)
    assert "Traceback" not in output
    bad = [each for each in document if each["state"] == "bad"]
    assert code == (1 if bad else 0)
    assert all(each["mend"] for each in bad)
    return {each["about"]: each for each in document}


async def test_a_fleet_in_good_health(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        found = await findings(fleet)
        assert {each["state"] for each in found.values()} == {"good"}, found
        assert "forwards to transceivers" in found["relay edge-relay-1"]["what"]
        code, text = await run("doctor", f"--ready-file={fleet.ready_file}")
        assert code == 0 and "session map: signaling reaches Redis" in text


async def test_a_redis_at_a_wrong_address(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with local_fleet(tmp_path) as fleet:
        url_file = Path(fleet.ready["keyFile"]).with_name("redis-url")
        url_file.write_text(f"redis://127.0.0.1:{port}/0")
        os.kill(fleet.ready["processes"]["session-map"], signal.SIGSTOP)  # so that they connect anew

        async def noticed() -> bool:
            return bool((await findings(fleet))["session map"]["state"] == "bad")

        await eventually_seen(noticed, lambda: "doctor says so")
        found = (await findings(fleet))["session map"]
        assert "signaling has no Redis (it cannot be connected to)" in found["what"] and "address" in found["mend"]


async def test_an_api_key_file_that_is_malformed(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        path = Path(fleet.ready["keyFile"]).parent.parent / "api-keys" / "shop"
        path.write_text("too short")

        async def noticed() -> bool:
            return bool((await findings(fleet))["api keys"]["state"] == "bad")

        await eventually_seen(noticed, lambda: "doctor says so")
        found = (await findings(fleet))["api keys"]
        assert "not an API key" in found["what"] and "api-keys" in found["mend"] and "too short" not in str(found)


async def test_a_clock_that_is_off_by_a_minute(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        found = await findings(fleet, before=(sys.executable, "-c", SKEWED))
        assert found["clock"]["state"] == "bad"
        assert "60 s ahead of signaling's" in found["clock"]["what"] and "chrony" in found["clock"]["mend"]


@pytest.mark.needs(NETWORKS)
async def test_a_relay_port_that_is_blocked_and_an_mtu_that_is_too_small(tmp_path: Path) -> None:
    with namespaces("fleet") as (inside,):
        inside.ip("link set lo up")
        async with local_fleet(tmp_path, inside) as fleet:
            assert {each["state"] for each in (await findings(fleet, before=inside.enter)).values()} == {"good"}
            inside.ip("link set lo mtu 1000")
            found = (await findings(fleet, before=inside.enter))["relay edge-relay-1"]
            assert found["state"] == "bad" and "the MTU of the way is too small" in found["what"]
            inside.ip("link set lo mtu 65536")
            port = fleet.ready["relays"][0].rpartition(":")[2]
            inside.run("nft", "add table inet doctor")
            inside.run("nft", "add chain inet doctor in { type filter hook input priority 0; }")
            inside.run("nft", f"add rule inet doctor in udp dport {port} drop")
            found = (await findings(fleet, before=inside.enter))["relay edge-relay-1"]
            assert found["state"] == "bad" and "does not answer" in found["what"] and "firewall" in found["mend"]


async def test_a_kernel_tier_that_is_impossible(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        nobody = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        found = (await findings(fleet, "--kernel", before=nobody))["kernel tier"]
        assert found["state"] == "bad" and "forward in userspace" in found["what"] and "CAP_BPF" in found["mend"]

"""`voicefleet up --lan`: a phone on the same network opens the page by https and calls through the laptop's address."""

import json
from pathlib import Path

import pytest

from tests.support.facts import DEADLINE, eventually, eventually_seen
from tests.support.local_fleet import local_fleet
from tests.support.namespaces import address, namespaces, wire
from tests.support.tiers import NETWORKS
from tests.support.voicefleet_command import run

LAPTOP = "192.168.77.2"


@pytest.mark.needs(NETWORKS)
async def test_a_phone_on_the_same_network_opens_the_page_and_calls(tmp_path: Path) -> None:
    with namespaces("laptop", "phone") as (laptop, phone):
        wire(laptop, "wifi0", phone, "wifi0")
        address(laptop, "wifi0", f"{LAPTOP}/24")
        address(phone, "wifi0", "192.168.77.3/24")
        async with local_fleet(tmp_path, laptop, options=["--lan"]) as fleet:
            assert fleet.base_url.startswith(f"https://{LAPTOP}:")
            assert [each.rpartition(":")[0] for each in fleet.ready["relays"]] == [LAPTOP]
            await eventually(
                lambda: sum(not {"█", "▄", "▀"}.isdisjoint(line) for line in fleet.output) > 10, "a code to point at"
            )
            page = fleet.ready["console"].partition("#")[0]
            assert "<title>" in phone.run("curl", "-sSf", "--cacert", fleet.ready["certificate"], page)
            load = ("load", "--calls=2", "--duration=1", "--max-loss=50", "--json")
            said = ""

            async def called() -> bool:
                nonlocal said
                code, said = await run(*load, f"--ready-file={fleet.ready_file}", before=phone.enter)
                return code == 0

            await eventually_seen(called, lambda: f"two calls through {LAPTOP}: {said}", 3 * DEADLINE)
            assert json.loads(said)["failed"] == 0


@pytest.mark.needs(NETWORKS)
async def test_of_several_addresses_one_has_to_be_chosen(tmp_path: Path) -> None:
    with namespaces("laptop", "other") as (laptop, other):
        for number in (1, 2):
            wire(laptop, f"wifi{number}", other, f"wifi{number}")
            address(laptop, f"wifi{number}", f"192.168.{number}.2/24")
        code, output = await run("up", "--lan", "--port=0", before=laptop.enter)
        assert code == 2 and "has several addresses: 192.168.1.2, 192.168.2.2; choose one with --lan-address" in output
        code, output = await run("up", "--lan-address=192.0.2.9", "--port=0", before=laptop.enter)
        assert code == 2 and "192.0.2.9 is no address of this machine; its addresses: 192.168.1.2" in output

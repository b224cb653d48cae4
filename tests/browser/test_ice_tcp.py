"""A real Chromium in a network that lets no UDP through."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.chromium import chromium_page, speech
from tests.support.local_fleet import local_fleet
from tests.support.namespaces import namespaces
from tests.support.tiers import NETWORKS, SPEECH

PATIENCE = 60_000
"""Milliseconds until something that has to happen should have, on a slow machine."""


@pytest.mark.needs(NETWORKS, SPEECH)
async def test_somebody_whose_network_blocks_udp_talks_over_tcp(tmp_path: Path) -> None:
    with namespaces("blocked") as (alone,):
        async with (
            local_fleet(tmp_path, alone) as fleet,
            chromium_page(speech(tmp_path / "speech.wav"), namespace=alone) as page,
        ):
            port = fleet.ready["relays"][0].rpartition(":")[2]
            alone.run("nft", "add table inet block")
            alone.run("nft", "add chain inet block in { type filter hook input priority 0; }")
            alone.run("nft", f"add rule inet block in udp dport {port} counter drop")
            await page.goto(fleet.ready["console"])
            await page.get_by_role("button", name="Talk").click()
            await expect(page.locator("[data-stage='first word back']")).to_be_visible(timeout=PATIENCE)
            await expect(page.get_by_role("status")).to_contain_text("You are in a call")
            assert " packets 0 " not in alone.run("nft", "list chain inet block in"), "it tried UDP"
            await page.get_by_role("button", name="Hang up").click()
            await expect(page.get_by_role("button", name="Talk")).to_be_visible(timeout=PATIENCE)

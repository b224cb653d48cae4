"""The console page in a real Chromium: a call through relay and transceiver, and the caller's own words back."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.chromium import chromium_page, speech
from tests.support.local_fleet import local_fleet
from tests.support.tiers import SPEECH

PATIENCE = 60_000
"""Milliseconds until something that has to happen should have, on a slow machine."""


@pytest.mark.needs(SPEECH)
async def test_somebody_talks_to_the_fleet_and_hears_it_back_through_the_relay(tmp_path: Path) -> None:
    problems: list[str] = []
    async with local_fleet(tmp_path) as fleet, chromium_page(speech(tmp_path / "speech.wav")) as page:
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        await page.goto(fleet.ready["console"])
        await page.get_by_role("button", name="Talk").click()
        await expect(page.locator("[data-stage='first word back']")).to_be_visible(timeout=PATIENCE)
        await expect(page.locator("[data-figure='Relay']")).to_contain_text(fleet.ready["relays"][0])
        await expect(page.get_by_role("status")).to_contain_text("You are in a call")
        stages = await page.locator("[data-stage]").evaluate_all("all => all.map(one => one.dataset.stage)")
        assert stages[:2] == ["microphone", "answer"] and set(stages[2:]) == {
            "connected",
            "data channel open",
            "first word back",
        }
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Talk")).to_be_visible(timeout=PATIENCE)
        assert problems == []

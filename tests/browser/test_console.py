"""The console page in a real Chromium: a call through relay and transceiver, and what the page shows of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.chromium import chromium_page, speech
from tests.support.local_fleet import local_fleet
from tests.support.npm_packages import accessibility_checker
from tests.support.tiers import NODE, SPEECH

PATIENCE = 60_000
"""Milliseconds until something that has to happen should have, on a slow machine."""
PICTURES = Path(__file__).parents[2] / "artifacts" / "console"
LOOKS = {"light": (False, 1280, 900), "dark": (True, 1280, 900), "phone": (False, 390, 844)}
"""How the page is looked at: dark, width, height."""


def watched(page: Page) -> list[str]:
    """What the page complains of from here on; that a fleet was full for a moment is no fault of it."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda line: problems.append(line.text) if line.type == "error" and "status of 503" not in line.text else None,
    )
    return problems


async def talk(page: Page, console: str) -> None:
    """Open the page and talk until the first word is heard back."""
    await page.goto(console)
    await page.get_by_role("button", name="Talk", exact=True).click()
    await expect(page.locator("[data-stage='first word back']")).to_be_visible(timeout=PATIENCE)


async def hang_up(page: Page) -> None:
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.get_by_role("button", name="Talk", exact=True)).to_be_visible(timeout=PATIENCE)


@pytest.mark.needs(SPEECH)
async def test_somebody_talks_to_the_fleet_and_hears_it_back_through_the_relay(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, chromium_page(speech(tmp_path / "speech.wav")) as page:
        problems = watched(page)
        await talk(page, fleet.ready["console"])
        await expect(page.get_by_role("status")).to_contain_text("You are in a call")
        stages = await page.locator("[data-stage]").evaluate_all("all => all.map(one => one.dataset.stage)")
        assert stages[:2] == ["microphone", "answer"] and set(stages[2:]) == {
            "connected",
            "data channel open",
            "first word back",
        }
        relay = page.locator("[data-stop='Relay']")
        await expect(relay).to_contain_text(fleet.ready["relays"][0], timeout=PATIENCE)
        names = re.compile("|".join(map(re.escape, fleet.ready["processes"])))
        await expect(relay).to_contain_text(names, timeout=PATIENCE)
        await expect(page.locator("[data-stop='Transceiver']")).to_contain_text("shard")
        for chart in ("Round trip", "Lost", "Jitter", "Quality (MOS)"):
            await expect(page.locator(f"[data-figure='{chart}'] b")).to_contain_text(
                re.compile(r"\d"), timeout=PATIENCE
            )
        await expect(page.locator("#summary")).to_contain_text(re.compile(r"[1-9]\d* of \d+ calls"), timeout=PATIENCE)
        await hang_up(page)
        assert problems == []


@pytest.mark.needs(SPEECH)
async def test_turns_are_shown_against_the_budget_and_end_as_the_live_call_is_told(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, chromium_page(speech(tmp_path / "speech.wav")) as page:
        problems = watched(page)
        await talk(page, fleet.ready["console"])
        await page.get_by_label("Silence that ends a turn").fill("300")
        await page.get_by_text("Events").click()
        sent = page.locator("[data-event='session.update']").first
        await sent.locator("summary").click()
        update: dict[str, Any] = json.loads(await sent.locator("pre").inner_text())
        detection = update["session"]["audio"]["input"]["turn_detection"]
        assert detection == {"type": "server_vad", "silence_duration_ms": 300}
        await expect(page.locator("[data-turn]").first).to_contain_text(re.compile(r"\d+ ms"), timeout=PATIENCE)
        await page.get_by_label("Turns end").select_option("when I say so")
        await expect(page.get_by_role("button", name="My turn is over")).to_be_visible()
        await expect(page.get_by_label("Silence that ends a turn")).to_be_disabled()
        assert problems == []


@pytest.mark.needs(SPEECH)
async def test_an_answer_is_interrupted_by_the_button(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, chromium_page(speech(tmp_path / "speech.wav")) as page:
        await talk(page, fleet.ready["console"])
        updated = page.locator("[data-event='session.updated']")
        before = await updated.count()
        await page.get_by_label("Turns end").select_option("when I say so")  # so that nothing else interrupts
        await expect(updated).to_have_count(before + 1, timeout=PATIENCE)
        await page.wait_for_timeout(8000)  # of words, so that the answer is as long
        speaks = page.locator("#transcript .note", has_text="the agent speaks")
        before = await speaks.count()
        await page.get_by_role("button", name="Mute").click()
        await page.get_by_role("button", name="My turn is over").click()
        await expect(speaks).to_have_count(before + 1, timeout=PATIENCE)
        await page.get_by_role("button", name="Interrupt").click()
        last = page.locator("#transcript .note").last
        await expect(last).to_have_text("the agent was interrupted", timeout=PATIENCE)
        await hang_up(page)


@pytest.mark.needs(SPEECH, NODE)
@pytest.mark.parametrize("look", LOOKS)
async def test_the_page_is_for_everybody_in_a_call_and_before_it(tmp_path: Path, look: str) -> None:
    dark, width, height = LOOKS[look]
    checker = accessibility_checker().read_text()
    microphone = speech(tmp_path / "speech.wav")
    async with local_fleet(tmp_path) as fleet, chromium_page(microphone, dark=dark) as page:
        await page.set_viewport_size({"width": width, "height": height})

        async def faults() -> list[str]:
            found = await page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']})")
            return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]]

        await page.goto(fleet.ready["console"])
        await expect(page.locator("[data-part]").first).to_be_visible(timeout=PATIENCE)
        await page.evaluate(checker)
        assert await faults() == []
        await page.get_by_role("button", name="Talk", exact=True).press("Enter")
        await expect(page.locator("[data-stage='first word back']")).to_be_visible(timeout=PATIENCE)
        await expect(page.locator("[data-figure='Quality (MOS)'] b")).to_contain_text(
            re.compile(r"\d"), timeout=PATIENCE
        )
        assert await faults() == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / f"{look}.png", full_page=True)
        await hang_up(page)


@pytest.mark.needs(SPEECH)
async def test_a_call_goes_on_while_its_relay_is_killed_its_address_changes_and_the_session_map_is_emptied(
    tmp_path: Path,
) -> None:
    async with local_fleet(tmp_path) as fleet, chromium_page(speech(tmp_path / "speech.wav")) as page:
        await talk(page, fleet.ready["console"])

        async def goes_on(button: str, said: str) -> None:
            await page.get_by_role("button", name=button, exact=True).click()
            gap = page.locator("#gap")
            await expect(gap).to_contain_text(re.compile(f"{said}.*longest silence since: \\d+ ms"), timeout=PATIENCE)
            await expect(page.get_by_role("button", name="Hang up")).to_be_visible()
            await page.evaluate("window.before = undefined")
            await page.wait_for_function(
                "() => { const now = Number(document.querySelector('#received').textContent);"
                " window.before ??= now; return now > window.before + 50 }",
                timeout=PATIENCE,
            )

        await goes_on("Flush the session map", "session-map was flushed")
        await goes_on("Change my address", "Your address changed")
        await goes_on("Kill this call's relay", "was killed")
        await expect(page.get_by_role("status")).to_contain_text("You are in a call", timeout=PATIENCE)
        await hang_up(page)


@pytest.mark.needs(SPEECH)
async def test_a_drained_transceiver_keeps_its_call_while_another_takes_its_place(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet, chromium_page(speech(tmp_path / "speech.wav")) as page:
        await talk(page, fleet.ready["console"])
        drain = page.get_by_role("button", name=re.compile("^Drain "))
        await expect(drain).to_have_count(1, timeout=PATIENCE)
        await drain.click()
        await expect(page.locator("[data-part]").get_by_text("draining")).to_be_visible(timeout=PATIENCE)
        await expect(drain).to_have_count(1, timeout=PATIENCE)  # of the one that was started in its place
        await expect(page.get_by_role("button", name="Hang up")).to_be_visible()
        await hang_up(page)

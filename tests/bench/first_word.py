"""From `git clone` to hearing oneself: what somebody waits for who tries it for the first time.

On a Debian that has Python, git and certificates, and nothing else: clone, `scripts/up`, open the page that it prints
in a Chromium (of the machine around it: a browser is there), press Talk, speak. Then once more with what pip has kept,
and once more where the environment is made. A quick run measures only the last, in this checkout.

The clone comes from a folder: what a network adds to it is not measured, and what the packages' index adds is.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from playwright.async_api import Page, expect

from tests.bench.report import Report, Row
from tests.support.chromium import chromium_page, speech
from tests.support.fresh_root import fresh_root

TITLE = "First word: from git clone on a fresh Debian to hearing oneself in the page"
PROJECT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("python3", "python3-venv", "git", "ca-certificates")
ORIGIN: Final = "srv/voicefleet.git"
CLONE: Final = f"rm -rf voicefleet; git clone --quiet file:///{ORIGIN} voicefleet; echo cloned; cd voicefleet; "
UP: Final = "exec scripts/up --port 0"
ANNOUNCED: Final = "Talk to it: "
PATIENCE: Final = 60_000
"""Milliseconds for each thing that the page should show."""


class Waited(NamedTuple):
    """Seconds since the beginning."""

    cloned: float
    ready: float
    """`scripts/up` has printed the page's address."""
    page: float
    """The page is there, and knows its fleet."""
    first_word: float


class NotStartedError(Exception):
    """The fleet did not become ready; says what it printed."""


async def waited(page: Page, start: Callable[[], subprocess.Popen[str]]) -> Waited:
    """Start it, open what it prints, talk until the first word is heard back, and end it."""
    began = time.monotonic()
    process = start()
    try:
        said: list[str] = []
        cloned = 0.0
        while not (said and ANNOUNCED in said[-1]):
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            if not line:
                raise NotStartedError("".join(said))
            said.append(line)
            cloned = cloned or (time.monotonic() - began if line == "cloned\n" else 0.0)
        ready = time.monotonic() - began
        await page.goto(said[-1].partition(ANNOUNCED)[2].split()[0])
        await expect(page.locator("[data-part]").first).to_be_visible(timeout=PATIENCE)
        opened = time.monotonic() - began
        await page.get_by_role("button", name="Talk", exact=True).click()
        await expect(page.locator("[data-stage='first word back']")).to_be_visible(timeout=PATIENCE)
        return Waited(cloned, ready, opened, time.monotonic() - began)
    finally:
        process.kill()
        process.wait()


async def measure(quick: bool) -> dict[str, Waited]:
    """What is waited for, by what was there before."""
    with tempfile.TemporaryDirectory() as folder:
        async with chromium_page(speech(Path(folder, "speech.wav"))) as page:
            if quick:
                return {"environment made": await waited(page, _here)}
            with fresh_root(_cache(), PACKAGES) as root:
                _run("git", "clone", "--quiet", "--bare", str(PROJECT), str(root.files / ORIGIN))
                return {
                    "caches empty": await waited(page, lambda: root.start(CLONE + UP)),
                    "pip's cache warm": await waited(page, lambda: root.start(CLONE + UP)),
                    "environment made": await waited(page, lambda: root.start("cd voicefleet; " + UP)),
                }


def run(quick: bool) -> Report:
    """A quick run has neither clone nor installation."""
    if missing := [each for each in ("chromium", "espeak-ng") if shutil.which(each) is None]:
        raise SystemExit(f"first_word needs {' and '.join(missing)}: as root, apt-get install {' '.join(missing)}")
    if not quick and os.geteuid() != 0:
        raise SystemExit("first_word makes a fresh Debian, which takes root; without: scripts/bench first_word --quick")
    rows = [
        Row(what, stage, seconds, "s")
        for what, stages in asyncio.run(measure(quick)).items()
        for stage, seconds in stages._asdict().items()
        if seconds
    ]
    return Report("first_word", rows)


def _here() -> subprocess.Popen[str]:
    """The fleet of this checkout; its processes end with the one that is killed."""
    command = [str(PROJECT / "scripts" / "up"), "--port", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicefleet" / "image"


def _run(*command: str) -> None:
    subprocess.run(command, check=True)

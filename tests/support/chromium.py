"""A real Chromium with a microphone that plays a file, driven by playwright."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.support.namespaces import Namespace

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
)


def speech(file: Path, text: str = "The quick brown fox jumps over the lazy dog, again and again and again.") -> Path:
    """A file in which somebody says that."""
    subprocess.run(["espeak-ng", "-w", str(file), text], check=True)
    return file


@asynccontextmanager
async def chromium_page(
    microphone: Path, dark: bool = False, namespace: Namespace | None = None
) -> AsyncIterator[Page]:
    """An empty page whose microphone plays the file, over and over."""
    executable = shutil.which("chromium")
    assert executable is not None
    if namespace is not None:
        inside = microphone.with_name(f"chromium-{namespace.name}")
        inside.write_text(f'#!/bin/sh\nexec {" ".join(namespace.enter)} {executable} "$@"\n')
        inside.chmod(0o700)
        executable = str(inside)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=[*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        )
        try:
            context = await browser.new_context(color_scheme="dark" if dark else "light")
            yield await context.new_page()
        finally:
            await browser.close()

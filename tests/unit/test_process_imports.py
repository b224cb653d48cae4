"""What a process imports is what its start takes: a laptop starts five of them before the first word."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("program", "needless"),
    [
        ("cli.command", {"aiohttp", "kubernetes", "pydantic", "yaml", "asyncio"}),
        ("cli.local.nursery_process", {"aiohttp", "pydantic", "typer", "asyncio"}),
        ("cli.local.up", {"kubernetes", "maxminddb", "numpy", "aiortc"}),
        ("services.transceiver.pod", {"aiortc", "av", "numpy", "voicefleet.services.transceiver.worker"}),
        ("services.relay.packet_process", {"redis", "aiohttp"}),
        ("services.signaling.__main__", {"numpy", "aiortc", "voicefleet.services.transceiver"}),
    ],
)
def test_a_process_imports_nothing_that_another_one_runs(program: str, needless: set[str]) -> None:
    code = f"import sys, voicefleet.{program}; print(*sys.modules)"
    imported = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert f"voicefleet.{program}" in imported
    assert not imported & (needless | {"rich", "opentelemetry", "requests"})

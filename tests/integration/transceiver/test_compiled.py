"""The packet path as machine code: what the tests say of the files holds for what mypyc makes of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compiled import compiled_package
from tests.support.tiers import C_COMPILER

PROJECT = Path(__file__).parents[3]
TOLD = ("tests/unit/media", "tests/unit/transceiver", "tests/unit/wire/test_rtp.py", "tests/unit/wire/test_hop.py")
CALLS = ("tests/integration/transceiver/test_echo_session.py", "tests/integration/transceiver/test_hostile_input.py")


@pytest.mark.needs(C_COMPILER)
def test_calls_are_served_by_a_compiled_packet_path_as_by_an_interpreted_one() -> None:
    environment = {**os.environ, "PYTHONPATH": str(compiled_package())}

    def run(*arguments: str) -> str:
        command = (sys.executable, *arguments)
        ran = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
        return ran.stdout

    assert run("-c", "from voicefleet.core.media import stream; print(stream.__file__)").strip().endswith(".so")
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TOLD, *CALLS)

"""The packet path as machine code: what the tests say of the files holds for what mypyc makes of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.compiled import PROJECT, compiled_package, compiling
from tests.support.tiers import C_COMPILER

pytestmark = [pytest.mark.needs(C_COMPILER), pytest.mark.timeout(1200)]
TOLD = ("tests/unit/media", "tests/unit/transceiver", "tests/unit/wire", "tests/property/media")
CALLS = (
    "tests/integration/transceiver/test_echo_session.py",
    "tests/integration/transceiver/test_hostile_input.py",
    "tests/integration/media/test_pcm_port.py",
)
REPLACES_A_METHOD = "test_a_caller_that_never_retransmits_is_not_waited_for_for_ever"
"""Of a class, which machine code does not look up."""
WHERE = """
import importlib, sys
for name in sys.argv[1:]:
    print(importlib.import_module(name).__file__)
from voicefleet.observability.metrics import exposition, registry
print(exposition(registry("transceiver"), "")[0].decode())
"""
Run = Callable[..., str]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with compiled_package(optimise=0) as package:

        def python(*arguments: str) -> str:
            ran = subprocess.run(
                (sys.executable, *arguments),
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": str(package)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
            return ran.stdout

        yield python


def test_machine_code_is_what_runs_and_a_worker_says_so(run: Run) -> None:
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in compiling().modules()]
    files = run("-c", WHERE, *names)
    assert all(Path(line).suffix == ".so" for line in files.splitlines()[: len(names)]), files
    assert 'packet_path="compiled"' in files


def test_calls_are_served_by_a_compiled_packet_path_as_by_an_interpreted_one(run: Run, tmp_path: Path) -> None:
    run(
        "-m",
        "pytest",
        "-q",
        "-o",
        f"cache_dir={tmp_path}",
        "-p",
        "no:xdist",
        "-k",
        f"not {REPLACES_A_METHOD}",
        *TOLD,
        *CALLS,
    )

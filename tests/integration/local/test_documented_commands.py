"""Every shell command in README and documentation is run here, or it is said by which test it is, or why by none."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.facts import DEADLINE, eventually_seen
from tests.support.local_fleet import RunningFleet, local_fleet
from tests.support.voicefleet_command import run

PROJECT = Path(__file__).parents[3]
PAGES = (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BY_OTHERS = {
    "scripts/up": "tests/bench/first_word.py",
    "scripts/test": "tests/integration/scripts/test_environment.py",
    "scripts/check": "tests/integration/scripts/test_check.py",
    "scripts/bench": "tests/integration/scripts/test_bench.py",
    "scripts/image": "tests/cluster/pods/conftest.py",
    "helm install": "tests/cluster/pods/conftest.py",
    "python3 -m venv /opt/agent": "tests/support/pipecat_environment.py",
    "/opt/agent/bin/pip install": "tests/support/pipecat_environment.py",
    "voicefleet up --agent docs/examples/agents/pipecat_parrot.py:Parrot": "tests/integration/agents/test_pipecat.py",
    "kubectl apply": "tests/cluster/pods/conftest.py",
    "kubectl wait": "tests/cluster/pods/conftest.py",
    "kubectl annotate": "tests/cluster/test_reconcile.py",
    "kubectl voicefleet": "tests/cluster/pods/test_command_line.py",
}
"""By how a command begins: the file whose tests run it."""
BY_NOBODY = {
    "kind": "takes a docker engine; docs/quickstart/kind.md says so",
    "docker": "takes a docker engine; docs/quickstart/kind.md says so",
    "curl -fsSL": "fetches from elsewhere",
}


def commands(page: Path) -> Iterator[str]:
    """The commands of a page, each in one line, without what is said about them."""
    for block in BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            command = " ".join(line.partition(" #")[0].split())
            if command:
                yield command


DOCUMENTED = sorted({(command, str(page.relative_to(PROJECT))) for page in PAGES for command in commands(page)})


def beginning(command: str, known: dict[str, str]) -> str | None:
    return next((known[each] for each in known if command == each or command.startswith(each + " ")), None)


async def _local(fleet: RunningFleet, command: str) -> None:
    """Run a command about a fleet on this machine, where a reader would: in the clone."""
    program, *arguments = shlex.split(command)
    assert program == "voicefleet", f"no test runs `{command}`: run it in {Path(__file__).name}, or say who does"
    if arguments[0] == "load":
        arguments.append("--max-loss=100")  # how much gets lost on a machine with other work to do is no matter here
    if arguments[0] not in ("check", "up"):
        arguments.append(f"--ready-file={fleet.ready_file}")
    said = ""

    async def done() -> bool:
        nonlocal said
        code, said = await run(*arguments)
        return code == 0

    # A fleet on a machine with other work to do may refuse calls for a moment.
    await eventually_seen(done, lambda: f"`{command}`: {said}", 3 * DEADLINE if arguments[0] == "load" else DEADLINE)


async def test_each_command_of_the_documentation_does_what_it_is_there_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    for command, page in DOCUMENTED:
        if other := beginning(command, BY_OTHERS):
            assert (PROJECT / other).is_file(), f"{page}: `{command}` is said to be run by {other}"
    mine = [each for each, _ in DOCUMENTED if not beginning(each, BY_OTHERS) and not beginning(each, BY_NOBODY)]
    starts = [each for each in mine if each.startswith("voicefleet up")]
    async with local_fleet(tmp_path) as fleet:
        for command in mine:
            if command.startswith("curl "):
                _asked(fleet, command)
            elif command not in starts:
                await _local(fleet, command)
    for number, command in enumerate(starts):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with local_fleet(folder, options=shlex.split(command)[2:]) as fleet:
            assert fleet.ready["relays"], command
    assert len(mine) >= 8 and starts


def _asked(fleet: RunningFleet, command: str) -> None:
    """The same request to a fleet that is here."""
    there = command.replace("https://voice.example.com/v1", fleet.base_url)
    assert there != command, f"`{command}` is not for https://voice.example.com"
    ran = subprocess.run(
        ["bash", "-c", there.replace("curl ", "curl -sS --fail-with-body ", 1)],
        env=os.environ | {"API_KEY": fleet.ready["apiKey"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"`{command}`: {ran.stdout}{ran.stderr}"

"""The process that a local fleet's services come from: it loads them while nobody knows yet what for, and forks."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.support.facts import eventually
from voicefleet.cli.local.child import Child
from voicefleet.cli.local.nursery import Nursery, nursery

SERVICE = """
import os
def main():
    print('serving', os.environ['WHAT'], open('/proc/self/comm').read().strip(), len(os.listdir('/proc/self/task')))
    raise SystemExit(int(os.environ.get('STATUS', 0)))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "anything").mkdir()
    (tmp_path / "anything" / "__init__.py").touch()
    (tmp_path / "anything" / "__main__.py").write_text(SERVICE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "anything"


async def ended(loaded: Nursery, pid: int | None) -> int:
    assert pid is not None
    return await asyncio.wait_for(Child(pid, lambda: loaded.bury(pid)).wait(), 60)


async def test_it_forks_the_service_with_its_environment_its_log_and_its_name(module: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with nursery([module]) as loaded:
        pid = await loaded.start("edge-relay-1", module, {"WHAT": "calls", "STATUS": "7"}, log)
        assert await ended(loaded, pid) == 7
        assert log.read_text() == "serving calls edge-relay-1 1\n"
        assert pid is not None and await loaded.bury(pid) == 7, "asked once more"


async def test_services_that_are_started_at_once_come_all_from_it(module: str, tmp_path: Path) -> None:
    with nursery([module]) as loaded:
        started = await asyncio.gather(
            *(loaded.start("x", module, {"WHAT": str(n)}, tmp_path / "log") for n in range(5))
        )
        assert [await ended(loaded, pid) for pid in started] == [0] * 5
    assert len((tmp_path / "log").read_text().splitlines()) == 5


async def test_what_is_wrong_with_a_service_is_told_in_its_log(module: str, tmp_path: Path) -> None:
    (tmp_path / "anything" / "__main__.py").write_text("import nothing_of_this_name")
    with nursery([module]) as loaded:
        assert await ended(loaded, await loaded.start("x", module, {}, tmp_path / "log")) == 1
    assert "No module named 'nothing_of_this_name'" in (tmp_path / "log").read_text()


async def test_one_that_is_given_up_does_not_confuse_the_next(module: str, tmp_path: Path) -> None:
    with nursery([module]) as loaded:
        assert await ended(loaded, await loaded.start("x", module, {"WHAT": "0"}, tmp_path / "log")) == 0
        given_up = asyncio.ensure_future(loaded.start("x", module, {"WHAT": "1", "STATUS": "1"}, tmp_path / "log"))
        await asyncio.sleep(0)  # it has asked
        given_up.cancel()
        pid = await loaded.start("x", module, {"WHAT": "2", "STATUS": "2"}, tmp_path / "log")
        assert await ended(loaded, pid) == 2


async def test_what_it_forked_ends_with_it_and_there_is_nobody_to_start_more(module: str, tmp_path: Path) -> None:
    (tmp_path / "anything" / "__main__.py").write_text("import time\ndef main(): time.sleep(1000)")
    with nursery([module]) as loaded:
        pid = await loaded.start("x", module, {}, tmp_path / "log")
        assert pid is not None
        above = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(above, signal.SIGKILL)
        assert await ended(loaded, pid) == -signal.SIGKILL
        assert await loaded.start("x", module, {}, tmp_path / "log") is None
    await eventually(lambda: not Path(f"/proc/{pid}").exists(), "the forked process is gone")

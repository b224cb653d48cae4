"""Interpreters that load while nobody knows yet what for: they become what they are told, and are never left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from voicefleet.cli.local.early import Early, early

SERVICE = "import os\ndef main():\n    print('serving', os.environ['WHAT'])\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "anything").mkdir()
    (tmp_path / "anything" / "__init__.py").touch()
    (tmp_path / "anything" / "__main__.py").write_text(SERVICE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "anything"


def test_one_becomes_the_service_with_its_environment_and_its_log(module: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with early([module]) as loading:
        process = loading.become(module, {"WHAT": "calls"}, log)
        assert process is not None and process.wait(60) == 0
        assert log.read_text() == "serving calls\n"
        assert loading.become(module, {}, log) is None, "there was one"


def test_what_is_wrong_with_a_service_is_told_in_its_log(module: str, tmp_path: Path) -> None:
    (tmp_path / "anything" / "__main__.py").write_text("import nothing_of_this_name")
    with early([module]) as loading:
        process = loading.become(module, {}, tmp_path / "log")
        assert process is not None and process.wait(60) == 1
    assert "No module named 'nothing_of_this_name'" in (tmp_path / "log").read_text()


def test_those_that_nobody_needs_end_with_who_started_them(module: str) -> None:
    with early([module]) as loading:
        process = loading._waiting[module]
    assert process.returncode is not None


def test_one_that_died_while_it_waited_is_not_missed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.PIPE)
    dead.wait(60)
    assert Early({"anything": dead}).become("anything", {"WHAT": "x" * 100_000}, tmp_path / "log") is None

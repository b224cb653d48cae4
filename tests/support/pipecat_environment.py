"""An environment with the real pipecat-ai, in the versions of requirements-pipecat.lock: made once, kept in .cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements-pipecat.lock"
INSTALLING: Final = 1200.0
"""Seconds for pip: it fetches 200 MB."""


def pipecat_python() -> Path:
    """Its interpreter; the test is skipped, in words, where it can't be made, and fails under `scripts/test --all`."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = ROOT / ".cache" / "pipecat" / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # tests run in parallel
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            problem = _make(folder)
            if problem is not None:
                reason = f"needs Pipecat: pip could not install {LOCK.name}: {problem}"
                if os.environ.get("VF_TEST_ALL"):
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)
            (folder / "made").touch()
    return folder / "bin" / "python"


def _make(folder: Path) -> str | None:
    # Its data for sentences, which it would look for on the internet at each import; no test has sentences.
    (folder / "nltk_data" / "tokenizers" / "punkt_tab").mkdir(parents=True)
    commands = (
        (sys.executable, "-m", "venv", str(folder)),
        (folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", LOCK),
    )
    try:
        for command in commands:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALLING)
            if ran.returncode != 0:
                return (ran.stderr.strip() or f"status {ran.returncode}").rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        return f"not done after {INSTALLING:.0f} s"
    return None

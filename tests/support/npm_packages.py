"""JavaScript packages in the exact versions that a folder of tests/clients names: installed once, kept in .cache."""

import hashlib
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests" / "clients"
INSTALLING = 600.0
"""Seconds for npm on a slow machine, with the packages to fetch."""
OPTIONS = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
"""No lock file, since it would hold a registry's addresses; package.json names exact versions."""


def official_clients() -> Path:
    """The official JavaScript clients, and programs of ours that use them."""
    return _installed("openai")


def accessibility_checker() -> Path:
    """axe-core's script for pages."""
    return _installed("axe") / "node_modules" / "axe-core" / "axe.min.js"


def _installed(client: str) -> Path:
    """A copy of tests/clients/CLIENT with node_modules in it."""
    sources = CLIENTS / client
    digest = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = ROOT / ".cache" / "npm" / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # tests run in parallel
        if not folder.exists():
            making = folder.with_suffix(".new")
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(sources, making)
            command = ("npm", "install", *OPTIONS)
            ran = subprocess.run(command, cwd=making, capture_output=True, text=True, check=False, timeout=INSTALLING)
            assert ran.returncode == 0, f"npm install: {ran.stderr}"
            making.rename(folder)
    return folder

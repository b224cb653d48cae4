"""Prometheus and promtool as Debian builds them: the machine's own, or taken out of the package into the user's cache.

The package is not installed: it would start a server.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path


def promtool() -> Path:
    """The program that checks rules."""
    return _program("promtool")


def prometheus() -> Path:
    """The server."""
    return _program("prometheus")


def _program(name: str) -> Path:
    """Fetched now if nobody has; several who ask at once fetch once."""
    if installed := shutil.which(name):
        return Path(installed)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "voicefleet" / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "usr" / "bin" / name
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _fetch(folder)
    return program


def _fetch(folder: Path) -> None:
    download = ("apt-get", "download", "prometheus")
    if subprocess.run(download, cwd=folder, capture_output=True, check=False).returncode != 0:
        subprocess.run(("apt-get", "update"), capture_output=True, check=False)  # a machine whose lists were cleaned
        again = subprocess.run(download, cwd=folder, capture_output=True, text=True, check=False)
        assert again.returncode == 0, f"no Prometheus here, and apt-get cannot fetch it: {again.stderr[-1000:]}"
    for package in folder.glob("prometheus_*.deb"):
        subprocess.run(("dpkg-deb", "--extract", package, folder), check=True)
        package.unlink()

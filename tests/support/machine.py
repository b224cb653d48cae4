"""What this machine has of the parts that tests use, and how the rest gets installed."""

import ctypes
import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.tiers import Part

_SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")


@functools.cache
def lacks(part: Part) -> str | None:
    """Why `part` cannot be used here, in a few words; nothing if it can."""
    if part.or_module is not None:
        if importlib.util.find_spec(part.or_module) is not None:
            return None
        if not part.commands:
            return f"no module {part.or_module} ({part.purpose})"
    missing = _missing(part)
    if missing:
        return f"no {', '.join(missing)}"
    if part.namespaces and not _may_make_namespaces():
        return "may not make network namespaces"
    return None


def remedy(part: Part) -> str:
    """What a user does to make `part` usable here."""
    if not part.packages:
        return part.purpose
    if os.geteuid() != 0:
        return "run as root: scripts/test --all"
    return "scripts/test --all" if _missing(part) else "run where network namespaces are allowed"


def install(parts: Iterable[Part]) -> None:
    """Install, as root by apt, what is missing of `parts`; no service that comes along is started."""
    packages = sorted({package for part in parts if lacks(part) for package in part.packages})
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {' '.join(packages)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
    with _services_stay_down():
        subprocess.run((*apt, "update"), env=environment, stdout=subprocess.DEVNULL, check=False)
        # One by one: a package that this system does not have must not cost the others.
        for package in packages:
            command = (*apt, "install", "-y", "--no-install-recommends", package)
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                print(f"apt-get could not install {package}: {ran.stderr.strip().rpartition(chr(10))[2]}", flush=True)
    lacks.cache_clear()


def _missing(part: Part) -> list[str]:
    commands = [command for command in part.commands if shutil.which(command, path=_search_path()) is None]
    return commands + [library for library in part.libraries if not _loads(library)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _search_path() -> str:
    """PATH with folders that a user's own may leave out: those of the administrator's commands, and Go's."""
    return os.pathsep.join(
        (os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/go/bin")
    )


@functools.cache
def _may_make_namespaces() -> bool:
    return subprocess.run(("unshare", "--net", "true"), capture_output=True, check=False).returncode == 0


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian asks this file before it starts a service that was just installed."""
    if _SERVICE_POLICY.exists():
        yield
        return
    _SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n")
    _SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _SERVICE_POLICY.unlink(missing_ok=True)

"""A system on which nobody has installed anything: Debian as debootstrap makes it, below a folder for the changes.

What runs in it shares this machine's network and nothing else: it has its own files, processes and home.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.oci.layers import Layers

HOST_FILES: Final = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches what is not on it."""
ENTER: Final = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL")


@dataclass(frozen=True, slots=True)
class FreshRoot:
    """A root file system; `files` is what was written in it."""

    files: Path
    _system: Path

    def start(self, script: str) -> subprocess.Popen[str]:
        """Run a shell script as its root, from its home, and read what it says; to kill it ends all that it began."""
        work, root = (self.files.with_name(name) for name in ("work", "root"))
        lines = [
            f"mount -t overlay overlay -o lowerdir={self._system},upperdir={self.files},workdir={work} {root}",
            f"mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev",
            f"exec chroot {root} sh -ec {shlex.quote('cd; ' + script)}",
        ]
        return subprocess.Popen(
            [*ENTER, "sh", "-ec", "\n".join(lines)],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def fresh_root(cache: Path, packages: tuple[str, ...]) -> Iterator[FreshRoot]:
    """One with these packages beside Debian's smallest system; as root."""
    layers = Layers(cache)
    with layers.alone():
        system = layers.system(packages)
    with tempfile.TemporaryDirectory(prefix="vf-fresh-", ignore_cleanup_errors=True) as folder:
        files = Path(folder, "files")
        for each in (files, Path(folder, "work"), Path(folder, "root")):
            each.mkdir()
        for name in HOST_FILES:
            if Path("/", name).exists():
                (files / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path("/", name), files / name)
        yield FreshRoot(files, system)


def _environment() -> dict[str, str]:
    """That of somebody who has just logged in, and how this machine's pip reaches its index."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("PIP_") or "proxy" in key.lower()}
    for ours in ("PIP_FIND_LINKS", "PIP_CACHE_DIR"):  # folders of this machine
        kept.pop(ours, None)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return kept | {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8"}

"""Layers of an image, each kept under the digest of what it was made from.

The system is debootstrap's; what comes on top is what a script changed in it, seen by an overlay. Equal inputs give
equal files: no time and no name of the machine goes in.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.oci.archive import Layer

SUITE: Final = "bookworm"
MIRROR: Final = os.environ.get("VF_DEBIAN_MIRROR", "")
"""Where packages come from; unset, where debootstrap gets them by itself."""
WHEN: Final = 1767225600
"""The time of every file: the beginning of 2026."""
# Nobody reads them in a container.
EMPTIED: Final = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
)
_HOST_FILES: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")


class NotMade(Exception):
    """The image could not be made; says why."""


class Layers:
    """The cache of layers, and the root file system that they stand on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Several who make images at once do so one after the other, and find what the first has made."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def forget(self, days: float = 3.0) -> None:
        """Remove what nobody has used for so long."""
        for path in self._folder.iterdir():
            if path.name != "lock" and time.time() - path.stat().st_mtime > days * 86400.0:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def cached(self, inputs: Sequence[str], make: Callable[[Path], None]) -> Layer:
        """The layer that was made of these inputs, or is now: `make` writes the tar."""
        key = self._folder / f"{_digest(inputs)}.digest"
        if key.exists():
            digest = key.read_text()
            for used in (key, self._folder / digest):
                used.touch()
            return Layer(self._folder / digest, digest)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as made:
            path = Path(made.name)
        try:
            make(path)
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            path.rename(self._folder / digest)
        finally:
            path.unlink(missing_ok=True)
        key.write_text(digest)
        return Layer(self._folder / digest, digest)

    def system(self, packages: Sequence[str]) -> Path:
        """Debian with these packages, as a folder."""
        root = self._folder / f"system-{_digest([SUITE, *packages, *EMPTIED])}"
        if root.exists():
            root.touch()
            return root
        if shutil.which("debootstrap") is None:
            raise NotMade("there is no debootstrap: as root, apt-get install debootstrap")
        building = root.with_suffix(".new")
        shutil.rmtree(building, ignore_errors=True)
        mirror = (MIRROR,) if MIRROR else ()
        _run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(building), *mirror)
        for name in EMPTIED:
            shutil.rmtree(building / name, ignore_errors=True)
            (building / name).mkdir(parents=True)
        for name in ("etc/resolv.conf", "etc/hostname", "etc/hosts"):
            (building / name).write_text("")
        building.rename(root)
        return root

    def changes(self, lowers: Sequence[Path], script: str, mounts: Mapping[Path, str], upper: Path) -> None:
        """Run a script in the system with these folders over it; what it changes is in `upper` then."""
        work, root = upper.with_name(f"{upper.name}.work"), upper.with_name(f"{upper.name}.root")
        for each in (upper, work, root):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir(parents=True)
        lower = ":".join(str(each) for each in reversed(lowers))
        lines = [f"mount -t overlay overlay -o lowerdir={lower},upperdir={upper},workdir={work} {root}"]
        lines += [f"mount -t tmpfs tmpfs {root}/tmp", f"mount -t proc proc {root}/proc"]
        lines += [f"mount --rbind /dev {root}/dev"]
        for name in _HOST_FILES:
            if Path(name).exists():
                inside = f"/tmp{name}"
                lines.append(f"mkdir -p {root}{os.path.dirname(inside)}; cp -L {name} {root}{inside}")
        for source, target in mounts.items():
            lines.append(f"mkdir -p {root}{target}; mount --bind {shlex.quote(str(source))} {root}{target}")
        for name in ("resolv.conf", "hosts"):
            lines.append(f"[ ! -e {root}/tmp/etc/{name} ] || mount --bind {root}/tmp/etc/{name} {root}/etc/{name}")
        lines.append(f"exec chroot {root} sh -ec {shlex.quote(script)}")
        try:
            _run("unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines), env=_environment())
        finally:
            for each in (work, root):
                shutil.rmtree(each, ignore_errors=True)


def tar(folder: Path, target: Path) -> None:
    """A folder as a layer: names in order, one time, owners by number."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:

        def add(path: Path, name: str) -> None:
            found = path.lstat()
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:  # how an overlay says that a file is gone
                archive.addfile(tarfile.TarInfo(str(Path(name).parent / f".wh.{path.name}")))
                return
            entry = archive.gettarinfo(path, arcname=name)
            if entry is None:  # a socket
                return
            entry.mtime, entry.uname, entry.gname = WHEN, "", ""
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
                return
            archive.addfile(entry)
            if entry.isdir():
                for each in sorted(path.iterdir()):
                    add(each, f"{name}/{each.name}")

        for each in sorted(folder.iterdir()):
            add(each, each.name)


def _environment() -> dict[str, str]:
    """What pip has to know of this machine: indices, proxies, certificates."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("PIP_") or "proxy" in key.lower()}
    kept.pop("PIP_FIND_LINKS", None)  # a folder of this machine's, and the lock has digests of the index
    kept |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PIP_CACHE_DIR": "/tmp/pip"}
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        kept["PIP_CERT"] = "/tmp/etc/ssl/certs/ca-certificates.crt"
    if Path("/etc/pip.conf").exists():
        kept["PIP_CONFIG_FILE"] = "/tmp/etc/pip.conf"
    return kept | {"PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _run(*command: str, env: Mapping[str, str] | None = None) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if ran.returncode != 0:
        raise NotMade(f"{command[0]}: {(ran.stderr.strip() or ran.stdout.strip())[-2000:]}")


def _digest(inputs: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:24]

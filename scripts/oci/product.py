"""The product's image: Debian with Python, what requirements.lock names, and the wheel. As the Dockerfile has it."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from scripts import geo_database
from scripts.oci.archive import Image
from scripts.oci.layers import Layers, NotMade, tar

PROJECT: Final = Path(__file__).parents[2]
PACKAGES: Final = PROJECT / "image" / "packages"
LOCK: Final = PROJECT / "requirements.lock"
HOME: Final = "/opt/voicefleet"
KERNEL_PROGRAM: Final = "voicefleet/net/bpf/relay.o"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
MACHINE_CODE: Final = "voicefleet/wire/rtp.cpython-"
PYTHON: Final = (3, 11)
"""Of the suite; machine code is of one version."""
LIBC: Final = (2, 36)
"""Of the suite: what is linked with a newer one may not start there."""
GEO_DATABASE: Final = Path("/usr/share/voicefleet/geo.mmdb")
_COMPILE: Final = "python -m compileall -q --invalidation-mode unchecked-hash"
_DEPENDENCIES: Final = f"""
python3 -m venv --without-pip {HOME}
export PYTHONPATH=/tmp/host PATH={HOME}/bin:$PATH
python -m pip install --quiet --no-compile --require-hashes -r /tmp/requirements.lock
PYTHONPATH= {_COMPILE} {HOME}/lib
"""
_CODE: Final = f"""
export PYTHONPATH=/tmp/host PATH={HOME}/bin:$PATH
python -m pip install --quiet --no-compile --no-index --no-deps /tmp/wheel/*.whl
cd {HOME}/lib/python3*/site-packages
PYTHONPATH= {_COMPILE} voicefleet voicefleet_operator
PYTHONPATH= python -c "import voicefleet.services.transceiver.media_side"
"""
CONFIGURATION: Final = {
    "User": "10001:10001",
    "WorkingDir": "/tmp",
    "Entrypoint": ["voicefleet"],
    "Cmd": ["--help"],
    "Env": [
        f"PATH={HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED=1",
        "PYTHONDONTWRITEBYTECODE=1",
        "USER=voicefleet",
        "HOME=/tmp",
    ],
}


def product_image() -> Image:
    """The image of this checkout; what has not changed since the last one is not made again."""
    if os.geteuid() != 0:
        raise NotMade("it takes root, for debootstrap and chroot")
    layers = Layers(_cache())
    with layers.alone(), tempfile.TemporaryDirectory(prefix="vf-wheel-") as folder:
        packages = PACKAGES.read_text().split()
        system = layers.system(packages)
        lock = LOCK.read_text()
        bottom = layers.cached(["system", system.name], lambda target: tar(system, target))

        wheel = _wheel(Path(folder))
        upper = _cache() / f"dependencies-{_digest(bottom.digest, lock, _DEPENDENCIES)}"
        pip = find_spec("pip")
        assert pip is not None and pip.origin is not None
        host_pip = {Path(pip.origin).parent: "/tmp/host/pip"}
        if not upper.exists():
            making = upper.with_suffix(".new")
            copied = Path(folder) / "lock"
            copied.mkdir()
            shutil.copy(LOCK, copied)
            script = "cp /tmp/lock/requirements.lock /tmp/requirements.lock\n" + _DEPENDENCIES
            layers.changes((system,), script, {**host_pip, copied: "/tmp/lock"}, making)
            shutil.rmtree(making / "tmp", ignore_errors=True)
            making.rename(upper)
        upper.touch()
        middle = layers.cached(["dependencies", upper.name], lambda target: tar(upper, target))

        # A layer of its own: it is larger than all that is ours, and does not change with it.
        tables = _tables()
        places = [layers.cached(["places", tables], partial(_places, Path(folder) / "places"))] if tables else []

        def code(target: Path) -> None:
            changed = Path(folder) / "code"
            layers.changes((system, upper), _CODE, {**host_pip, wheel.parent: "/tmp/wheel"}, changed)
            shutil.rmtree(changed / "tmp", ignore_errors=True)
            tar(changed, target)

        top = layers.cached(["code", middle.digest, _content(wheel), _CODE], code)
        layers.forget()
    return Image((bottom, middle, *places, top), ARCHITECTURES[platform.machine()], CONFIGURATION)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicefleet" / "image"


def _places(folder: Path, target: Path) -> None:
    """The geo database, as a layer."""
    database = folder / GEO_DATABASE.relative_to("/")
    database.parent.mkdir(parents=True)
    geo_database.convert(geo_database.SOURCE, database)
    tar(folder, target)


def _wheel(folder: Path) -> Path:
    """Our own distribution, with the kernel program where clang is, and machine code of the packet path."""
    target = folder / "wheel"
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(target))
    environment = os.environ | {"VF_COMPILED": "1" if _compiles() else "0"}
    ran = subprocess.run((*command, str(PROJECT)), capture_output=True, text=True, check=False, env=environment)
    if ran.returncode != 0:
        raise NotMade(f"the wheel: {ran.stderr.strip()[-2000:]}")
    (wheel,) = target.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    if KERNEL_PROGRAM not in names:
        print("without the relay's kernel program: it takes clang and libbpf-dev", file=sys.stderr)
    if not any(name.startswith(MACHINE_CODE) for name in names):
        wanted = f"Debian 12 with Python {'.'.join(map(str, PYTHON))}, its headers (python3-dev) and gcc"
        print(f"the packet path is interpreted, which costs half as much again: it takes {wanted}", file=sys.stderr)
    return wheel


def _compiles() -> bool:
    """Whether what is compiled here runs in the image."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    libc = tuple(int(part) for part in platform.libc_ver()[1].split(".") if part.isdecimal())
    fits = sys.version_info[:2] == PYTHON and libc <= LIBC
    return fits and headers.exists() and shutil.which("gcc") is not None


def _tables() -> str:
    """The digest of what the geo database is made from; empty where that is not here."""
    tables = [geo_database.SOURCE / name for name in geo_database.TABLES]
    if not all(each.exists() for each in tables):
        print("without a geo database: it takes Debian's package geoip-database", file=sys.stderr)
        return ""
    script = Path(geo_database.__file__)
    return _digest(*(_digest_of(each.read_bytes()) for each in (*tables, script)))


def _content(wheel: Path) -> str:
    """The digest of what is inside: when it was zipped does not count."""
    with zipfile.ZipFile(wheel) as archive:
        return _digest(*(f"{each}:{_digest_of(archive.read(each))}" for each in sorted(archive.namelist())))


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(*inputs: str) -> str:
    return _digest_of("\0".join(inputs).encode())[:24]

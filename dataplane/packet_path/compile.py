"""Compiles the modules that every packet passes, by mypyc: the same files with the types that they have.

It is optional. Where they are not compiled (a checkout, a wheel built without being asked to) Python reads the files
themselves, and nothing else differs but what a call costs: docs/figures/transceiver.md. `VF_COMPILED=1 pip wheel .`
makes a wheel with both; it takes a C compiler, Python's headers and a minute.

`python dataplane/packet_path/compile.py FOLDER` puts a compiled copy of the whole package there, for PYTHONPATH.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MODULES: Final = (
    "agents/echo.py",
    "core/ice_lite.py",
    "core/media/*.py",
    "core/transceiver/early_media.py",
    "core/transceiver/schedule.py",
    "net/srtp.py",
    "net/udp.py",
    "services/transceiver/inbox.py",
    "services/transceiver/media_leg.py",
    "services/transceiver/media_loop.py",
    "services/transceiver/media_side.py",
    "services/transceiver/paths.py",
    "services/transceiver/routing.py",
    "wire/demux.py",
    "wire/errors.py",
    "wire/hop.py",
    "wire/red.py",
    "wire/rtcp.py",
    "wire/rtp.py",
    "wire/sequence.py",
    "wire/stun_peek.py",
)
"""What a packet or a turn of the sending clock passes; what is done a few times a call is not worth the time."""


class NotCompiled(Exception):
    """Why there is no machine code."""


def modules() -> Iterator[Path]:
    """The files, from the package's parent."""
    for pattern in MODULES:
        yield from sorted(path.relative_to(ROOT) for path in (ROOT / "voicefleet").glob(pattern))


def digest() -> str:
    """Of all that the machine code depends on."""
    made_of = hashlib.sha256(f"{sys.version} {sys.platform}".encode())
    for path in (Path(__file__), *(ROOT / module for module in modules())):
        made_of.update(path.read_bytes())
    return made_of.hexdigest()[:16]


def compile_into(folder: Path) -> list[Path]:
    """A copy of the package with machine code beside the files; the machine code's paths within the folder."""
    shutil.copytree(ROOT / "voicefleet", folder / "voicefleet", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    settings = folder / "mypy.ini"
    settings.write_text("[mypy]\npython_version = 3.11\nignore_missing_imports = true\nexplicit_package_bases = true\n")
    command = (sys.executable, "-m", "mypyc", "--config-file", settings.name, *map(str, modules()))
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise NotCompiled((ran.stdout + ran.stderr).strip()[-2000:])
    shutil.rmtree(folder / "build")
    return sorted(path.relative_to(folder) for path in folder.rglob("*.so"))


def compiled(cache: Path) -> Path:
    """A folder for PYTHONPATH with the package as it is now, compiled once for each state of it."""
    made = cache / digest()
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            compile_into(Path(folder, "made"))
            Path(folder, "made").rename(made)
    # The rest of the package may have changed since.
    shutil.copytree(ROOT / "voicefleet", made / "voicefleet", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.so"))
    return made


if __name__ == "__main__":
    try:
        compile_into(Path(sys.argv[1]))
    except NotCompiled as reason:
        sys.exit(f"not compiled: {reason}")

"""Compiles the modules that every packet passes, by mypyc: the same files with the types that they have.

It is optional. Where they are not compiled (a checkout, a wheel built without being asked to, another Python than the
wheel was built with) Python reads the files themselves, and nothing else differs but what a call costs:
docs/figures/transceiver.md. `VF_COMPILED=1 pip wheel .` makes a wheel with both; it takes mypy, setuptools, a C
compiler, Python's headers and a minute or two.

`python dataplane/packet_path/compile.py FOLDER` puts the machine code there.
"""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = "voicefleet"
MODULES: Final = (
    "agents/echo.py",
    "agents/realtime/speaker.py",
    "core/ice_lite.py",
    "core/media/*.py",
    "core/model/playback.py",
    "core/transceiver/early_media.py",
    "core/transceiver/schedule.py",
    "core/turns/budget.py",
    "net/codec_threads.py",
    "net/pcm_port.py",
    "net/srtp.py",
    "net/udp.py",
    "services/transceiver/agent_seat.py",
    "services/transceiver/events.py",
    "services/transceiver/inbox.py",
    "services/transceiver/media_leg.py",
    "services/transceiver/media_loop.py",
    "services/transceiver/media_side.py",
    "services/transceiver/paths.py",
    "services/transceiver/routing.py",
    "services/transceiver/session.py",
    "wire/demux.py",
    "wire/errors.py",
    "wire/hop.py",
    "wire/red.py",
    "wire/rtcp.py",
    "wire/rtp.py",
    "wire/sequence.py",
    "wire/stun_peek.py",
)
"""What a packet, a frame or a turn of the sending clock passes; what is done a few times a call is not worth it."""
SHIPPED: Final = 3
"""The compiler's -O of what is installed. With 0 it is there in a third of the time, slow, and asserts more."""
KEPT: Final = 3
"""Results in a cache."""


class NotCompiled(Exception):
    """Why there is no machine code."""


def modules() -> Iterator[Path]:
    """The files, from the package's parent."""
    for pattern in MODULES:
        yield from sorted(path.relative_to(ROOT) for path in (ROOT / PACKAGE).glob(pattern))


def sources() -> list[Path]:
    """All files that the machine code depends on: constants and types of what is imported are compiled in."""
    found, waiting = set[Path](), list(modules())
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imported(ROOT / module)
    return sorted(found)


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.partition(".")[0] == PACKAGE:
                place = Path(*name.split("."))
                yield from (
                    each for each in (place.with_suffix(".py"), place / "__init__.py") if (ROOT / each).exists()
                )


def digest(optimise: int) -> str:
    """Of all that the machine code depends on."""
    tools = f"{sys.version} {sys.platform} {version('mypy')} -O{optimise}"
    made_of = hashlib.sha256(f"{tools} {[*modules()]}".encode())
    for path in sources():
        made_of.update(f"\0{path}\0".encode() + (ROOT / path).read_bytes())
    return made_of.hexdigest()[:16]


def compile_into(folder: Path, optimise: int = SHIPPED) -> None:
    """Fill a folder with the machine code, each file where it belongs beside the package."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        shutil.copytree(ROOT / PACKAGE, work / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        settings = work / "mypy.ini"
        settings.write_text("[mypy]\nignore_missing_imports = true\nexplicit_package_bases = true\n")
        command = (sys.executable, "-m", "mypyc", "--config-file", settings.name, *map(str, modules()))
        environment = os.environ | {"MYPYC_OPT_LEVEL": str(optimise), "MYPYC_DEBUG_LEVEL": "0"}
        ran = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise NotCompiled((ran.stdout + ran.stderr).strip()[-2000:])
        shutil.rmtree(work / "build")
        for made in work.rglob("*.so"):
            target = folder / made.relative_to(work)
            target.parent.mkdir(parents=True, exist_ok=True)
            made.rename(target)


def machine_code(cache: Path, optimise: int = SHIPPED) -> Path:
    """A folder with the machine code, compiled once for each state of what it is made of."""
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / digest(optimise)
    with (cache / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                compile_into(Path(folder, "made"), optimise)
                Path(folder, "made").rename(made)
        made.touch()
        results = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for old in results[:-KEPT]:
            shutil.rmtree(old)
    return made


if __name__ == "__main__":
    try:
        compile_into(Path(sys.argv[1]))
    except NotCompiled as reason:
        sys.exit(f"not compiled: {reason}")

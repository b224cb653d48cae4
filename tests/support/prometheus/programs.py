"""promtool, built once from the module that go.mod pins, and kept in the user's cache as Kubernetes' programs are.

Without service discovery, of which it would bring every cloud's client.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_SOURCES: Final = Path(__file__).parent
_PACKAGE: Final = "github.com/prometheus/prometheus/cmd/promtool"
BUILD_SECONDS: Final = 20 * 60


def promtool() -> Path:
    """The program, built now if nobody has; several who ask at once build once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_from = b"".join((_SOURCES / name).read_bytes() for name in ("go.mod", "go.sum"))
    folder = cache / "voicefleet" / f"prometheus-{hashlib.sha256(made_from).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "promtool"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(folder / "promtool.new")
            (folder / "promtool.new").rename(program)
    return program


def _build(target: Path) -> None:
    go = shutil.which("go", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/go/bin")))
    assert go is not None, "there is no Go: https://go.dev/dl, 1.21 or newer (it fetches the version that go.mod names)"
    print("building promtool (once on this machine; some minutes)", flush=True)
    command = ("nice", go, "build", "-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w", "-o", str(target))
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "auto"}
    ran = subprocess.run(
        (*command, _PACKAGE),
        cwd=_SOURCES,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]

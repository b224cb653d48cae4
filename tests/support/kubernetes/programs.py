"""Kubernetes' own programs, built once from the modules that go.mod pins, and kept in the user's cache.

The build takes some minutes and happens once on a machine: its outcome is kept under the digest of what it was made
from, whichever checkout asks first. Go's own caches make a second build, after a change of go.mod, short.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VERSION: Final = "1.36.3"
PROGRAMS: Final = ("kube-apiserver", "kube-controller-manager", "kubectl")
BUILD_SECONDS: Final = 30 * 60
"""Cold, it is five minutes on two quiet cores."""

_SOURCES: Final = Path(__file__).parent
_COMPONENT: Final = "k8s.io/component-base/version"
_STAMP: Final = (
    f"-s -w -X {_COMPONENT}.gitVersion=v{VERSION} -X {_COMPONENT}.gitMajor={VERSION.split('.')[0]} "
    f"-X {_COMPONENT}.gitMinor={VERSION.split('.')[1]} -X {_COMPONENT}.gitTreeState=clean"
)


class BuildError(Exception):
    """The programs could not be built; says why in the compiler's words."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are."""

    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path
    etcd: Path


def programs() -> Programs:
    """The programs, built now if nobody has; several who ask at once build once."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / name).exists() for name in PROGRAMS):
            _build(folder)
    etcd = shutil.which("etcd")
    if etcd is None:
        raise BuildError("there is no etcd: as root, apt-get install etcd-server")
    apiserver, controllers, kubectl = (folder / name for name in PROGRAMS)
    return Programs(apiserver, controllers, kubectl, Path(etcd))


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_from = b"".join((_SOURCES / name).read_bytes() for name in ("go.mod", "go.sum", "tools.go"))
    return cache / "voicefleet" / f"kubernetes-{VERSION}-{hashlib.sha256(made_from).hexdigest()[:12]}"


def _build(folder: Path) -> None:
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/go/bin"))
    go = shutil.which("go", path=search)
    if go is None:
        raise BuildError("there is no Go: https://go.dev/dl, 1.21 or newer (it fetches the version that go.mod names)")
    print(f"building Kubernetes {VERSION} (once on this machine; some minutes)", flush=True)
    command = ("nice", go, "build", "-trimpath", "-tags", "no_tracing", "-ldflags", _STAMP, "-o", f"{folder}/.new/")
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS]
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "auto"}
    try:
        ran = subprocess.run(
            (*command, *packages),
            cwd=_SOURCES,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"not built after {BUILD_SECONDS} s; what was compiled is kept, so run it again") from None
    if ran.returncode != 0:
        raise BuildError(ran.stderr.strip()[-2000:])
    for name in PROGRAMS:
        (folder / ".new" / name).rename(folder / name)

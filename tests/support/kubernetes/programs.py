"""Programs of a Kubernetes cluster, built once from the modules that go.mod pins, and kept in the user's cache.

The build takes some minutes and happens once on a machine: its outcome is kept under the digest of what it was made
from, whichever checkout asks first. Go's own caches make a second build, after a change of go.mod, short. All are
of one module, so what they share is compiled once. Who needs only an API server does not wait for a node.
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
CONTROL_PLANE: Final = (
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kubectl",
)
NODE: Final = (
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubelet",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "helm.sh/helm/v4/cmd/helm",
    "./coredns",
    "./pause",
)
BUILD_SECONDS: Final = 30 * 60
"""Cold, the control plane takes five minutes on two quiet cores, and the rest another five."""

_SOURCES: Final = Path(__file__).parent
_MADE_FROM: Final = ("go.mod", "go.sum", "tools.go", "coredns/main.go", "pause/main.go")
_COMPONENT: Final = "k8s.io/component-base/version"
_STAMP: Final = (
    f"-s -w -X {_COMPONENT}.gitVersion=v{VERSION} -X {_COMPONENT}.gitMajor={VERSION.split('.')[0]} "
    f"-X {_COMPONENT}.gitMinor={VERSION.split('.')[1]} -X {_COMPONENT}.gitTreeState=clean"
)


class BuildError(Exception):
    """The programs could not be built; says why in the compiler's words."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs of a control plane are."""

    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path
    etcd: Path


@dataclass(frozen=True, slots=True)
class NodePrograms:
    """Where the others are that a cluster with a node, and who installs something in it, needs."""

    kube_scheduler: Path
    kubelet: Path
    kube_proxy: Path
    helm: Path
    coredns: Path
    pause: Path


def programs() -> Programs:
    """The control plane's programs, built now if nobody has."""
    apiserver, controllers, kubectl = _built(CONTROL_PLANE)
    etcd = shutil.which("etcd")
    if etcd is None:
        raise BuildError("there is no etcd: as root, apt-get install etcd-server")
    return Programs(apiserver, controllers, kubectl, Path(etcd))


def node_programs() -> NodePrograms:
    """The programs of a node, built now if nobody has."""
    return NodePrograms(*_built(NODE))


def _built(packages: tuple[str, ...]) -> list[Path]:
    """Several who ask at once build once."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / package.rpartition("/")[2] for package in packages]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(each.exists() for each in made):
            _build(folder, packages)
    return made


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_from = b"".join((_SOURCES / name).read_bytes() for name in _MADE_FROM)
    return cache / "voicefleet" / f"kubernetes-{VERSION}-{hashlib.sha256(made_from).hexdigest()[:12]}"


def _build(folder: Path, packages: tuple[str, ...]) -> None:
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/go/bin"))
    go = shutil.which("go", path=search)
    if go is None:
        raise BuildError("there is no Go: https://go.dev/dl, 1.21 or newer (it fetches the version that go.mod names)")
    names = ", ".join(package.rpartition("/")[2] for package in packages)
    print(f"building Kubernetes {VERSION}: {names} (once on this machine; some minutes)", flush=True)
    command = ("nice", go, "build", "-trimpath", "-tags", "no_tracing", "-ldflags", _STAMP, "-o", f"{folder}/.new/")
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
    for package in packages:
        name = package.rpartition("/")[2]
        (folder / ".new" / name).rename(folder / name)

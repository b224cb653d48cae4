"""A Kubernetes of one node with real pods, in network namespaces of its own, and an outside from which clients call.

The control plane and the node's programs are processes in the namespace of the node; containerd, kubelet and kube-proxy
see a world of mounts of their own (node_box.sh). A test may end each of them and start it again. Nothing of it is left
when the context ends, also when the test failed.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import yaml
from cryptography.hazmat.primitives import serialization

from tests.support.kubernetes.certificates import Authority
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.node_files import API_SERVICE, PODS, SERVICES, SOCKET, write_node_files
from tests.support.kubernetes.programs import NodePrograms, Programs
from tests.support.namespaces import Namespace, address, namespaces, wire

NODE_ADDRESS: Final = "198.18.0.11"
ROUTER: Final = "198.18.0.1"
CLIENT: Final = "198.51.100.10"
"""Where clients call from: an address that is not of the cluster."""
_HERE: Final = Path(__file__).parent


class OneNode(Cluster):
    """The cluster: its programs, its client's namespace, its kubectl."""

    own = True

    def __init__(
        self, built: Programs, node_built: NodePrograms, folder: Path, node: Namespace, client: Namespace
    ) -> None:
        super().__init__(built.kubectl, folder / "admin.kubeconfig", (*node.enter,))
        self.folder, self.node, self.client = folder, node, client
        self.caller, self.address = client.enter, NODE_ADDRESS
        self.name = node.name
        self.helm_program = node_built.helm
        self._built, self._node_built = built, node_built
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._box: int | None = None
        self._write_files()

    # ---- the parts, which tests end and start

    def start(self) -> None:
        """Start everything, and wait until the node is ready."""
        self._start_box()
        self.start_containerd()
        self._run("etcd", *self._etcd())
        self.start_api_server()
        self._run("kube-controller-manager", *self._controller_manager())
        self._run("kube-scheduler", *self._scheduler())
        self.start_kubelet()
        self._run("kube-proxy", str(self._node_built.kube_proxy), f"--config={self.folder / 'proxy.yaml'}", inside=True)

    def wait_until_ready(self) -> None:
        """Until pods can run and have names."""
        self.until(lambda: self.kubectl("get", "node", self.name).returncode == 0, "the node is known")
        self.must("wait", "--for=condition=Ready", f"node/{self.name}", "--timeout=90s")
        self.must("apply", "--server-side", "-f", str(_HERE / "coredns" / "cluster.yaml"))
        self.must("-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=90s")

    def start_containerd(self) -> None:
        """Start the container runtime."""
        self._run("containerd", "containerd", "-c", str(self.folder / "containerd.toml"), inside=True)
        socket = f"{self.folder}/box/run/containerd/containerd.sock"
        self.until(lambda: self._in_box("test", "-S", SOCKET).returncode == 0, f"{socket} is there")

    def start_api_server(self) -> None:
        """Start the API server at its address, and wait until it is ready."""
        self._run("kube-apiserver", *self._api_server())
        self.until(lambda: self.kubectl("get", "--raw", "/readyz").returncode == 0, "the API server is ready")

    def start_kubelet(self) -> None:
        """Start kubelet; pods that run go on."""
        self._run(
            "kubelet",
            str(self._node_built.kubelet),
            f"--config={self.folder / 'kubelet.yaml'}",
            f"--kubeconfig={self.folder / 'kubelet.kubeconfig'}",
            f"--hostname-override={self.name}",
            f"--node-ip={NODE_ADDRESS}",
            inside=True,
        )

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End one of the programs."""
        process = self._processes.pop(name)
        os.kill(_innermost(process.pid), number)
        process.wait(60)

    def load(self, write: Callable[[IO[bytes]], object]) -> None:
        """Put an OCI archive, written by the argument, into the node."""
        command = self._enter_box("ctr", "-n", "k8s.io", "images", "import", "-")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ran:
            assert ran.stdin is not None and ran.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # what it says tells why
                write(ran.stdin)
                ran.stdin.close()
            said = ran.stdout.read()
        assert ran.returncode == 0, said.decode()

    def tag(self, name: str, other: str) -> None:
        """Give an image of the node another name, too."""
        ran = self._in_box("ctr", "-n", "k8s.io", "images", "tag", "--force", name, other)
        assert ran.returncode == 0, ran.stderr.decode()

    def kill_container(self, identifier: str) -> None:
        """SIGKILL all processes of a container."""
        ran = self._in_box("ctr", "-n", "k8s.io", "tasks", "kill", "--all", "--signal", "SIGKILL", identifier)
        assert ran.returncode == 0, ran.stderr.decode()

    def keep_logs(self, target: Path) -> None:
        """What programs and pods said, too."""
        super().keep_logs(target)
        for path in self.folder.glob("*.log"):
            shutil.copy(path, target)
        for path in (self.folder / "log" / "pods").rglob("*.log"):
            shutil.copy(path, target / f"{path.parent.parent.name}_{path.parent.name}_{path.name}")

    def see_that_all_run(self) -> None:
        """Fail, in its own words, where one of the programs has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                said = (self.folder / f"{name}.log").read_text()[-3000:]
                raise AssertionError(f"{name} ended with {process.returncode}: {said}")

    def stop(self) -> None:
        """End everything, and take away its cgroups."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(_innermost(process.pid), signal.SIGKILL)
        if self._box is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._box, signal.SIGKILL)  # the first of its pid namespace: all the others end with it
        for process in self._processes.values():
            process.wait(60)
        end = time.monotonic() + 20.0
        while _cgroups(self.name) and time.monotonic() < end:
            for top in _cgroups(self.name):
                for each, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):  # its processes are about to end
                        os.rmdir(each)
            time.sleep(0.05)

    # ---- how they are run

    def _start_box(self) -> None:
        script = (str(_HERE / "node_box.sh"), str(self.folder), self.name, str(self._node_built.pause))
        unshare = (
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        )
        self._run("box", *unshare, "--mount-proc", "bash", *script, NODE_ADDRESS, PODS)
        self.until(lambda: (self.folder / "box-ready").exists(), "the node has its mounts")
        self._box = _innermost(self._processes["box"].pid)

    @contextmanager
    def beside(self, name: str, *command: str) -> Iterator[None]:
        """Another program in the node's network, until the context ends."""
        self._run(name, *command)
        try:
            yield
        finally:
            if self._processes[name].poll() is None:
                self.end(name)
            else:
                del self._processes[name]

    def _run(self, name: str, *command: str, inside: bool = False) -> None:
        whole = self._enter_box(*command) if inside else (*self.node.enter, *command)
        with (self.folder / f"{name}.log").open("ab") as log:
            # Ended with us, whatever happens to the test.
            self._processes[name] = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *whole), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def _enter_box(self, *command: str) -> tuple[str, ...]:
        assert self._box is not None
        into = ("nsenter", f"--target={self._box}", "--mount", "--pid", "--uts", "--ipc", "--net")
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return (*into, "env", f"PATH={path}", *command)

    def _in_box(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self._enter_box(*command), capture_output=True, check=False)

    # ---- what they are told

    def _write_files(self) -> None:
        authority = Authority(self.folder)
        service = "kubernetes.default.svc"
        names = [NODE_ADDRESS, "127.0.0.1", API_SERVICE, "kubernetes.default", service, f"{service}.cluster.local"]
        authority.issue("api", "kube-apiserver", alternatives=names)
        authority.issue("api-to-kubelet", "kube-apiserver-kubelet-client", organisation="system:masters")
        authority.issue("kubelet", f"system:node:{self.name}", "system:nodes", [NODE_ADDRESS, self.name])
        authority.issue("service-accounts", "service-accounts")
        key = serialization.load_pem_private_key((self.folder / "service-accounts.key").read_bytes(), None)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / "service-accounts.pub").write_bytes(public)
        users = {
            "admin": ("admin", "system:masters"),
            "kube-controller-manager": ("system:kube-controller-manager", ""),
            "kube-scheduler": ("system:kube-scheduler", ""),
            "proxy": ("system:kube-proxy", ""),
            "kubelet": (f"system:node:{self.name}", "system:nodes"),
        }
        lines = []
        for name, (user, groups) in users.items():
            token = secrets.token_hex(16)
            lines.append(f'{token},{user},{user},"{groups}"\n')
            (self.folder / f"{name}.kubeconfig").write_text(yaml.safe_dump(self._kubeconfig(token)))
        (self.folder / "tokens.csv").write_text("".join(lines))
        write_node_files(self.folder, self.name, NODE_ADDRESS)

    def _kubeconfig(self, token: str) -> dict[str, Any]:
        cluster = {"server": f"https://{NODE_ADDRESS}:6443", "certificate-authority": str(self.folder / "ca.crt")}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
            "current-context": "test",
        }

    def _etcd(self) -> tuple[str, ...]:
        client = "http://127.0.0.1:2379"
        return (
            str(self._built.etcd),
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
        )

    def _api_server(self) -> tuple[str, ...]:
        return (
            str(self._built.kube_apiserver),
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=0.0.0.0",
            "--secure-port=6443",
            f"--advertise-address={NODE_ADDRESS}",
            f"--tls-cert-file={self.folder / 'api.crt'}",
            f"--tls-private-key-file={self.folder / 'api.key'}",
            f"--client-ca-file={self.folder / 'ca.crt'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self.folder / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={self.folder / 'service-accounts.key'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={self.folder / 'api-to-kubelet.crt'}",
            f"--kubelet-client-key={self.folder / 'api-to-kubelet.key'}",
            f"--kubelet-certificate-authority={self.folder / 'ca.crt'}",
            "--profiling=false",
        )

    def _controller_manager(self) -> tuple[str, ...]:
        return (
            str(self._built.kube_controller_manager),
            f"--kubeconfig={self.folder / 'kube-controller-manager.kubeconfig'}",
            f"--cert-dir={self.folder / 'certificates'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.folder / 'service-accounts.key'}",
            f"--root-ca-file={self.folder / 'ca.crt'}",
            "--allocate-node-cidrs=false",
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--profiling=false",
        )

    def _scheduler(self) -> tuple[str, ...]:
        return (
            str(self._node_built.kube_scheduler),
            f"--kubeconfig={self.folder / 'kube-scheduler.kubeconfig'}",
            f"--cert-dir={self.folder / 'certificates'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--profiling=false",
        )


@contextmanager
def one_node(built: Programs, node_built: NodePrograms, logs: Path) -> Iterator[OneNode]:
    """A cluster whose programs run; gone with the context. Where it fails, `logs` has what everybody said."""
    with (
        namespaces("router", "node", "client") as (router, node, client),
        tempfile.TemporaryDirectory(prefix="vf-cluster-", ignore_cleanup_errors=True) as folder,
    ):
        _connect(router, node, client)
        cluster = OneNode(built, node_built, Path(folder), node, client)
        try:
            cluster.start()
            yield cluster
        except BaseException:
            cluster.keep_logs(logs)
            raise
        finally:
            cluster.stop()


def _connect(router: Namespace, node: Namespace, client: Namespace) -> None:
    """Node and client in networks of their own, with a router between them."""
    ends = ((node, NODE_ADDRESS, ROUTER, "to-node"), (client, CLIENT, "198.51.100.1", "to-client"))
    for end, its_address, gateway, interface in ends:
        wire(router, interface, end, "eth0")
        address(router, interface, f"{gateway}/24")
        address(end, "eth0", f"{its_address}/24")
        end.ip(f"route add default via {gateway}")
    forward = ("sysctl", "-qw", "net.ipv4.ip_forward=1")
    no_filter = ("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
    for each in (router, node):
        each.run(*forward, *no_filter)


def _innermost(pid: int) -> int:
    """The process that a chain of nsenter and unshare has forked in the end."""
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        if name not in ("nsenter", "unshare", "setpriv") or not children:
            return pid
        pid = int(children[0])


def _cgroups(name: str) -> list[Path]:
    return [
        each for each in (*Path("/sys/fs/cgroup").glob(f"*/{name}"), Path("/sys/fs/cgroup") / name) if each.exists()
    ]

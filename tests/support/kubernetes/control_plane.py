"""An API server with its etcd, and where asked for some of its controllers, as processes on loopback.

There is no kubelet and no scheduler: pods are objects, and run when the test says so. Everything listens on free ports,
lives in a temporary directory, and is gone when the context ends, also when the test failed.
"""

import asyncio
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.kubernetes.programs import Programs

START_SECONDS: Final = 90.0
CONTROLLERS: Final = (
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
    "namespace-controller",
)


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_AUDIT: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: [system:serviceaccounts]}
- {level: None}
"""


class ControlPlane:
    """The processes, and how to reach them; each can be killed and started again at its address."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self.port = free_port()
        self._etcd_port, self._peer_port = free_port(), free_port()
        self.token = secrets.token_hex(16)
        """The administrator's."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / "sa.key").write_bytes(pem)
        (folder / "tokens.csv").write_text(f'{self.token},tester,tester,"system:masters"\n')
        (folder / "audit.yaml").write_text(_AUDIT)
        self.kubeconfig = self.make_kubeconfig("admin", self.token)

    @property
    def audit_log(self) -> Path:
        """What service accounts asked of the API server, one event a line."""
        return self.folder / "audit.log"

    @property
    def processes(self) -> dict[str, int]:
        """The process ids, by the programs' names."""
        return {name: process.pid for name, process in self._processes.items()}

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://127.0.0.1:{self.port}"

    def make_kubeconfig(self, name: str, token: str, namespace: str = "default") -> Path:
        """A kubeconfig file for whoever has this token."""
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        context = {"cluster": "test", "user": name, "namespace": namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path

    async def start(self) -> None:
        """Start what does not run, and wait until it answers."""
        self._start_etcd()
        await self.start_api_server()

    async def start_api_server(self) -> None:
        """Start the API server at its address, and wait until it is ready."""
        self._run(
            "kube-apiserver",
            str(self.programs.kube_apiserver),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder / 'sa.key'}",
            f"--service-account-signing-key-file={self.folder / 'sa.key'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            # As OpenShift has it: who sets owners must be allowed to.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            "--profiling=false",
        )
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(self._ready):
                self._must_run("kube-apiserver")
                await asyncio.sleep(0.05)

    def start_controllers(self, *options: str) -> None:
        """What makes pods of Deployments, and removes objects whose owner is gone."""
        self._run(
            "kube-controller-manager",
            str(self.programs.kube_controller_manager),
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            f"--cert-dir={self.folder / 'certificates'}",
            "--use-service-account-credentials=false",
            "--profiling=false",
            *options,
        )

    async def stop_api_server(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the API server; what it knew stays in etcd."""
        await self._end("kube-apiserver", number)

    async def stop(self) -> None:
        """End everything."""
        for name in reversed(tuple(self._processes)):
            await self._end(name, signal.SIGKILL)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; the caller looks at how it went."""
        command = (str(self.programs.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments)
        environment = os.environ | {"HOME": str(self.folder)}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=120, env=environment, check=False
        )

    def apply(self, *documents: dict[str, Any]) -> None:
        """`kubectl apply`; anything that is refused fails the test."""
        ran = self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, documents)))
        assert ran.returncode == 0, ran.stderr

    def log(self, name: str) -> Path:
        """What one of the processes said."""
        return self.folder / f"{name}.log"

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self._etcd_port}"
        self._run(
            "etcd",
            str(self.programs.etcd),
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls=http://127.0.0.1:{self._peer_port}",
            "--log-level=warn",
        )

    def _run(self, name: str, *command: str) -> None:
        with self.log(name).open("ab") as log:
            # Ended with us, whatever happens to the test.
            self._processes[name] = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *command), stdout=log, stderr=log, cwd=self.folder
            )

    def _must_run(self, name: str) -> None:
        status = self._processes[name].poll()
        if status is not None:
            raise AssertionError(f"{name} ended with {status}: {self.log(name).read_text()[-2000:]}")

    async def _end(self, name: str, number: signal.Signals) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.send_signal(number)
            await asyncio.to_thread(process.wait, 60)

    def _ready(self) -> bool:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@asynccontextmanager
async def control_plane(programs: Programs) -> AsyncIterator[ControlPlane]:
    """A running control plane that is ended with the context."""
    with tempfile.TemporaryDirectory(prefix="vf-kubernetes-", ignore_cleanup_errors=True) as folder:
        plane = ControlPlane(programs, Path(folder))
        try:
            await plane.start()
            yield plane
        finally:
            await plane.stop()

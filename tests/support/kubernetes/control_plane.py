"""An API server with its etcd, and where asked for some of its controllers, as processes on loopback.

There is no kubelet and no scheduler: pods are objects, and run when the test says so. Everything listens on free ports,
lives in a temporary directory, and is gone when the context ends, also when the test failed.
"""

import asyncio
import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.kubernetes.api_server import ApiServer
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


class ControlPlane(ApiServer):
    """The processes; each can be killed and started again at its address."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        super().__init__(programs, folder, free_port(), secrets.token_hex(16))
        self._etcd_port, self._peer_port = free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / "sa.key").write_bytes(pem)
        (folder / "tokens.csv").write_text(f'{self.token},tester,tester,"system:masters"\n')
        (folder / "audit.yaml").write_text(_AUDIT)

    @property
    def processes(self) -> dict[str, int]:
        """The process ids, by the programs' names."""
        return {name: process.pid for name, process in self._processes.items()}

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
            while not await asyncio.to_thread(self.ready):
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

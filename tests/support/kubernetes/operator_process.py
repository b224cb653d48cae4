"""The operator as its own process against a test's control plane: started, killed, read."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.facts import eventually
from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.control_plane import free_port

START_SECONDS = 120.0
PROJECT = Path(__file__).parents[3]
ROLES = PROJECT / "rbac"


class Operator:
    """One operator, whoever started it: what it says and answers."""

    def __init__(self, log: Path, health: str) -> None:
        self.log, self.health = log, health

    async def says(self, words: str) -> None:
        """Wait until it has logged this."""
        await eventually(lambda: words in self.log.read_text(), f"the operator says {words}", START_SECONDS)

    def asked(self, path: str) -> tuple[int, str]:
        """What it answers to a kubelet or to Prometheus."""
        try:
            with urllib.request.urlopen(f"http://{self.health}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


class OperatorProcess(Operator):
    """One operator, responsible for some namespaces or for all; it may do what its roles allow, and nothing else."""

    def __init__(
        self,
        plane: ApiServer,
        name: str,
        namespaces: Sequence[str] = (),
        lease: str = "",
        module: str = "voicefleet_operator",
    ) -> None:
        super().__init__(plane.log(name), f"127.0.0.1:{free_port()}")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("VOICEFLEET_")}
        environment |= {
            "KUBECONFIG": str(allowed(plane, name, namespaces)),
            "PYTHONPATH": os.pathsep.join((str(PROJECT / "operator"), str(PROJECT / "dataplane"), str(PROJECT))),
            "VOICEFLEET_IMAGE": "registry.example/voicefleet:0.1.0",
            "VOICEFLEET_NAMESPACES": ",".join(namespaces),
            "VOICEFLEET_POD": name,
            "VOICEFLEET_LEASE": lease or name,
            "VOICEFLEET_HEALTH_LISTEN": self.health,
        }
        with self.log.open("ab") as log:
            command = ("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", module)
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal and go on."""
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; its status."""
        if self.running:
            self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait, 60)


def allowed(plane: ApiServer, name: str, namespaces: Sequence[str] = ()) -> Path:
    """A kubeconfig of an account with the operator's generated roles, bound as an installation of that scope does."""
    home = "default"
    plane.apply(_account(name, home))
    ran = [plane.kubectl("apply", "--server-side", "-n", home, "-f", str(ROLES / "lease.yaml"))]
    bindings = [_binding("RoleBinding", name, home, "Role", "voicefleet-operator-lease")]
    if namespaces:
        ran.append(plane.kubectl("apply", "--server-side", "-f", str(ROLES / "nodes.yaml")))
        bindings.append(_binding("ClusterRoleBinding", name, home, "ClusterRole", "voicefleet-operator-nodes"))
    else:
        ran.append(plane.kubectl("apply", "--server-side", "-f", str(ROLES / "cluster.yaml")))
        bindings.append(_binding("ClusterRoleBinding", name, home, "ClusterRole", "voicefleet-operator"))
    for each in namespaces:
        ran.append(plane.kubectl("apply", "--server-side", "-n", each, "-f", str(ROLES / "namespace.yaml")))
        bindings.append(_binding("RoleBinding", name, home, "Role", "voicefleet-operator", each))
    assert all(each.returncode == 0 for each in ran), [each.stderr for each in ran]
    plane.apply(*bindings)
    token = plane.kubectl("create", "token", name, "-n", home, "--duration=24h")
    assert token.returncode == 0, token.stderr
    return plane.make_kubeconfig(name, token.stdout.strip())


def _account(name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _binding(kind: str, account: str, home: str, role_kind: str, role: str, namespace: str = "") -> dict[str, Any]:
    place = {} if kind == "ClusterRoleBinding" else {"namespace": namespace or home}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": f"{account}-{role}", **place},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }


@asynccontextmanager
async def operator_process(
    plane: ApiServer,
    name: str = "operator",
    namespaces: Sequence[str] = (),
    lease: str = "",
    module: str = "voicefleet_operator",
) -> AsyncIterator[OperatorProcess]:
    """A running operator that is ended with the context."""
    process = OperatorProcess(plane, name, namespaces, lease, module)
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)

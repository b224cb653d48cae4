"""A fleet of real pods as a test sees it, and callers from outside of the cluster."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.one_node import OneNode

PROJECT: Final = Path(__file__).parents[3]
EXAMPLE: Final = PROJECT / "docs" / "examples" / "voicefleet.yaml"
SMALL: Final = {"resources": {"requests": {"cpu": "20m"}}}
"""For further pools and shards: all of them share one small node."""
READY_SECONDS: Final = 300.0
"""On a machine that is three times slower than ours and has other things to do; it takes 15 s on a quiet one."""
PRECEDENCE: Final = "-15"
"""What measures must not wait for what else the machine does."""


def slowness() -> float:
    """By how much a promise in seconds has to be stretched, since others use this machine too."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Call:
    """How a call fared between two reports."""

    gap: float
    """The longest time without audio, in seconds."""
    gap_at: float
    lost: int
    said: int
    ended: str
    port: int
    """Of the relay that it went through last."""


class Told(NamedTuple):
    """A condition."""

    so: bool
    reason: str
    message: str


class Callers:
    """Calls that go on until the context ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_until_up(self) -> int:
        """How many calls are up, once all are."""
        count: int = self._read()["up"]
        return count

    def report(self) -> tuple[Call, ...]:
        """What happened to each call since the last report."""
        assert self._process.stdin is not None
        self._process.stdin.write("report\n")
        self._process.stdin.flush()
        return tuple(Call(**each) for each in self._read()["calls"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(f"the callers ended: {self._process.stderr.read()[-3000:]}")
        document: dict[str, Any] = json.loads(line)
        return document


class Voice:
    """A fleet in a namespace of its own; `demo` is that of docs/examples/voicefleet.yaml."""

    def __init__(self, cluster: Cluster, namespace: str, fleet: str = "demo") -> None:
        self.cluster, self.namespace, self.fleet = cluster, namespace, fleet
        self.ready_after = 0.0
        """Seconds from `kubectl apply` until all of it was ready."""

    def k(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace; it must succeed."""
        return self.cluster.must("-n", self.namespace, *arguments, stdin=stdin)

    def get(self, target: str) -> dict[str, Any]:
        """One object, or a list."""
        document: dict[str, Any] = json.loads(self.k("get", *target.split(), "-o", "json"))
        return document

    def condition(self, target: str, kind: str) -> Told:
        """A condition of an object; not so, without reason, where it is not told."""
        found = self.get(target).get("status", {}).get("conditions", ())
        by_type = {each["type"]: each for each in found}
        told: dict[str, str] = by_type.get(kind, {})
        return Told(told.get("status") == "True", told.get("reason", ""), told.get("message", ""))

    def pods(self, component: str) -> list[str]:
        """The names of the pods of a component that run and are not about to go."""
        return [
            each["metadata"]["name"]
            for each in self.get(f"pods -l app.kubernetes.io/component={component}")["items"]
            if "deletionTimestamp" not in each["metadata"] and each["status"].get("phase") in ("Pending", "Running")
        ]

    def ready(self, component: str) -> set[str]:
        """The names of those that are ready as well."""
        items = self.get(f"pods -l app.kubernetes.io/component={component}")["items"]
        return {each["metadata"]["name"] for each in items if is_ready(each)} & set(self.pods(component))

    def are_replaced(self, component: str, gone: list[str]) -> Callable[[], bool]:
        """Whether these pods are gone and all others of the component are ready, one at least."""

        def fact() -> bool:
            items = self.get(f"pods -l app.kubernetes.io/component={component}")["items"]
            names = {each["metadata"]["name"] for each in items}
            return not names & set(gone) and bool(items) and all(map(is_ready, items))

        return fact

    @property
    def node(self) -> OneNode:
        """The tests' own node; a test that needs it is left out where the cluster is somebody's."""
        if not isinstance(self.cluster, OneNode):
            pytest.skip("takes a node apart: only in the tests' own cluster")
        return self.cluster

    def kill(self, pod: str) -> None:
        """SIGKILL what runs in a pod; the pod stays, and kubelet starts its containers again."""
        node = self.node
        for each in self.get(f"pod/{pod}")["status"]["containerStatuses"]:
            node.kill_container(each["containerID"].rpartition("/")[2])

    def going(self, component: str = "") -> list[str]:
        """The names of pods that were told to go and are still there."""
        selector = f" -l app.kubernetes.io/component={component}" if component else ""
        items = self.get(f"pods{selector}")["items"]
        return [each["metadata"]["name"] for each in items if "deletionTimestamp" in each["metadata"]]

    def wait_until_ready(self, deadline: float = READY_SECONDS) -> float:
        """Until fleet, pools and shards say so; how long it took."""
        began = time.monotonic()
        self.k("wait", "--for=condition=Ready", "vf,rp,ts", "--all", f"--timeout={deadline:.0f}s")
        return time.monotonic() - began

    def wait_until_settled(self) -> None:
        """Until all Deployments have all their new pods, and no others."""
        for name in self.k("get", "deployments", "-o", "name").split():
            self.k("rollout", "status", name, f"--timeout={READY_SECONDS:.0f}s")
        self.until(lambda: not self.going(), "the old pods have gone")
        self.wait_until_ready()

    def until(self, fact: Callable[[], object], what: str, deadline: float = READY_SECONDS) -> None:
        """Wait until something is true."""
        self.cluster.until(fact, what, deadline)

    def metric(self, pod: str, name: str, **labels: str) -> float:
        """The sum of all samples of a metric in a pod that have these labels."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:8080/proxy/metrics"
        lines = self.cluster.must("get", "--raw", path).splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.split("{")[0].split(" ")[0] == name and all(each in line for each in wanted)
        )

    @property
    def url(self) -> str:
        """Where clients outside send offers: a port of the node."""
        ports = self.get(f"service/{self.fleet}-signaling")["spec"]["ports"]
        return f"http://{self.cluster.address}:{ports[0]['nodePort']}"

    @property
    def key(self) -> str:
        """The first API key, which the operator made."""
        data: dict[str, str] = self.get(f"secret/{self.fleet}-api-keys")["data"]
        return base64.b64decode(next(iter(data.values()))).decode()

    @contextmanager
    def callers(self, count: int) -> Iterator[Callers]:
        """So many calls from outside, all up."""
        command = (*self.cluster.caller, sys.executable, "-m", "tests.support.outside_callers", self.url)
        with subprocess.Popen(
            ("nice", "-n", PRECEDENCE, "setpriv", "--pdeathsig", "KILL", *command, self.key, str(count)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            start_new_session=True,
        ) as process:
            try:
                with suppress(OSError):  # where the kernel groups by session, that is what has a precedence
                    Path(f"/proc/{process.pid}/autogroup").write_text(PRECEDENCE)
                made = Callers(process)
                assert made.wait_until_up() == count
                yield made
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod says so."""
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

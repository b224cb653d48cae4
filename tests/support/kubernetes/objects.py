"""A namespace of a test's cluster as a test reads and writes it, and what kubelets and clouds would do in it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.support.kubernetes.api_server import ApiServer

Document = dict[str, Any]
DEADLINE = 90.0


class Namespace:
    """One namespace."""

    def __init__(self, plane: ApiServer, name: str) -> None:
        self.plane = plane
        self.name = name

    def apply(self, kind: str, name: str, spec: Document | None = None, **metadata: Any) -> None:
        """A custom resource as a user would apply it."""
        self.plane.apply(
            {
                "apiVersion": "voicefleet.dev/v1alpha1",
                "kind": kind,
                "metadata": {"name": name, "namespace": self.name, **metadata},
                "spec": spec or {},
            }
        )

    def smallest(self) -> None:
        """The smallest fleet."""
        ran = self.kubectl("apply", "--server-side", "-f", "docs/examples/smallest.yaml")
        assert "serverside-applied" in ran

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace; it must succeed."""
        ran = self.plane.kubectl("-n", self.name, *arguments, stdin=stdin)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def get(self, target: str) -> Document | None:
        """An object such as `deploy/demo-signaling`, or nothing."""
        return self.plane.one(self.name, target)

    def all(self, kinds: str) -> list[Document]:
        """All objects of these kinds."""
        return self.plane.every(self.name, kinds)

    def condition(self, target: str, kind: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition, or three times nothing."""
        for each in ((self.get(target) or {}).get("status") or {}).get("conditions") or ():
            if each["type"] == kind:
                return each["status"], each["reason"], each.get("message", "")
        return "", "", ""

    def is_ready(self, target: str, status: str = "True", reason: str = "") -> bool:
        """Whether the condition Ready of an object is this."""
        found = self.condition(target, "Ready")
        return found[0] == status and reason in ("", found[1])

    def set_status(self, target: str, status: Document) -> None:
        """Write a status, as a controller of Kubernetes or of a cloud would."""
        change = json.dumps({"status": status})
        self.kubectl("patch", target, "--subresource=status", "--type=merge", "-p", change)

    async def run_pods(self) -> None:
        """As a scheduler and kubelets would: all pods that Deployments want start and are ready."""
        await self.until(self.run_new_pods, "all pods are ready")

    def run_pod(self, name: str, address: str = "127.244.0.9", since: str = "2026-11-21T00:00:00Z") -> None:
        """One pod starts at this address and is ready."""
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
        self.set_status(
            f"pod/{name}",
            {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions},
        )

    def pods(self, **labels: str) -> list[Document]:
        """The pods that have these labels and are not being removed."""
        wanted = {f"voicefleet.dev/{key}": value for key, value in labels.items()}
        return [
            each
            for each in self.all("pods")
            if each["metadata"]["labels"].items() >= wanted.items() and "deletionTimestamp" not in each["metadata"]
        ]

    def run_new_pods(self) -> bool:
        """Start the pods that are new; whether all that are wanted are ready."""
        for pod in self.all("pods"):
            if pod["status"].get("phase") != "Running":
                self.run_pod(pod["metadata"]["name"])
        return all(
            each["spec"]["replicas"] == each.get("status", {}).get("readyReplicas", 0)
            for each in self.all("deployments")
        )

    async def until(self, fact: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
        """Wait until something is true, and give it."""
        try:
            async with asyncio.timeout(deadline):
                while True:
                    if value := await asyncio.to_thread(fact):
                        return value
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = self.plane.kubectl("-n", self.name, "get", "voice", "-o", "yaml").stdout
            raise AssertionError(f"after {deadline:.0f} s still not: {what}\n{shown}") from None

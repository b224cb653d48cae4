"""kubectl as the administrator of a test's cluster."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any


class Kubectl:
    """Runs it, from where the API server can be reached."""

    def __init__(self, program: Path, kubeconfig: Path, prefix: tuple[str, ...] = ()) -> None:
        self._program, self.kubeconfig, self._prefix = program, kubeconfig, prefix

    def command(self, *arguments: str) -> tuple[str, ...]:
        """What has to be typed."""
        return *self._prefix, str(self._program), f"--kubeconfig={self.kubeconfig}", *arguments

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl; the caller looks at how it went."""
        command = self.command(*arguments)
        environment = os.environ | {"HOME": str(self.kubeconfig.parent)}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=600, env=environment, check=False
        )

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl; anything but success fails the test."""
        ran = self.kubectl(*arguments, stdin=stdin)
        assert ran.returncode == 0, f"kubectl {' '.join(arguments)}: {ran.stderr}"
        return ran.stdout

    def apply(self, *documents: dict[str, Any]) -> None:
        """`kubectl apply`; anything that is refused fails the test."""
        whole = {"apiVersion": "v1", "kind": "List", "items": documents}  # as one: JSON has no "---"
        self.must("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))

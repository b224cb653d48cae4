"""A cluster as tests see it: kubectl, helm, and from where its clients call.

Either the tests' own, whose node they may do anything to (`one_node`), or any other, by its kubeconfig: then what takes
a node apart is left out.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support.kubernetes.kubectl import Kubectl

START_SECONDS: Final = 120.0
GIVEN: Final = "VF_CLUSTER"
"""The kubeconfig of a cluster to use, as `scripts/test --cluster` sets it."""


class Cluster(Kubectl):
    """What both kinds have."""

    own = False
    """Whether its programs are the tests', to end and start."""
    helm_program: Path
    folder: Path
    """For files of a test."""
    caller: tuple[str, ...] = ()
    """What a command line begins with to run where clients are."""
    address: str
    """Of a node, as clients reach it."""

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run helm as the administrator; the caller looks at how it went."""
        command = (*self._prefix, str(self.helm_program), f"--kubeconfig={self.kubeconfig}", *arguments)
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"HOME": str(self.folder)},
            check=False,
        )

    def keep_logs(self, target: Path) -> None:
        """Keep what the cluster holds, for whoever reads about a failure."""
        target.mkdir(parents=True, exist_ok=True)
        for name, question in {"events": "events", "pods": "pods", "fleets": "voice"}.items():
            (target / f"{name}.yaml").write_text(self.kubectl("get", question, "-A", "-o", "yaml").stdout)

    def until(self, fact: Callable[[], object], what: str, deadline: float = START_SECONDS) -> None:
        """Wait until something is true."""
        end = time.monotonic() + deadline
        while not fact():
            self.see_that_all_run()
            assert time.monotonic() < end, f"after {deadline:.0f} s still not: {what}"
            time.sleep(0.3)  # each look is a kubectl, whose processor time is taken from the pods

    def see_that_all_run(self) -> None:
        """Fail where one of its programs has ended, if that can be seen."""


class GivenCluster(Cluster):
    """One that is there already, and stays. Its nodes have the image, or get it."""

    def __init__(self, kubeconfig: Path, kubectl: Path, helm: Path, folder: Path) -> None:
        super().__init__(kubectl, kubeconfig)
        self.helm_program, self.folder = helm, folder
        addresses = self.must(
            *("get", "nodes", "-o", "jsonpath={range .items[0].status.addresses[*]}{.type}={.address} {end}")
        )
        known = dict(each.split("=", 1) for each in addresses.split())
        self.address = known.get("ExternalIP") or known["InternalIP"]


def found(program: str, build: Callable[[], Path]) -> Path:
    """A program of the user's, or one that the tests build."""
    there = shutil.which(program)
    return Path(there) if there else build()

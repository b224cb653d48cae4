"""What the command line says about which fleet is meant; `reach` finds it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PLUGIN: Final = "kubectl-voicefleet"


@dataclass(frozen=True, slots=True)
class Target:
    """What the command line says about the fleet; nothing of it has to be said."""

    ready: Path | None = None
    """A local fleet's ready file."""
    url: str = ""
    key_file: Path | None = None
    kubeconfig: Path | None = None
    context: str = ""
    namespace: str = ""
    fleet: str = ""
    plugin: bool = False
    """Called as `kubectl voicefleet`: then it is about a cluster unless something else is said."""

    @property
    def in_cluster(self) -> bool:
        """Whether a cluster is named."""
        return bool(self.kubeconfig or self.context or self.namespace)

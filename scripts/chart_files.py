"""What the chart holds of the operator's own files: the definitions of its kinds, and its roles.

helm takes nothing from outside of a chart's folder. `scripts/check --fix` writes both.
"""

from pathlib import Path
from typing import Final

from voicefleet_operator.api import crds
from voicefleet_operator.kube import permissions

CHART: Final = "helm/voicefleet"


def definitions() -> dict[str, str]:
    """crds/, where helm looks for it."""
    return {f"{CHART}/crds/{Path(path).name}": text for path, text in crds.files().items()}


def roles() -> dict[str, str]:
    """files/rbac/, whose rules the templates take."""
    return {f"{CHART}/files/{path}": text for path, text in permissions.files().items()}

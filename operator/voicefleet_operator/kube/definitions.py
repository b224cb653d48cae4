"""`python -m voicefleet_operator.kube.definitions` brings the custom resource definitions up to this release.

Run by the chart before an upgrade, with a role of its own: the operator itself may not change definitions.
"""

import asyncio
import os

from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.kube.cluster import Cluster


async def apply_definitions() -> None:
    """Server-side apply of each."""
    cluster = await Cluster.connect(os.environ.get("KUBECONFIG") or None)
    try:
        for kind in KINDS.values():
            await cluster.apply(definition(kind))
    finally:
        await cluster.close()


if __name__ == "__main__":
    asyncio.run(apply_definitions())

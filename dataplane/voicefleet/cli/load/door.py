"""Where the calls of a load are started, and by which key."""

import asyncio
import base64

from voicefleet.cli.cluster_api import ClusterFleet, explained
from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.load.run import Door
from voicefleet.cli.load.way_in import way_in
from voicefleet.cli.reach import choose, local_fleet
from voicefleet.cli.target import Target
from voicefleet_operator.kube.cluster import Document
from voicefleet_operator.kube.endpoints import CUSTOM, NODE, OWNED, SECRET
from voicefleet_operator.kube.errors import Forbidden, KubernetesError
from voicefleet_operator.model.manifest import signaling_name


def door(target: Target, api_key: str) -> Door:
    """A client's way in, as the target says."""
    if target.url:
        if not api_key:
            raise Failure("--url needs --api-key", "give one of the fleet's API keys", Exit.USAGE)
        return Door(f"{target.url.rstrip('/').removesuffix('/v1')}/v1", api_key)
    local = local_fleet(target)
    if local is not None:
        return Door(local.base_url, api_key or local.api_key, local.certificate)
    fleet = choose(target)
    assert isinstance(fleet, ClusterFleet), "neither here nor by its URL"
    return asyncio.run(_of_cluster(fleet, api_key))


async def _of_cluster(fleet: ClusterFleet, api_key: str) -> Door:
    async with fleet:
        name = await fleet.fleet()
        try:
            found = await fleet.cluster.get(CUSTOM["VoiceFleet"], fleet.namespace, name)
            service = await fleet.cluster.get(OWNED["Service"], fleet.namespace, signaling_name(name))
            url = way_in(found, service, await _nodes(fleet))
            if not url:
                raise Failure(
                    f"the fleet {name} has no address outside of its cluster",
                    "set spec.signaling.host or spec.signaling.service.type, or give --url and --api-key",
                    Exit.UNREACHABLE,
                )
            if not api_key:
                ref = found["spec"].get("signaling", {}).get("apiKeysSecretRef") or {"name": f"{name}-api-keys"}
                secret = await fleet.cluster.get(SECRET, fleet.namespace, ref["name"])
                api_key = _first_key(secret.get("data") or {})
        except KubernetesError as error:
            raise explained(error) from None
    return Door(f"{url}/v1", api_key)


async def _nodes(fleet: ClusterFleet) -> list[Document]:
    """Not everybody may see them, and not everybody needs them."""
    try:
        return await fleet.cluster.list(NODE)
    except Forbidden:
        return []


def _first_key(data: dict[str, str]) -> str:
    keys = (base64.b64decode(text).decode(errors="replace").strip() for text in data.values())
    for key in keys:
        if key and not key.startswith("sha256:"):
            return key
    raise Failure("the fleet's Secret holds only hashes of API keys", "give a key with --api-key", Exit.USAGE)

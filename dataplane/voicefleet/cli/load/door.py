"""Where the calls of a load are started, and by which key."""

import asyncio
import base64

from voicefleet.cli.cluster_api import ClusterFleet, explained
from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.load.run import Door
from voicefleet.cli.reach import choose, local_fleet
from voicefleet.cli.target import Target
from voicefleet_operator.kube.endpoints import CUSTOM, SECRET
from voicefleet_operator.kube.errors import KubernetesError


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
            endpoint = found.get("status", {}).get("endpoint", "")
            if not endpoint:
                raise Failure(
                    f"the fleet {name} has no address for clients yet",
                    "set spec.signaling.host, or give --url and --api-key",
                    Exit.UNREACHABLE,
                )
            if not api_key:
                ref = found["spec"].get("signaling", {}).get("apiKeysSecretRef") or {"name": f"{name}-api-keys"}
                secret = await fleet.cluster.get(SECRET, fleet.namespace, ref["name"])
                api_key = _first_key(secret.get("data") or {})
        except KubernetesError as error:
            raise explained(error) from None
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    return Door(f"{url.rstrip('/').removesuffix('/v1')}/v1", api_key)


def _first_key(data: dict[str, str]) -> str:
    keys = (base64.b64decode(text).decode(errors="replace").strip() for text in data.values())
    for key in keys:
        if key and not key.startswith("sha256:"):
            return key
    raise Failure("the fleet's Secret holds only hashes of API keys", "give a key with --api-key", Exit.USAGE)

"""Custom resources as values, for tests of what the operator makes of them."""

from typing import Any

from voicefleet_operator.api.relay_pool import RelayPoolSpec, RelayPoolStatus
from voicefleet_operator.api.transceiver_shard import TransceiverShardSpec, TransceiverShardStatus
from voicefleet_operator.api.voice_fleet import VoiceFleetSpec, VoiceFleetStatus
from voicefleet_operator.model.resources import Fleet, Installation, Pool, Resource, Shard

HERE = Installation("registry.example:5000/voicefleet:0.1.0", "voicefleet-system", service_monitors=True)
NAMESPACE = "voice"


def fleet(name: str = "demo", **spec: Any) -> Fleet:
    """A fleet with these fields of its spec, as a user spells them."""
    return Resource(
        "VoiceFleet",
        NAMESPACE,
        name,
        f"uid-{name}",
        1,
        "1",
        VoiceFleetSpec.model_validate(spec),
        VoiceFleetStatus(),
    )


def pool(name: str = "edge", **spec: Any) -> Pool:
    """A pool with these fields of its spec."""
    model = RelayPoolSpec.model_validate({"fleetRef": "demo", **spec})
    return Resource("RelayPool", NAMESPACE, name, f"uid-{name}", 1, "1", model, RelayPoolStatus())


def shard(name: str = "main", **spec: Any) -> Shard:
    """A shard with these fields of its spec."""
    model = TransceiverShardSpec.model_validate({"fleetRef": "demo", **spec})
    return Resource("TransceiverShard", NAMESPACE, name, f"uid-{name}", 1, "1", model, TransceiverShardStatus())


FLEET, POOL, SHARD = fleet(), pool(), shard()

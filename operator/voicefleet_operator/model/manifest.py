"""What every manifest has in common: labels, the owner, names."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from voicefleet.contract import Component, Label
from voicefleet_operator.api.kinds import API_VERSION
from voicefleet_operator.model.resources import Fleet, Pool, Resource, Shard

Manifest: TypeAlias = dict[str, Any]

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "voicefleet-operator"
"""The value of that label, and the field manager of everything that is applied."""


def pool_selector(pool: Pool) -> dict[str, str]:
    """Labels of a pool's relays, and of nothing else."""
    return {Label.COMPONENT: Component.RELAY, Label.FLEET: pool.spec.fleet_ref, Label.POOL: pool.name}


def shard_selector(shard: Shard) -> dict[str, str]:
    """Labels of a shard's transceivers, and of nothing else."""
    return {Label.COMPONENT: Component.TRANSCEIVER, Label.FLEET: shard.spec.fleet_ref, Label.SHARD: shard.name}


def fleet_selector(fleet: Fleet, component: str) -> dict[str, str]:
    """Labels of one of the parts that a fleet has itself."""
    return {Label.COMPONENT: component, Label.FLEET: fleet.name}


def selector_text(labels: Mapping[str, str]) -> str:
    """A selector as `/scale` and the API's list calls want it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def metadata(owner: Resource[Any, Any], name: str, labels: Mapping[str, str], **more: Any) -> Manifest:
    """Metadata of an object that goes when its owner goes."""
    reference = {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": {"app.kubernetes.io/name": "voicefleet", MANAGED_BY: MANAGER, **labels},
        "ownerReferences": [reference],
        **more,
    }


def relay_name(pool: str) -> str:
    """The name of a pool's workload, account and policies."""
    return f"{pool}-relay"


def transceiver_name(shard: str) -> str:
    """The name of a shard's workload, account and policies."""
    return f"{shard}-transceiver"


def signaling_name(fleet: str) -> str:
    """The name of a fleet's signaling."""
    return f"{fleet}-signaling"


def session_map_name(fleet: str) -> str:
    """The name of a fleet's embedded Redis, and of the Secret with its password and address."""
    return f"{fleet}-session-map"


def keys_name(fleet: str) -> str:
    """The Secret with the key ring."""
    return f"{fleet}-keys"


def certificate_name(fleet: str) -> str:
    """The Secret with the certificate of DTLS."""
    return f"{fleet}-certificate"


def api_keys_name(fleet: Fleet) -> str:
    """The Secret with the applications' API keys: the user's, or one that is made."""
    ref = fleet.spec.signaling.api_keys_secret_ref
    return ref.name if ref is not None else f"{fleet.name}-api-keys"

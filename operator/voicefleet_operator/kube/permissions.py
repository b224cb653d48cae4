"""What the operator's role lets it do: exactly what the code asks for, as RBAC objects.

`scripts/check --fix` writes them to rbac/. The tests of the cluster tier run the operator with these roles and nothing
else, and hold the API server's audit log against them: what is not used is not granted.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import yaml

from voicefleet_operator.kube.endpoints import (
    AUTOSCALER,
    CUSTOM,
    EVENT,
    LEASE,
    NODE,
    OWNED,
    POD,
    POD_MONITOR,
    SECRET,
    Endpoint,
)

NAME: Final = "voicefleet-operator"
FOLDER: Final = "rbac"
_HEADER: Final = "# Made from voicefleet_operator.kube.permissions by scripts/check --fix.\n"

_SEEN: Final = ("list", "watch")
_MADE: Final = (*_SEEN, "create", "patch", "delete")


class Grant(NamedTuple):
    """Verbs on kinds, or on a subresource of them."""

    endpoints: tuple[Endpoint, ...]
    verbs: tuple[str, ...]
    subresource: str = ""


IN_NAMESPACES: Final = (
    Grant(tuple(CUSTOM.values()), _SEEN),
    Grant(tuple(CUSTOM.values()), ("update",), "status"),
    # Owner references that block their owner's deletion are refused without this where the API server checks them.
    Grant(tuple(CUSTOM.values()), ("update",), "finalizers"),
    Grant((CUSTOM["RelayPool"], CUSTOM["TransceiverShard"]), ("patch",), "scale"),
    Grant((*OWNED.values(), POD_MONITOR), _MADE),
    Grant((SECRET,), (*_SEEN, "get", "create", "update")),
    Grant((POD,), (*_SEEN, "patch", "delete")),
    Grant((AUTOSCALER,), _SEEN),
    Grant((EVENT,), ("create",)),
)
"""In every namespace that the operator is responsible for."""
OF_CLUSTER: Final = (Grant((NODE,), _SEEN),)
"""Of what is in no namespace: the addresses of nodes, which relays on host and node ports are reached by."""
OF_LEASE: Final = (Grant((LEASE,), ("get", "create", "update")),)
"""In the namespace that the operator runs in."""


def rules(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """The rules of a role, one for each API group of a grant."""
    made = []
    for grant in grants:
        groups: dict[str, list[str]] = {}
        for endpoint in grant.endpoints:
            suffix = f"/{grant.subresource}" if grant.subresource else ""
            groups.setdefault(endpoint.group, []).append(endpoint.plural + suffix)
        made += [
            {"apiGroups": [group], "resources": resources, "verbs": list(grant.verbs)}
            for group, resources in groups.items()
        ]
    return made


def files() -> dict[str, str]:
    """The roles by their paths in the repository."""
    every = (*IN_NAMESPACES, *OF_CLUSTER)
    return {
        f"{FOLDER}/cluster.yaml": _role("ClusterRole", NAME, every, "For an operator of all namespaces."),
        f"{FOLDER}/namespace.yaml": _role(
            "Role", NAME, IN_NAMESPACES, "For an operator of some namespaces: in each of them, with nodes.yaml."
        ),
        f"{FOLDER}/nodes.yaml": _role("ClusterRole", f"{NAME}-nodes", OF_CLUSTER, "Beside namespace.yaml."),
        f"{FOLDER}/lease.yaml": _role("Role", f"{NAME}-lease", OF_LEASE, "Where the operator runs, in every case."),
    }


def _role(kind: str, name: str, grants: Iterable[Grant], purpose: str) -> str:
    document = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "voicefleet"}},
        "rules": rules(grants),
    }
    text: str = yaml.safe_dump(document, sort_keys=False, width=110)
    return f"{_HEADER}# {purpose}\n{text}"

"""kopf's watches: every object that the operator reads or makes is handed on as it is seen.

Only `event` handlers are used: they write nothing to the objects, neither finalizers nor annotations. kopf lists,
watches, notices streams that died silently, and begins anew where the API server has forgotten where it was.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import kopf

from voicefleet_operator.kube.endpoints import CUSTOM, NODE, OWNED, POD, SECRET, Endpoint
from voicefleet_operator.model.manifest import MANAGED_BY, MANAGER

Seen = Callable[[dict[str, Any], bool], None]
"""Takes an object and whether it is gone."""

WATCHED: Final = (*CUSTOM.values(), *OWNED.values(), POD, SECRET, NODE)
SERVER_SECONDS: Final = 300
"""After which a watch is opened anew, so that a connection which a firewall forgot is not trusted for ever."""


def registry(seen: Seen, nodes: bool = True) -> kopf.OperatorRegistry:
    """The handlers; without `nodes` where the operator's role does not reach them."""
    handlers = kopf.OperatorRegistry()
    for endpoint in WATCHED:
        if endpoint is NODE and not nodes:
            continue
        _watch(handlers, endpoint, seen)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, endpoint: Endpoint, seen: Seen) -> None:
    @kopf.on.event(endpoint.group, endpoint.version, endpoint.plural, id="seen", registry=handlers)
    def handle(event: Mapping[str, Any], **_: Any) -> None:
        # Items of a list do not say what they are.
        document = {**event["object"], "apiVersion": endpoint.api_version, "kind": endpoint.kind}
        seen(document, event["type"] == "DELETED")


def settings() -> kopf.OperatorSettings:
    """kopf as it suits us: no writes of its own, no peering, no look-out for new kinds."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.watching.server_timeout = SERVER_SECONDS
    made.watching.connect_timeout = 10.0
    made.queueing.idle_timeout = 1.0
    made.networking.request_timeout = 30.0
    for endpoint in (*OWNED.values(), POD, SECRET):
        # What others made is none of our business, and would cost memory.
        made.watching.label_selectors[endpoint.group, endpoint.version, endpoint.plural] = _selector(endpoint)
    return made


def _selector(endpoint: Endpoint) -> str:
    return "voicefleet.dev/fleet" if endpoint is POD else f"{MANAGED_BY}={MANAGER}"

"""kopf's watches: every object that the operator reads or makes is handed on as it is seen.

Only `event` handlers are used: they write nothing to the objects, neither finalizers nor annotations. kopf lists,
watches, notices streams that died silently, and begins anew where the API server has forgotten where it was.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import kopf

from voicefleet_operator.kube.endpoints import Endpoint
from voicefleet_operator.reconcile.watched import Watched

Seen = Callable[[dict[str, Any], bool], None]
"""Takes an object and whether it is gone."""

SERVER_SECONDS: Final = 300
"""After which a watch is opened anew, so that a connection which a firewall forgot is not trusted for ever."""


def registry(kinds: Iterable[Watched], seen: Seen) -> kopf.OperatorRegistry:
    """The handlers."""
    handlers = kopf.OperatorRegistry()
    for each in kinds:
        _watch(handlers, each.endpoint, seen)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, endpoint: Endpoint, seen: Seen) -> None:
    # A coroutine, though it waits for nothing: kopf would give a plain function to a thread, at ten times its cost.
    @kopf.on.event(endpoint.group, endpoint.version, endpoint.plural, id="seen", registry=handlers)
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        # Items of a list do not say what they are.
        document = {**event["object"], "apiVersion": endpoint.api_version, "kind": endpoint.kind}
        seen(document, event["type"] == "DELETED")


class _NothingKept(kopf.DiffBaseStorage):
    """What kopf remembers of an object to tell what has changed: nothing, since copying it is most of its work."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return None


def settings(kinds: Iterable[Watched]) -> kopf.OperatorSettings:
    """kopf as it suits us: no writes of its own, no peering, no look-out for new kinds."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.persistence.diffbase_storage = _NothingKept()
    made.watching.server_timeout = SERVER_SECONDS
    made.watching.connect_timeout = 10.0
    made.queueing.idle_timeout = 1.0
    made.networking.request_timeout = 30.0
    for endpoint, selector in kinds:
        if selector:
            made.watching.label_selectors[endpoint.group, endpoint.version, endpoint.plural] = selector
    return made

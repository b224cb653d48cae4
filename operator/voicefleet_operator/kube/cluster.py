"""Requests to the API server, with deadlines, as documents in and documents out.

The connection, its credentials and their renewal are the official client's. Typed model classes are not used: what the
operator applies are manifests, and what it reads of other kinds is a few fields.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from voicefleet_operator.kube.endpoints import Endpoint, endpoint_of
from voicefleet_operator.kube.errors import Unavailable, from_status

Document = dict[str, Any]

FIELD_MANAGER: Final = "voicefleet-operator"
SECONDS: Final = 15.0
"""For one request; a slower answer is none."""
NO_HEADERS: Final[Mapping[str, str]] = {}
PAGE: Final = 500
"""Objects in one answer to a list."""


class Cluster:
    """One API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.asked: Callable[[str, int], None] = lambda method, status: None
        """Told of every request and how it was answered, 0 for not at all."""
        self.answered_at = float("-inf")
        """By the monotonic clock, when the API server last answered."""

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> "Cluster":
        """By a kubeconfig file and one of its contexts, or as the pod that this runs in."""
        configuration = Configuration()
        if kubeconfig is not None:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, context=context, client_configuration=configuration
            )
        else:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = 32
        # Else every request would read the environment and ~/.netrc in a thread; a proxy stands in the kubeconfig.
        configuration.client_session_kwargs = {"trust_env": False}
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, endpoint: Endpoint, namespace: str | None, name: str) -> Document:
        """One object."""
        return await self._ask("GET", endpoint.path(namespace, name))

    async def list(self, endpoint: Endpoint, namespace: str | None = None, selector: str = "") -> list[Document]:
        """All objects, or those of a namespace, as they are now."""
        items: list[Document] = []
        following = ""
        while True:
            query = {"limit": str(PAGE), "labelSelector": selector, "continue": following}
            answer = await self._ask("GET", endpoint.path(namespace), query=query)
            items += answer.get("items", ())
            following = answer.get("metadata", {}).get("continue") or ""
            if not following:
                return items

    async def apply(self, manifest: Document, *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> Document:
        """Server-side apply: our fields become as they are here, foreign ones stay. A dry run keeps nothing."""
        metadata = manifest["metadata"]
        path = endpoint_of(manifest).path(metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": manager, "force": "true", **_dry(dry_run)}
        return await self._ask("PATCH", path, manifest, query, "application/apply-patch+yaml")

    async def create(self, document: Document, *, dry_run: bool = False) -> Document:
        """A new object; `Conflict` when there is one of that name."""
        endpoint = endpoint_of(document)
        path = endpoint.path(document["metadata"].get("namespace"))
        return await self._ask("POST", path, document, {"fieldManager": FIELD_MANAGER, **_dry(dry_run)})

    async def replace(self, document: Document, subresource: str | None = None) -> Document:
        """The whole object, or its status; `Conflict` unless its resourceVersion is the current one."""
        metadata = document["metadata"]
        path = endpoint_of(document).path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._ask("PUT", path, document, {"fieldManager": FIELD_MANAGER})

    async def merge(
        self,
        endpoint: Endpoint,
        namespace: str,
        name: str,
        change: Document,
        subresource: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Document:
        """Change some fields; with `metadata.resourceVersion` in it only if nobody else has."""
        path = endpoint.path(namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER, **_dry(dry_run)}
        return await self._ask("PATCH", path, change, query, "application/merge-patch+json")

    async def delete(self, endpoint: Endpoint, namespace: str, name: str, uid: str | None = None) -> None:
        """Remove an object, and then what it owns; with `uid` only if it is still that one."""
        options: Document = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        await self._ask("DELETE", endpoint.path(namespace, name), options)

    async def serves(self, endpoint: Endpoint) -> bool:
        """Whether the cluster knows a kind."""
        answer = await self._ask("GET", f"/apis/{endpoint.api_version}", missing={})
        return any(each.get("name") == endpoint.plural for each in answer.get("resources", ()))

    async def review(self, document: Document, path: str) -> Document:
        """A question that is asked by making an object which is not kept, such as who may do what."""
        return await self._ask("POST", path, document)

    async def through_service(
        self, namespace: str, service: str, method: str, path: str, body: Document | None, headers: Mapping[str, str]
    ) -> Document:
        """What a Service's HTTP server answers, by way of the API server: it takes `services/proxy`, and no tunnel."""
        way = f"/api/v1/namespaces/{namespace}/services/http:{service}:http/proxy{path}"
        return await self._ask(method, way, body, headers=headers)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        missing: Document | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Document:
        what = f"{method} {path}"
        # Not compressed, as by other controllers: long lists would cost the API server more than the network.
        header = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": content_type, **headers}
        pairs = [(key, value) for key, value in (query or {}).items() if value]
        try:
            request = await self._client.param_serialize(
                method, path, query_params=pairs, header_params=header, body=body, auth_settings=["BearerToken"]
            )
            answer = await self._client.call_api(*request, _request_timeout=SECONDS)
            content = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.asked(method, 0)
            raise Unavailable(what, 0, str(error) or type(error).__name__) from None
        self.asked(method, answer.status)
        self.answered_at = time.monotonic()
        document = _json(content)
        if answer.status == 404 and missing is not None:
            return missing
        if answer.status >= 400:
            after = answer.headers.get("Retry-After", "")
            message = str(document.get("message") or content[:300].decode(errors="replace"))
            raise from_status(what, answer.status, message, float(after) if after.isdigit() else None)
        return document


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _json(content: bytes) -> Document:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}

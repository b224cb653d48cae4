"""Kubelets that are not there: every pod starts as soon as it is seen, and answers nothing. As kwok does it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.kubernetes.control_plane import ControlPlane
from voicefleet_operator.api.kinds import KINDS

AT_ONCE = 8


class Client:
    """The API server by plain HTTP as its administrator, for what has to be asked often."""

    def __init__(self, session: aiohttp.ClientSession, plane: ControlPlane) -> None:
        self._session, self._url = session, plane.url

    async def get(self, path: str) -> dict[str, object]:
        """One document, or a list."""
        async with self._session.get(f"{self._url}{path}", ssl=False) as answer:
            assert answer.status == 200, await answer.text()
            document: dict[str, object] = await answer.json()
            return document

    async def merge(self, path: str, change: dict[str, object]) -> None:
        """Change some fields; that it has gone meanwhile is no error."""
        kind = {"Content-Type": "application/merge-patch+json"}
        async with self._session.patch(
            f"{self._url}{path}", data=json.dumps(change), headers=kind, ssl=False
        ) as answer:
            assert answer.status in (200, 404, 409), await answer.text()

    async def apply(self, document: dict[str, Any]) -> None:
        """Server-side apply of a namespace or of one of our kinds."""
        metadata = document["metadata"]
        if document["kind"] == "Namespace":
            path = f"/api/v1/namespaces/{metadata['name']}"
        else:
            plural = KINDS[document["kind"]].plural
            path = f"/apis/{document['apiVersion']}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
        kind = {"Content-Type": "application/apply-patch+yaml"}
        query = "fieldManager=tester&force=true"
        async with self._session.patch(
            f"{self._url}{path}?{query}", data=json.dumps(document), headers=kind, ssl=False
        ) as answer:
            assert answer.status in (200, 201), await answer.text()


@asynccontextmanager
async def client(plane: ControlPlane) -> AsyncIterator[Client]:
    """A connection that ends with the context."""
    # Not compressed: on loopback that is only work.
    headers = {"Authorization": f"Bearer {plane.token}", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(session, plane)


@asynccontextmanager
async def kubelets(api: Client, address: str) -> AsyncIterator[None]:
    """While the context lasts, all pods run at this address."""

    async def run() -> None:
        while True:
            found = await api.get("/api/v1/pods?fieldSelector=status.phase%3DPending&limit=200")
            pods = found["items"]
            assert isinstance(pods, list)
            names = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in pods]
            for at in range(0, len(names), AT_ONCE):
                await asyncio.gather(*(_start(api, *each, address) for each in names[at : at + AT_ONCE]))
            await asyncio.sleep(0.3)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()


async def _start(api: Client, namespace: str, name: str, address: str) -> None:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T00:00:00Z"}]
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
    await api.merge(f"/api/v1/namespaces/{namespace}/pods/{name}/status", {"status": status})

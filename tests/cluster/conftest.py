"""Two control planes for all tests of the tier, and one operator; each test has a namespace of its own.

Both planes and the operator are shared by the workers that tests run in beside each other.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import Operator, operator_process
from tests.support.kubernetes.programs import BuildError, Programs, programs
from tests.support.kubernetes.shared import Told, shared
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS

POD_MONITORS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "podmonitors.monitoring.coreos.com",
        "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in of the tests"},
    },
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}


LONGEST = ("test_command_line", "test_killed_at_every_step", "test_reachable", "test_monitoring", "test_leadership")
"""Modules whose tests wait for most of a minute: begun first, they end while the others run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session")
def built() -> Programs:
    """Kubernetes' programs."""
    try:
        return programs()
    except BuildError as error:
        pytest.fail(f"Kubernetes could not be built: {error}", pytrace=False)


@pytest.fixture(scope="session")
def meeting_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of the run have in common."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "shared"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plane(built: Programs, meeting_place: Path) -> AsyncIterator[ApiServer]:
    """Kubernetes with the four kinds and with Prometheus', where `operator` looks after all namespaces."""
    async with _plane(built, meeting_place, "plane") as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def apart(built: Programs, meeting_place: Path) -> AsyncIterator[ApiServer]:
    """Kubernetes with the four kinds, for operators that a test starts for its own namespace."""
    async with _plane(built, meeting_place, "apart") as running:
        yield running


@pytest_asyncio.fixture
async def own_plane(built: Programs) -> AsyncIterator[ControlPlane]:
    """Kubernetes with the four kinds, for a test that takes it down."""
    async with control_plane(built) as running:
        _furnish(running)
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operator(plane: ApiServer, meeting_place: Path) -> AsyncIterator[Operator]:
    """An operator that is responsible for all namespaces."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Told]:
        async with operator_process(plane, "operator") as running:
            await running.says("leads as")
            yield {"health": running.health}
            print(running.log.read_text()[-3000:])

    async with shared(meeting_place, "operator", start) as told:
        yield Operator(plane.log("operator"), told["health"])


@pytest.fixture
def voice(plane: ApiServer, namespace: str, operator: Operator) -> Namespace:
    """A namespace that the operator looks after, in a cluster with a node."""
    return Namespace(plane, namespace)


@pytest.fixture
def namespace(plane: ApiServer) -> Iterator[str]:
    """A namespace that is removed after the test."""
    yield from _namespace(plane)


@pytest.fixture
def namespace_apart(apart: ApiServer) -> Iterator[str]:
    """A namespace that nobody looks after, and that is removed after the test."""
    yield from _namespace(apart)


def _namespace(plane: ApiServer) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@asynccontextmanager
async def _plane(built: Programs, meeting_place: Path, name: str) -> AsyncIterator[ApiServer]:
    async with shared(meeting_place, name, partial(_started, built)) as told:
        yield ApiServer(built, Path(told["folder"]), told["port"], told["token"])


@asynccontextmanager
async def _started(built: Programs) -> AsyncIterator[Told]:
    async with control_plane(built) as running:
        _furnish(running)
        yield {"folder": str(running.folder), "port": running.port, "token": running.token}


def _furnish(running: ControlPlane) -> None:
    """The controllers, the kinds, and a node."""
    running.start_controllers()
    running.apply(*(definition(kind) for kind in KINDS.values()), POD_MONITORS)
    established = [f"crd/{kind.crd}" for kind in KINDS.values()]
    established.append("crd/podmonitors.monitoring.coreos.com")
    waited = running.kubectl("wait", "--for=condition=Established", "--timeout=60s", *established)
    assert waited.returncode == 0, waited.stderr
    addresses = [{"type": "InternalIP", "address": "127.10.0.1"}, {"type": "ExternalIP", "address": "127.198.51.1"}]
    running.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": {"edge": "yes"}}})
    Namespace(running, "default").set_status("node/node-1", {"addresses": addresses})

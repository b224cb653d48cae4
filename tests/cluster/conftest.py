"""One control plane for all tests of the tier; each test has a namespace of its own in it."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import OperatorProcess, operator_process
from tests.support.kubernetes.programs import BuildError, programs
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plane() -> AsyncIterator[ControlPlane]:
    """Kubernetes with the four kinds."""
    try:
        built = programs()
    except BuildError as error:
        pytest.fail(f"Kubernetes could not be built: {error}", pytrace=False)
    async with control_plane(built) as running:
        running.start_controllers()
        running.apply(*(definition(kind) for kind in KINDS.values()))
        established = [f"crd/{kind.crd}" for kind in KINDS.values()]
        waited = running.kubectl("wait", "--for=condition=Established", "--timeout=60s", *established)
        assert waited.returncode == 0, waited.stderr
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(plane: ControlPlane, request: pytest.FixtureRequest) -> AsyncIterator[OperatorProcess]:
    """An operator that is responsible for all namespaces, while the tests of one module run."""
    async with operator_process(plane, request.node.path.stem.replace("_", "-")) as running:
        await running.says("leads as")
        yield running
        print(running.log.read_text()[-3000:])


@pytest.fixture
def voice(plane: ControlPlane, namespace: str, operator: OperatorProcess) -> Namespace:
    """A namespace that the operator looks after, in a cluster with a node."""
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "ExternalIP", "address": "198.51.100.1"}]
    plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": {"edge": "yes"}}})
    Namespace(plane, "default").set_status("node/node-1", {"addresses": addresses})
    return Namespace(plane, namespace)


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A namespace that is removed after the test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")

"""One cluster of one node for all tests with real pods, the chart installed in it, and a fleet from the example."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scripts.oci.archive import write
from scripts.oci.layers import NotMade
from scripts.oci.product import product_image
from tests.support.failure_table import FailureTable
from tests.support.kubernetes.cluster import GIVEN, Cluster, GivenCluster, found
from tests.support.kubernetes.cluster_images import load_cluster_images
from tests.support.kubernetes.one_node import one_node
from tests.support.kubernetes.programs import BuildError, node_programs, programs
from tests.support.kubernetes.talk import Talk
from tests.support.kubernetes.voice import EXAMPLE, PROJECT, Voice
from tests.support.tiers import CONTAINERS, KERNEL_TIER

CHART = PROJECT / "helm" / "voicefleet"
REPOSITORY, _, TAG = os.environ.get("VF_IMAGE", "voicefleet.dev/voicefleet:test").rpartition(":")
"""In a cluster that was given its nodes have to have it, or to get it."""
LOGS = PROJECT / ".cache" / "test" / "cluster"
SPARE = {
    "apiVersion": "voicefleet.dev/v1alpha1",
    "kind": "RelayPool",
    "metadata": {"name": "spare"},
    "spec": {"fleetRef": "demo", "region": "home", "expose": {"type": "HostPort"}},
}
IN_EARNEST = {"resources": {"requests": {"cpu": "250m"}}}
"""Of relays and transceivers: with the little that the example asks for, pods that start take the processor from those
that have calls."""
SHORT_DRAIN = {"drain": {"deadline": "12s"}}
"""Of relays, so that the tests wait less; clients begin to move nine seconds before the end in any case."""

FIRST_SECONDS = 3600
"""For one test: the first of all waits for programs and an image that nobody on this machine has built before."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need a node, unless they are given a cluster."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            if not os.environ.get(GIVEN):
                item.add_marker(pytest.mark.needs(CONTAINERS, KERNEL_TIER))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(FIRST_SECONDS))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The node, with the product's image and what pods stand on; or the cluster that the tests were given."""
    if given := os.environ.get(GIVEN):
        kubectl, helm = found("kubectl", lambda: programs().kubectl), found("helm", lambda: node_programs().helm)
        yield GivenCluster(Path(given), kubectl, helm, tmp_path_factory.mktemp("given"))
        return
    try:
        built, node_built, image = programs(), node_programs(), product_image()
    except (BuildError, NotMade) as error:
        pytest.fail(f"there is no cluster: {error}", pytrace=False)
    with one_node(built, node_built, LOGS / "start") as running:
        load_cluster_images(running, node_built.pause, node_built.coredns)
        running.load(partial(write, image, f"{REPOSITORY}:{TAG}"))
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def chart(cluster: Cluster) -> Cluster:
    """The cluster with the chart installed as a user would."""
    image = ("--set", f"image.repository={REPOSITORY}", "--set", f"image.tag={TAG}")
    install = ("install",) if cluster.own else ("upgrade", "--install")  # somebody's may have it already
    ran = cluster.helm(
        *(*install, "voicefleet", str(CHART), "--namespace", "voicefleet-system", "--create-namespace", *image),
        *("--set", "operator.replicas=2", "--wait", "--timeout", "180s"),
    )
    assert ran.returncode == 0, ran.stderr
    return cluster


@pytest.fixture(scope="session")
def voice(chart: Cluster) -> Voice:
    """The fleet of docs/examples/voicefleet.yaml, ready. A test leaves it as it was."""
    made = Voice(chart, "voice")
    chart.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            # Host ports, which the example takes, are not for everybody.
            "metadata": {"name": "voice", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
        }
    )
    made.k("apply", "-f", str(EXAMPLE))
    made.ready_after = made.wait_until_ready()
    print(f"ready {made.ready_after:.0f} s after kubectl apply")
    return made


@pytest.fixture(scope="session")
def table() -> Iterator[FailureTable]:
    """Collects a row of each test, and is written when all have run."""
    made = FailureTable()
    yield made
    made.write()


@pytest.fixture(scope="session")
def two_relays(voice: Voice) -> Iterator[Voice]:
    """A second relay, which answers offer beside the first. A node has a host port once, so it is of another pool."""
    voice.k("apply", "--server-side", "-f", "-", stdin=json.dumps(SPARE))
    for pool in ("edge", "spare"):
        voice.k("patch", f"rp/{pool}", "--type=merge", "-p", json.dumps({"spec": SHORT_DRAIN | IN_EARNEST}))
    voice.k("patch", "ts/main", "--type=merge", "-p", json.dumps({"spec": IN_EARNEST}))
    voice.wait_until_settled()
    yield voice
    voice.k("delete", "rp/spare", "--ignore-not-found")


@pytest.fixture(scope="module")
def talking(two_relays: Voice, table: FailureTable) -> Iterator[Talk]:
    """Calls that one test leaves to the next."""
    made = Talk(two_relays, table)
    yield made
    made.hang_up()


@pytest.fixture
def talk(talking: Talk) -> Iterator[Talk]:
    """The calls in a fleet that is whole, which it is again afterwards."""
    talking.callers()
    yield talking
    if talking.voice.going("transceiver"):
        talking.hang_up()  # a pod that was told to go stays for as long as it has calls
    talking.voice.wait_until_settled()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Where a test fails, keep what all programs and pods said."""
    report = yield
    running = getattr(item, "funcargs", {}).get("chart") or getattr(item, "funcargs", {}).get("cluster")
    voice = getattr(item, "funcargs", {}).get("voice")
    running = running or (voice.cluster if voice is not None else None)
    if report.failed and running is not None:
        running.keep_logs(LOGS / item.name)
        report.sections.append(("cluster", f"logs of programs and pods are in {LOGS / item.name}"))
    return report

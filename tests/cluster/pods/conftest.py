"""One cluster of one node for all tests with real pods, the chart installed in it, and a fleet from the example."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scripts.oci.archive import write
from scripts.oci.layers import NotMade
from scripts.oci.product import product_image
from tests.support.kubernetes.cluster_images import load_cluster_images
from tests.support.kubernetes.one_node import OneNode, one_node
from tests.support.kubernetes.programs import BuildError, node_programs, programs
from tests.support.kubernetes.voice import EXAMPLE, PROJECT, Voice
from tests.support.tiers import CONTAINERS, KERNEL_TIER

CHART = PROJECT / "helm" / "voicefleet"
IMAGE = "voicefleet.dev/voicefleet"
TAG = "test"
LOGS = PROJECT / ".cache" / "test" / "cluster"


FIRST_SECONDS = 3600
"""For one test: the first of all waits for programs and an image that nobody on this machine has built before."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need a node."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.needs(CONTAINERS, KERNEL_TIER))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(FIRST_SECONDS))


@pytest.fixture(scope="session")
def cluster() -> Iterator[OneNode]:
    """The node, with the product's image and what pods stand on."""
    try:
        built, node_built, image = programs(), node_programs(), product_image()
    except (BuildError, NotMade) as error:
        pytest.fail(f"there is no cluster: {error}", pytrace=False)
    with one_node(built, node_built, LOGS / "start") as running:
        load_cluster_images(running, node_built.pause, node_built.coredns)
        running.load(partial(write, image, f"{IMAGE}:{TAG}"))
        running.tag(f"{IMAGE}:{TAG}", f"{IMAGE}:next")  # the same by another release's name: for rollouts
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def chart(cluster: OneNode) -> OneNode:
    """The cluster with the chart installed as a user would."""
    ran = cluster.helm(
        *("install", "voicefleet", str(CHART), "--namespace", "voicefleet-system", "--create-namespace"),
        *("--set", f"image.tag={TAG}", "--wait", "--timeout", "180s"),
    )
    assert ran.returncode == 0, ran.stderr
    return cluster


@pytest.fixture(scope="session")
def voice(chart: OneNode) -> Voice:
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
    print(f"ready {made.wait_until_ready():.0f} s after kubectl apply")
    return made


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

"""The operator tells how it is: to the kubelet that would restart it, and to Prometheus."""

from collections.abc import AsyncIterator

import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import Operator, OperatorProcess, operator_process


def _figures(operator: Operator) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    status, text = operator.asked("/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _sum(operator: Operator, metric: str, /, **labels: str) -> float:
    return sum(
        value
        for (found, has), value in _figures(operator).items()
        if found == metric and has >= frozenset(labels.items())
    )


@pytest_asyncio.fixture
async def follower(voice: Namespace, operator: Operator) -> AsyncIterator[OperatorProcess]:
    """A second replica, which does not act."""
    name = operator.log.stem
    async with operator_process(voice.plane, f"{name}-second", lease=name) as second:
        await second.says("stands by")
        yield second


async def test_its_figures_show_what_it_does_and_what_its_fleets_lack(voice: Namespace, operator: Operator) -> None:
    assert operator.asked("/livez") == (200, "ok\n") and operator.asked("/readyz")[0] == 200
    voice.smallest()
    await voice.until(lambda: voice.get("deploy/edge-relay"), "there are relays")
    policy = {"targetRef": {"kind": "RelayPool", "name": "edge"}, "minReplicas": 2, "flows": 100}
    decided = _sum(operator, "voicefleet_operator_scaling_decisions_total", kind="RelayPool")
    voice.apply("ScalingPolicy", "grows", policy)
    place = {"namespace": voice.name, "name": "demo"}
    await voice.until(
        lambda: _sum(operator, "voicefleet_port_leases", state="Bound", **place) == 1, "the port that is in use"
    )
    assert _sum(operator, "voicefleet_port_range", **place) == 200
    assert _sum(operator, "voicefleet_operator_leads") == 1
    for kind in ("VoiceFleet", "RelayPool", "TransceiverShard", "ScalingPolicy"):
        assert _sum(operator, "voicefleet_operator_reconcile_seconds_count", kind=kind) > 0
    assert _sum(operator, "voicefleet_operator_queue_seconds_count") > 0
    assert _sum(operator, "voicefleet_operator_api_requests_total", method="PATCH") > 0
    await voice.until(
        lambda: _sum(operator, "voicefleet_operator_scaling_decisions_total", kind="RelayPool") > decided,
        "its decisions",
    )
    broken = {"namespace": voice.name, "name": "edge", "type": "Ready"}
    names = [name for name, labels in _figures(operator) if labels >= frozenset(broken.items())]
    assert names == ["voicefleet_resource_condition"] and _sum(operator, names[0], **broken) == 0


async def test_one_that_does_not_act_is_ready_and_tells_of_no_fleet(
    voice: Namespace, follower: OperatorProcess
) -> None:
    voice.smallest()
    await voice.until(lambda: voice.get("deploy/edge-relay"), "there are relays")
    assert follower.asked("/readyz")[0] == 200 and follower.asked("/livez")[0] == 200
    assert _sum(follower, "voicefleet_operator_leads") == 0
    assert not [name for name, _ in _figures(follower) if name.startswith(("voicefleet_resource", "voicefleet_port"))]

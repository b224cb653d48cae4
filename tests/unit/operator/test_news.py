"""Which changes of conditions become Events."""

import pytest

from voicefleet_operator.api.conditions import Condition, condition
from voicefleet_operator.reconcile.statuses import news

STARTING = condition("Ready", False, "RelaysStarting")
READY = condition("Ready", True, "RelaysReady")
STALLED = condition("Ready", False, "RolloutStalled")
WAITING = condition("PortsAllocated", False, "Waiting")
LEASED = condition("PortsAllocated", True, "PortLeased")
CONFLICT = condition("PortsAllocated", False, "PortConflict")
FINE = condition("Degraded", False, "AllPodsReady")
BROKEN = condition("Degraded", True, "PodsNotReady")
DRAINING = condition("Draining", True, "CallsGoOn")
DRAINED = condition("Draining", False, "NoPodDrains")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param([], [STARTING, WAITING, FINE, DRAINED], [], id="a new object begins"),
        pytest.param([STARTING, WAITING], [STARTING, LEASED], [], id="and gets what it waits for"),
        pytest.param([STARTING, LEASED], [READY, LEASED], [READY], id="it became Ready"),
        pytest.param([READY], [STARTING], [STARTING], id="it was Ready and is not any more"),
        pytest.param([STARTING], [STALLED], [STALLED], id="it will never be by itself"),
        pytest.param([], [CONFLICT], [CONFLICT], id="it lacks something from the beginning"),
        pytest.param([CONFLICT], [LEASED], [LEASED], id="what was wrong is mended"),
        pytest.param([FINE], [BROKEN], [BROKEN], id="it breaks"),
        pytest.param([BROKEN], [FINE], [FINE], id="and heals"),
        pytest.param([BROKEN, CONFLICT], [BROKEN, CONFLICT], [], id="nothing has changed"),
        pytest.param([DRAINED], [DRAINING], [DRAINING], id="calls wait for their pod to go"),
        pytest.param([DRAINING], [DRAINED], [], id="and have ended"),
    ],
)
def test_what_a_person_wants_to_know_is_told_once(
    before: list[Condition], after: list[Condition], told: list[Condition]
) -> None:
    """Every object is unready at first; that is no news."""
    assert list(news(before, after)) == told

"""The short form of scripts/bench transceiver_soak."""

import pytest

from tests.bench.transceiver_soak import growth, soak
from tests.support.tiers import GO


@pytest.mark.needs(GO)
def test_of_calls_that_come_and_go_nothing_is_left() -> None:
    moments, failed, reasons = soak(12.0, 6, 8, 8.0)
    assert failed == 0, reasons
    first, last = moments[2], moments[-1]
    assert last.gone >= 48
    assert last.calls == 0
    assert (last.tasks, last.threads, last.descriptors) == (first.tasks, first.threads, first.descriptors)
    assert growth(moments, lambda each: each.objects) < 50, "a call has hundreds of objects; the rest is warming up"

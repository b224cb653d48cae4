"""The short form of scripts/bench transceiver_soak."""

import pytest

from tests.bench.transceiver_soak import growth, soak
from tests.support.tiers import GO


@pytest.mark.needs(GO)
def test_of_calls_that_come_and_go_nothing_is_left() -> None:
    soaked = soak(12.0, 6, 8, 8.0, compiled=False)
    assert soaked.failed == 0, soaked.reasons
    assert soaked.listened == 48 and soaked.silent == 0
    moments = soaked.moments
    first, last = moments[2], moments[-1]
    assert last.gone >= 48
    assert last.calls == 0
    assert (last.tasks, last.threads, last.descriptors) == (first.tasks, first.threads, first.descriptors)
    assert growth(moments, lambda each: each.objects) < 50, "a call has hundreds of objects; the rest is warming up"

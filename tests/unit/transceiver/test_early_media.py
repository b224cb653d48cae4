"""Media that came before its keys."""

from voicefleet.core.ice_lite import Path
from voicefleet.core.transceiver.early_media import LARGEST, EarlyMedia

HOME = Path(None, ("192.0.2.1", 4000))


def test_it_is_given_back_once_in_order_with_the_moment_of_each_arrival() -> None:
    early = EarlyMedia()
    early.keep(HOME, b"one", 1.0)
    early.keep(HOME, b"two", 1.02)
    assert early.take() == [(1.0, HOME, b"one"), (1.02, HOME, b"two")] and early.take() == []


def test_nobody_fills_memory_with_it() -> None:
    early = EarlyMedia()
    for _ in range(LARGEST // 1000 + 5):
        early.keep(HOME, bytes(1000), 1.0)
    assert sum(len(packet) for _, _, packet in early.take()) <= LARGEST and early.dropped == 5

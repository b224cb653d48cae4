"""What a transport feedback says, as its receiver would read it."""

from collections.abc import Iterator

from voicefleet.wire.transport_feedback import DELTA_TICK_US, REFERENCE_TICK_US, TransportFeedback


def arrival_times(report: TransportFeedback) -> Iterator[tuple[int, int]]:
    """Sequence number and time of arrival in microseconds on the sender of the report's clock."""
    now = report.reference_time * REFERENCE_TICK_US
    for sequence, delta in report.arrivals:
        now += delta * DELTA_TICK_US
        yield sequence, now

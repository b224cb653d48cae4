"""What a call measures about itself: one record, made when somebody asks, cheap enough to be asked for every second."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UplinkMeasurements:
    """From the caller to the agent."""

    packets: int
    octets: int
    lost: int
    """By the network, before any recovery."""
    jitter: float
    """Interarrival jitter, seconds."""
    heard: int
    """Frames handed over as they were said."""
    concealed: int
    """Frames that never came."""
    comfort: int
    stalled: int
    late: int
    """Packets that came after their frame had been concealed."""
    duplicates: int
    recovered_by_redundancy: int
    retransmitted: int
    overtaken: int
    asked: int
    """Sequence numbers in NACKs that we sent."""
    buffer_delay: float
    """Mean wait of a frame in the jitter buffer, seconds."""
    buffer_delay_max: float
    wait: float
    """How long a gap is waited for at present, seconds."""
    mos: float

    @property
    def concealment(self) -> float:
        """Share of frames that never came."""
        return self.concealed / total if (total := self.heard + self.concealed) else 0.0


@dataclass(frozen=True, slots=True)
class DownlinkMeasurements:
    """From the agent to the caller; loss and jitter are what the caller's side reports."""

    packets: int
    octets: int
    loss: float
    """Share lost in the last report's interval."""
    lost: int
    jitter: float
    retransmitted: int
    copies: int
    """Redundant frames sent."""
    played_ms: float
    queued_ms: float
    slips: int
    """Times that the clock gave up catching up."""
    clock_error: tuple[int, ...]
    """Frames by how late they left: at most each of `stream.CLOCK_ERROR_BOUNDS`, the last one beyond them all."""
    mos: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """One call's audio."""

    round_trip: float | None
    """Seconds; none before anything told it."""
    uplink: UplinkMeasurements
    downlink: DownlinkMeasurements
    refused: dict[str, int]
    """Packets that were not used, by reason."""

"""What survives a packet process: enough of a flow to go on with it elsewhere, as plain values."""

from typing import NamedTuple

from voicefleet.core.relay.flow import Client, Flow
from voicefleet.core.relay.hop_peer import HopAddress


class FlowRecord(NamedTuple):
    """A confirmed flow as the control side keeps it, for a packet process that takes over and for the session map.

    Its token is not among it: the next check brings it.
    """

    client: Client
    local: tuple[str, int]
    """Public address and port that the client talks to."""
    hop: HopAddress
    generation: int
    """-1 when the flow came back without a check."""
    ssrc: int
    """-1 while no media has been seen."""


def record_of(flow: Flow) -> FlowRecord:
    """A flow as plain values."""
    return FlowRecord(flow.client, flow.via.local, flow.peer.address, flow.generation, flow.ssrc)

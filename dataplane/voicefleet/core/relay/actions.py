"""What the relay's core asks the packet loop to do. Values; the loop carries them out in order."""

from typing import NamedTuple, TypeAlias

from voicefleet.core.relay.flow import Buffer, Client, Flow, Via
from voicefleet.core.relay.hop_peer import HopPeer


class ToTransceiver(NamedTuple):
    """Send a packet over the hop, bundled with others if there are any."""

    peer: HopPeer
    header: bytes
    payload: bytes


class ToClient(NamedTuple):
    """Send a packet to a client. Only ever to one that is verified, or vouched for by a transceiver."""

    via: Via
    client: Client
    payload: Buffer


class LookUp(NamedTuple):
    """Ask the session map which transceiver this client's call lives at; the answer goes to `Forwarder.found`."""

    client: Client


class Confirmed(NamedTuple):
    """A flow is proven: it goes into the session map."""

    flow: Flow


class Accelerate(NamedTuple):
    """A confirmed flow whose SSRC is known: from now on the kernel may forward it."""

    flow: Flow


class Ended(NamedTuple):
    """A flow left the table; the kernel must no longer forward it."""

    flow: Flow


class PeerGone(NamedTuple):
    """A transceiver's worker does not answer; its calls' checks are refused."""

    peer: HopPeer


Action: TypeAlias = ToTransceiver | ToClient | LookUp | Confirmed | Accelerate | Ended | PeerGone

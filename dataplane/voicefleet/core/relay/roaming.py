"""Media from an address without a flow: whose is it? The SSRC says so, and only the transceiver can prove it.

Such packets are forwarded with the UNVERIFIED flag, within a rate, and change nothing until the transceiver that could
authenticate them says MOVED (DESIGN 5, roaming b). Some address that merely guesses an SSRC gains nothing.
"""

from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import Client, Flow, FlowState, Via
from voicefleet.core.relay.limits import Limits, TokenBucket


class Roamer:
    """An unknown address whose media carries the SSRC of a known flow."""

    __slots__ = ("client", "flow", "header", "rate", "until", "via")

    def __init__(self, client: Client, via: Via, flow: Flow, header: bytes, rate: TokenBucket, until: float) -> None:
        self.client = client
        self.via = via
        self.flow = flow
        self.header = header
        self.rate = rate
        self.until = until


class Roaming:
    """The SSRCs of confirmed flows and the addresses that are being believed on trial."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._flows: dict[int, Flow] = {}
        self._roamers: dict[Client, Roamer] = {}
        self._rates: dict[Flow, tuple[TokenBucket, int]] = {}
        """For each flow that is roaming: the rate that all its new addresses share, and how many these are."""

    def __len__(self) -> int:
        return len(self._roamers)

    def learn(self, flow: Flow, ssrc: int) -> None:
        """Notes whose SSRC it is; the latest flow that sends it owns it."""
        self.forget(flow)
        flow.ssrc = ssrc
        self._flows[ssrc] = flow

    def forget(self, flow: Flow) -> None:
        """A flow has ended, or gets a new SSRC."""
        if self._flows.get(flow.ssrc) is flow:
            del self._flows[flow.ssrc]
        flow.ssrc = -1

    def owner(self, ssrc: int) -> Flow | None:
        """The confirmed flow that this SSRC belongs to."""
        return self._flows.get(ssrc)

    def known(self, client: Client) -> Roamer | None:
        """The address that is on trial, if it is."""
        return self._roamers.get(client)

    def follow(self, client: Client, via: Via, flow: Flow, header: bytes, now: float) -> Roamer | Drop:
        """Begins to forward the address's media to the flow's transceiver."""
        rate, addresses = self._rates.get(flow) or (TokenBucket(self._limits.roaming_rate, now), 0)
        if len(self._roamers) >= self._limits.roaming or addresses >= self._limits.roaming_per_flow:
            return Drop.ROAMING_FULL
        roamer = Roamer(client, via, flow, header, rate, now + self._limits.roaming_for)
        self._roamers[client] = roamer
        self._rates[flow] = (rate, addresses + 1)
        return roamer

    def done(self, roamer: Roamer) -> None:
        """The address is verified, or its trial is over."""
        if self._roamers.pop(roamer.client, None) is None:
            return
        rate, addresses = self._rates.pop(roamer.flow)
        if addresses > 1:
            self._rates[roamer.flow] = (rate, addresses - 1)

    def expire(self, now: float) -> None:
        """Ends the trials that nobody confirmed."""
        for roamer in [
            roamer for roamer in self._roamers.values() if roamer.until <= now or roamer.flow.state is FlowState.ENDED
        ]:
            self.done(roamer)

"""How much state and work strangers can make a relay keep and do. Every bound in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one packet process; 0 switches a bound per source off (where a balancer hides the client's address)."""

    flows: int = 50_000
    """All flows, pending ones included; about 1 KiB each."""
    pending: int = 2_000
    pending_for: float = 3.0
    """Seconds that a verified check waits for the transceiver's answer; ICE repeats a check well within."""
    pending_packets: int = 64
    """What a client may send before the transceiver's answer is seen here: a flow that comes back after a restart
    sends media at once. 64 is a second of voice."""
    idle: float = 30.0
    """Seconds without a packet of the client until its flow is forgotten; consent lasts as long (RFC 7675 5.1)."""
    per_address: int = 1_024
    per_network: int = 4_096
    """Flows of one /24 (IPv4) or /64 (IPv6)."""
    per_token: int = 16
    """Flows of one call: a client tries each of its addresses, and roams."""
    shed_idle: float = 2.0
    """A call at its bound gives up its longest silent flow if that was silent so long."""
    new_checks: int = 10_000
    """Checks of unknown addresses verified a second: a tenth of a core."""
    peers: int = 4_096
    """Transceiver workers known at once."""
    peer_idle: float = 60.0
    roaming: int = 1_024
    """Unknown addresses whose media is being forwarded unverified."""
    roaming_per_flow: int = 4
    roaming_rate: int = 100
    """Unverified packets a second for one flow: voice with its control packets, twice."""
    roaming_for: float = 5.0
    lookups: int = 256
    """Questions to the session map under way at once."""
    lookups_rate: int = 2_000
    lookups_forgotten: int = 8_192
    """Addresses remembered as unknown to the session map."""
    lookups_retry: float = 5.0
    tcp: int = 4_096
    """ICE-TCP connections."""
    tcp_per_address: int = 256
    tcp_unproven: int = 256
    """Connections that have not brought a verified check yet; beyond it the oldest goes."""
    tcp_proof: float = 5.0
    """Seconds that a connection has for that."""
    ping_after: float = 0.4
    """Silence of a transceiver, with flows, until it is asked whether it lives."""
    ping_every: float = 0.2
    gone_after: float = 1.0
    """Seconds of unanswered pings until it is taken for gone."""
    gone_after_hint: float = 0.4
    """The same when the directory or the network already says so."""


class TokenBucket:
    """Lets `rate` events a second pass, and as many at once."""

    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._left = rate
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more event may pass at `now`."""
        left = self._left + (now - self._at) * self.rate
        self._at = now
        if left > self.rate:
            left = self.rate
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True

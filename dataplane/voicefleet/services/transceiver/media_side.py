"""What a worker has on its media thread: the sockets, the way of each packet to its call, and the sending clock.

The methods of the first half are for the event loop; they post what they want and return at once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from socket import socket
from typing import Final

from voicefleet.core.ice_lite import Path
from voicefleet.core.transceiver.path_probes import PathProbes
from voicefleet.services.transceiver.inbox import Inbox
from voicefleet.services.transceiver.media_leg import MediaLeg
from voicefleet.services.transceiver.media_loop import TICK, MediaLoop
from voicefleet.services.transceiver.path_meter import PathMeter
from voicefleet.services.transceiver.paths import DirectSocket, HopSocket
from voicefleet.services.transceiver.routing import Routing
from voicefleet.wire.keyring import FleetKey, KeyRing

LOOK_AT_EACH: Final = 10.0
"""Seconds between two records of a live call."""


class MediaSide:
    """Owns the media loop and everything that belongs to it."""

    def __init__(
        self,
        *,
        hop: socket,
        direct: socket | None,
        ring: Callable[[], KeyRing],
        minting: Callable[[], FleetKey],
        generation: int,
        inbox: Inbox,
        on_turn: Callable[[], None],
        on_death: Callable[[Exception], None],
    ) -> None:
        """`on_turn` is called on the event loop four times a second; `on_death` by the media thread."""
        self.refused: Counter[str] = Counter()
        """Packets that belong to no call, by reason."""
        self.loop = MediaLoop(inbox, self._on_tick, self._on_failure, on_death)
        self._on_turn = on_turn
        self._unseen: list[MediaLeg] = []
        meter = PathMeter(self.send, lambda relay, nonce: self._hop.ping(relay, nonce))
        self._hop = HopSocket(hop, ring, minting, generation, self._on_packet, self._refuse, meter.on_pong)
        self._direct = DirectSocket(direct, self._on_packet) if direct is not None else None
        self._routing = Routing(ring, self.send, self._hop.moved, self.loop.obey, self.refused, meter)
        self.hop_port: Final = self._hop.address[1]
        self.direct: Final = self._direct.address if self._direct is not None else None
        """Where clients reach this worker without a relay."""

    # From the event loop.

    def start(self) -> None:
        """Begin to serve."""
        self.loop.serve(self._hop)
        if self._direct is not None:
            self.loop.serve(self._direct)
        self.loop.start()

    def open(self, leg: MediaLeg) -> None:
        """A new call."""
        self.loop.post(lambda _now: self._open(leg))

    def renew(self, leg: MediaLeg, token: bytes, password: bytes, probes: PathProbes) -> None:
        """A call's new credentials, beside those that it has."""
        self.loop.post(lambda _now: self._renew(leg, token, password, probes))

    def close(self, leg: MediaLeg, goodbyes: Sequence[bytes]) -> None:
        """A call has ended; what it has to say last."""
        self.loop.post(lambda now: self._close(leg, goodbyes, now))

    def release(self) -> None:
        """Close the sockets, once the loop has stopped."""
        self._hop.close()
        if self._direct is not None:
            self._direct.close()

    # On the media loop.

    def send(self, path: Path, packet: bytes) -> None:
        """Send to a client on a path."""
        if path.relay is not None:
            self._hop.send(path, packet)
        elif self._direct is not None:
            self._direct.send(path, packet)

    def _on_packet(self, path: Path, verified: bool, packet: bytes, now: float) -> None:
        leg = self._routing.find(path, verified, packet, now)
        if leg is not None and leg.sooner:
            self.loop.note(leg)

    def _refuse(self, reason: str) -> None:
        self.refused[reason] += 1

    def _open(self, leg: MediaLeg) -> None:
        self._routing.add(leg)
        self.loop.note(leg)

    def _renew(self, leg: MediaLeg, token: bytes, password: bytes, probes: PathProbes) -> None:
        if not leg.closed:
            self._routing.renew(leg, token, password)
            leg.probes = probes

    def _close(self, leg: MediaLeg, goodbyes: Sequence[bytes], now: float) -> None:
        self._routing.remove(leg)
        self.loop.forget(leg)
        leg.close(goodbyes, now)

    def _on_tick(self, _now: float) -> None:
        """A few calls at a time, so that looking at all of them is never in the way of a packet."""
        legs = self._routing.legs
        # Who has ended is let go at once, not when its turn comes.
        unseen = self._unseen = [leg for leg in self._unseen if not leg.closed] or list(legs)
        for _ in range(min(len(unseen), 1 + int(len(legs) * TICK / LOOK_AT_EACH))):
            leg = unseen.pop()
            self.loop.aside(leg.other.on_looked, leg.record())
        self.loop.aside(self._on_turn)

    def _on_failure(self, leg: MediaLeg, error: Exception) -> None:
        self.loop.aside(leg.other.on_failure, error)

"""Measures how far clients are from the relays that carry, or could carry, their calls. Belongs to the media loop.

It ties three things: what the calls' probes measure from here to the client, what the hop to the relay takes of that,
and the pool that the relay belongs to. Nothing is sent but along with a check or an answer of the client's.
"""

import secrets
from collections.abc import Callable
from typing import Final

from voicefleet.core.ice_lite import Path
from voicefleet.core.transceiver.hop_meter import NONCE, HopMeter
from voicefleet.services.transceiver.media_leg import MediaLeg

_TRANSACTION: Final = 12


class PathMeter:
    """The measurements of one worker's calls."""

    def __init__(self, send: Callable[[Path, bytes], None], ping: Callable[[tuple[str, int], bytes], None]) -> None:
        self._send = send
        self._ping = ping
        self._hops = HopMeter()

    def on_check(self, leg: MediaLeg, path: Path, now: float) -> None:
        """A check of the client's on this path was answered."""
        relay = path.relay
        if relay is None or path.tcp or leg.probes is None:
            return  # a round trip over TCP is also one of its queues
        if self._hops.due(relay, now):
            nonce = secrets.token_bytes(NONCE)
            self._hops.asked(relay, nonce, now)
            self._ping(relay, nonce)
        request = leg.probes.on_check(path, secrets.token_bytes(_TRANSACTION), now)
        if request is not None:
            self._send(path, request)

    def on_answer(self, leg: MediaLeg, path: Path, packet: bytes, now: float) -> None:
        """The client has answered something on this path."""
        if leg.probes is None or path.relay is None:
            return
        seconds, request = leg.probes.on_answer(path, packet, secrets.token_bytes(_TRANSACTION), now)
        if request is not None:
            self._send(path, request)
        hop = self._hops.of(path.relay)
        if seconds is not None and hop is not None:
            pool, of_hop = hop
            leg.aside(leg.other.on_path_measured, pool, max(0.0005, seconds - of_hop))

    def on_pong(self, relay: tuple[str, int], answer: bytes, now: float) -> None:
        """A relay has answered a ping."""
        self._hops.answered(relay, answer, now)

"""Which call a packet is for: by the route token of a check, by the path of everything else, and by its SSRC where an
address has changed and no check has told. Belongs to the media loop.

A check for a call that is not here is refused at once and authentically, so that the client need not find out by
silence. A packet that belongs nowhere is counted by reason.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from voicefleet.core.ice_lite import CheckResult, Path
from voicefleet.services.transceiver.media_leg import MediaLeg
from voicefleet.services.transceiver.path_meter import PathMeter
from voicefleet.wire import stun
from voicefleet.wire.demux import PacketKind, classify
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import TokenOpener

_REQUEST: Final = stun.Class.REQUEST
_SUCCESS: Final = stun.Class.SUCCESS


class Routing:
    """The calls of one worker as the media loop finds them."""

    def __init__(
        self,
        ring: Callable[[], KeyRing],
        send: Callable[[Path, bytes], None],
        moved: Callable[[Path, Path], None],
        catch_up: Callable[[float], None],
        refused: Counter[str],
        meter: PathMeter,
    ) -> None:
        """`moved` tells a relay that authentic media of the old path's client came from the new one's address.

        `catch_up` does what the event loop has posted: a client may check before its call was put in here.
        """
        self.legs: set[MediaLeg] = set()
        self._ring = ring
        self._send = send
        self._moved = moved
        self._catch_up = catch_up
        self._refused = refused
        self._meter = meter
        self._opener: tuple[KeyRing, TokenOpener] | None = None
        self._by_token: dict[bytes, MediaLeg] = {}
        self._by_path: dict[Path, MediaLeg] = {}
        self._by_source: dict[int, MediaLeg] = {}
        self._sources: dict[MediaLeg, list[int]] = {}

    def add(self, leg: MediaLeg) -> None:
        """A new call."""
        self.legs.add(leg)
        for token in leg.ice.credentials:
            self._by_token[token] = leg

    def renew(self, leg: MediaLeg, token: bytes, password: bytes) -> None:
        """A call's new credentials, beside those that it has."""
        before = set(leg.ice.credentials)
        leg.ice.restart(token, password)
        for old in before - set(leg.ice.credentials):
            self._by_token.pop(old, None)
        self._by_token[token] = leg

    def remove(self, leg: MediaLeg) -> None:
        """A call has ended."""
        self.legs.discard(leg)
        for token in leg.ice.credentials:
            self._by_token.pop(token, None)
        for path in leg.ice.paths:
            if self._by_path.get(path) is leg:
                del self._by_path[path]
        for source in self._sources.pop(leg, ()):
            del self._by_source[source]

    def find(self, path: Path, verified: bool, packet: bytes, now: float) -> MediaLeg | None:
        """Give a packet to its call; which one that was."""
        if packet and packet[0] < 4:
            return self._on_check(path, packet, now)
        leg = self._by_path.get(path)
        if leg is not None:
            leg.on_packet(path, packet, now)
            if leg.audio is not None and leg.audio.uplink.source not in self._by_source:
                self._learn_source(leg)
            return leg
        if verified:
            self._refused["unknown_path"] += 1
            return None
        return self._on_roaming(path, packet, now)

    def _on_check(self, path: Path, packet: bytes, now: float) -> MediaLeg | None:
        try:
            cls, _, username, integrity_at = stun.peek(packet)
        except WireError as error:
            self._refused[error.reason] += 1
            return None
        if cls == _SUCCESS:
            asked = self._by_path.get(path)
            if asked is not None:
                self._meter.on_answer(asked, path, packet, now)
            return None
        token = username.partition(b":")[0]
        leg = self._by_token.get(token)
        if leg is None:
            self._catch_up(now)
            leg = self._by_token.get(token)
        if leg is None:
            if cls == _REQUEST and integrity_at >= 0:
                self._refuse_check(path, packet, token, integrity_at)
            return None
        ice = leg.ice
        credentials = ice.credentials
        answer = leg.on_check(path, packet, now)
        if answer.datagram is None:
            self._refused[answer.result.value] += 1
            return None
        if path in ice.paths:
            self._by_path[path] = leg  # also if it was another call's: whoever checks last uses it (RFC 8445 section 7)
        self._forget(leg)
        if answer.result is CheckResult.ANSWERED:
            self._meter.on_check(leg, path, now)
        if ice.credentials is not credentials:  # a restart was taken up
            for old in credentials.keys() - ice.credentials.keys():
                self._by_token.pop(old, None)
        return leg

    def _on_roaming(self, path: Path, packet: bytes, now: float) -> MediaLeg | None:
        """Media from an address that no check vouches for: if it is authentic, its call has moved there."""
        source = int.from_bytes(packet[8:12]) if classify(packet) is PacketKind.RTP and len(packet) >= 12 else None
        leg = self._by_source.get(source) if source is not None else None
        if leg is None or leg.ice.chosen is None:
            self._refused["unknown_path"] += 1
            return None
        before = leg.ice.chosen
        leg.on_packet(path, packet, now)
        if path in leg.ice.paths:
            self._by_path[path] = leg
            self._moved(before, path)
            self._forget(leg)
        return leg

    def _forget(self, leg: MediaLeg) -> None:
        forgotten = leg.ice.forgotten
        while forgotten:
            old = forgotten.pop()
            if self._by_path.get(old) is leg and old not in leg.ice.paths:
                del self._by_path[old]

    def _learn_source(self, leg: MediaLeg) -> None:
        """Kept by who was first: a caller that takes another one's SSRC on purpose gains nothing."""
        assert leg.audio is not None
        source = leg.audio.uplink.source
        if source is not None:
            self._by_source[source] = leg
            self._sources.setdefault(leg, []).append(source)

    def _refuse_check(self, path: Path, packet: bytes, token: bytes, integrity_at: int) -> None:
        """A call that was here and is gone, or was another generation's."""
        opener = self._tokens()
        try:
            opener.open(token)
            password = opener.password(token)
        except WireError as error:
            self._refused[error.reason] += 1
            return
        if stun.integrity_ok(packet, integrity_at, password):
            self._refused["call_gone"] += 1
            self._send(path, stun.binding_error(packet[8:20], 400, "Bad Request", password))
        else:
            self._refused["not_authentic"] += 1

    def _tokens(self) -> TokenOpener:
        ring = self._ring()
        if self._opener is None or self._opener[0] is not ring:
            self._opener = ring, TokenOpener(ring)
        return self._opener[1]

"""What a worker does with any datagrams from anybody, up to the point where a call has taken or refused them.

The octets are a script: datagrams from a few addresses, some of them checks signed for a call that is here, for one
that is gone, or by somebody who guesses. What holds: no exception; an answer only to who could sign, and never larger
than thrice what was asked; bounded paths; who only guesses changes nothing but a counter.
"""

from collections import Counter
from random import Random
from typing import Any, Final

from tests.fuzz.media_stream import Script
from tests.fuzz.oracles import KEY, RING
from tests.support.simulated_call import TERMS, WALL, Clear
from voicefleet.core.ice_lite import MAX_PATHS, IceLite, Path
from voicefleet.core.media.stream import AudioStream
from voicefleet.core.transceiver.path_probes import PathProbes
from voicefleet.services.transceiver.media_leg import MediaLeg
from voicefleet.services.transceiver.path_meter import PathMeter
from voicefleet.services.transceiver.routing import Routing
from voicefleet.wire import stun
from voicefleet.wire.route_token import Route, ice_password, mint

LONGEST: Final = 200
_TOKENS: Final = tuple(mint(Route("10.1.2.3", 4478, 7, n), KEY, RING.fleet_tag).encode() for n in range(3))
"""Of two calls that are here, and of one that is gone."""
_PASSWORDS: Final = tuple(ice_password(token, KEY) for token in _TOKENS)


class _NoDtls:
    """Handshakes are OpenSSL's; here it is enough that one begins."""

    def start(self, _now: float) -> list[bytes]:
        return [b"\x16" * 60]


class _Worker:
    def __init__(self) -> None:
        self.sent: list[tuple[Path, bytes]] = []
        self.refused: Counter[str] = Counter()
        self.routing = Routing(
            lambda: RING,
            lambda path, packet: self.sent.append((path, packet)),
            lambda _old, _new: None,
            lambda _now: None,
            self.refused,
            PathMeter(lambda path, packet: self.sent.append((path, packet)), lambda _relay, _nonce: None),
        )
        self.legs = [self._leg(number) for number in range(2)]

    def _leg(self, number: int) -> MediaLeg:
        dtls: Any = _NoDtls()
        other: Any = self
        leg = MediaLeg(
            IceLite({_TOKENS[number]: _PASSWORDS[number]}, 0.0),
            dtls,
            None,
            other,
            lambda *_: None,
            lambda path, packet: self.sent.append((path, packet)),
        )
        leg.probes = PathProbes("theirs:ours", b"their password", 1)
        self.routing.add(leg)
        if number == 0:
            leg.open_audio(
                AudioStream(TERMS, Clear(), ssrc=1, cname="us", now=0.0, wall_offset=WALL, random=Random(1)), None, 0.0
            )
        return leg

    def __getattr__(self, name: str) -> Any:
        """Whatever the other half is asked for, nobody calls it here."""
        if name.startswith("on_"):
            return lambda *_: None
        raise AttributeError(name)


def packet_path(data: bytes) -> None:
    """Play the script."""
    script, worker, now = Script(data), _Worker(), 0.0
    for _ in range(LONGEST):
        if not script:
            break
        now += script.octet() / 50
        path = Path(None, ("192.0.2.1", 1000 + script.octet() % 40))
        datagram, guessed = _datagram(script)
        before, refused = len(worker.sent), worker.refused.total()
        worker.routing.find(path, bool(script.octet() & 1), datagram, now)
        answers = worker.sent[before:]
        assert all(to == path for to, _ in answers), "an answer goes to who asked"
        assert sum(len(answer) for _, answer in answers) <= 3 * len(datagram), "amplifies"
        if guessed:
            assert not answers and worker.refused.total() == refused + 1
        for leg in worker.legs:
            assert len(leg.ice.paths) <= MAX_PATHS
    assert len(worker.routing._by_path) <= 2 * MAX_PATHS
    assert len(worker.routing._by_token) == 2


def _datagram(script: Script) -> tuple[bytes, bool]:
    """One datagram, and whether it is a check of somebody who does not know the password."""
    kind, who = script.octet(), script.octet()
    if kind < 160:
        return bytes((kind,)) * (kind > 0) + script.piece(), False
    token, password = _TOKENS[who % 3], _PASSWORDS[who % 3] if who < 128 else b"a guess"
    username = (token if kind < 230 else script.piece()[:30]).decode("latin-1")
    check = stun.binding_request(
        script.number(4).to_bytes(12),
        f"{username}:peer",
        password,
        priority=script.number(4),
        controlling=1,
        use_candidate=bool(kind & 1),
    )
    return check, who >= 128

"""One worker: its sockets, its table of calls, and the loop that serves them all.

Packets are read by the event loop's readiness callbacks, in batches, and handled without awaiting; what is slow (SCTP,
HTTP, the agent) runs as tasks between them. Calls are polled on one clock tick of 10 ms, so that a frame leaves at
most half a frame after its time.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voicefleet.agents.link import AgentLink
from voicefleet.core.ice_lite import IceLite, Path
from voicefleet.core.media.coding import OPUS, PCMA, PCMU, AudioTerms, Coding
from voicefleet.core.sdp.answer import AudioPlan, Local, RelayAddress, plan_audio, write_answer
from voicefleet.core.sdp.offer import read_offer
from voicefleet.net.dtls import DtlsIdentity
from voicefleet.observability import logs
from voicefleet.services.transceiver.paths import DirectSocket, HopSocket
from voicefleet.services.transceiver.session import Session
from voicefleet.wire import stun
from voicefleet.wire.call_id import call_id
from voicefleet.wire.demux import PacketKind, classify
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, TokenOpener, mint

TICK: Final = 0.010
GOODBYE_WAIT: Final = 0.5
"""Seconds for clients to acknowledge the last event: two round trips around the world."""
_CODINGS: Final[dict[str, Coding]] = {"opus": OPUS, "pcmu": PCMU, "pcma": PCMA}
_log = logs.logger(__name__)


class Full(Exception):
    """This worker takes no more calls; the message says why."""


@dataclass(frozen=True, slots=True)
class Created:
    """A call that was taken."""

    call_id: str
    answer: str


class Worker:
    """Owns its calls. Everything runs on the loop it was started on."""

    def __init__(
        self,
        *,
        hop_bind: tuple[str, int],
        hop_address: str,
        direct_bind: tuple[str, int] | None,
        capacity: int,
        ring: Callable[[], KeyRing],
        clock: Callable[[], float],
        identity: DtlsIdentity,
        agent: Callable[[dict[str, Any]], AgentLink],
        generation: int,
    ) -> None:
        self.capacity = capacity
        self.draining = False
        self.sessions: dict[str, Session] = {}
        self.refused: Counter[str] = Counter()
        """Packets and offers that were not served, by reason."""
        self._ring = ring
        self._wall_clock = clock
        self._identity = identity
        self._agent = agent
        self.generation = generation
        self._counter = 0
        self._by_token: dict[bytes, Session] = {}
        self._by_path: dict[Path, Session] = {}
        self._hop = HopSocket(hop_bind, ring, self._minting_key, generation, self._refuse)
        self._direct = DirectSocket(direct_bind) if direct_bind is not None else None
        self._hop_address = hop_address
        self._opener: tuple[KeyRing, TokenOpener] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tick: asyncio.TimerHandle | None = None
        self.empty = asyncio.Event()
        """Set while there is no call."""
        self.empty.set()

    @property
    def hop(self) -> tuple[str, int]:
        """The address that this worker's route tokens seal."""
        return self._hop_address, self._hop.address[1]

    @property
    def direct(self) -> RelayAddress | None:
        """Where clients reach this worker without a relay."""
        return RelayAddress(*self._direct.address) if self._direct is not None else None

    def start(self) -> None:
        """Begin to serve on the running loop."""
        loop = self._loop = asyncio.get_running_loop()
        loop.add_reader(self._hop.fileno(), self._hop.receive, self._on_packet)
        if self._direct is not None:
            loop.add_reader(self._direct.fileno(), self._direct.receive, self._on_packet)
        self._tick = loop.call_at(loop.time() + TICK, self._on_tick, loop.time() + TICK)

    async def drain(self, deadline: float) -> None:
        """Take no more calls, and return when the last has ended or so many seconds have passed."""
        self.draining = True
        try:
            async with asyncio.timeout(deadline):
                await self.empty.wait()
        except TimeoutError:
            pass

    async def say_goodbye(self, reason: str) -> None:
        """Tell all clients why their calls will end, and wait until they know, for a moment at most."""
        for session in self.sessions.values():
            session.say_goodbye(reason)
        until = self._now() + GOODBYE_WAIT
        while self._now() < until and not all(  # noqa: ASYNC110 - acknowledgements have no event in aiortc
            session.delivered for session in self.sessions.values()
        ):
            await asyncio.sleep(TICK)

    def stop(self, reason: str) -> None:
        """End all calls and close the sockets; a second time nothing."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        for session in list(self.sessions.values()):
            session.end(reason)
        if self._tick is not None:
            self._tick.cancel()
        for endpoint in (self._hop, self._direct):
            if endpoint is not None:
                loop.remove_reader(endpoint.fileno())
                endpoint.close()

    def create(self, offer_text: str, config: dict[str, Any], relays: Sequence[RelayAddress]) -> Created:
        """Take a call; raises `Full`, or `OfferError` for an offer that cannot be served."""
        if self.draining:
            raise Full("draining")
        if len(self.sessions) >= self.capacity:
            raise Full(f"all {self.capacity} slots are taken")
        offer = read_offer(offer_text)
        plan = plan_audio(offer.audio) if offer.audio is not None else None
        token = self._mint()
        password = self._tokens().password(token.encode())
        direct = self.direct
        ssrc = secrets.randbits(32)
        local = Local(
            ufrag=token,
            password=password.decode(),
            fingerprint=self._identity.fingerprint,
            session_id=secrets.randbits(62),
            ssrc=ssrc,
            relays=[*relays, *([direct] if direct is not None else [])],
        )
        answer = write_answer(offer, plan, local)
        now = self._now()
        session = Session(
            call_id=call_id(token),
            offer=offer,
            terms=_terms(plan) if plan is not None else None,
            config=config,
            ice=IceLite({token.encode(): password}, now),
            ssrc=ssrc,
            agent=self._agent(config),
            send=self._send,
            on_end=self._ended,
            created_at=now,
            identity=self._identity,
        )
        self.sessions[session.call_id] = session
        self.empty.clear()
        self._by_token[token.encode()] = session
        _log.info("call created", session=session.call_id, calls=len(self.sessions))
        return Created(session.call_id, answer)

    def _on_packet(self, path: Path, verified: bool, packet: bytes) -> None:
        now = self._now()
        if packet and packet[0] < 4:
            self._on_check(path, packet, now)
            return
        session = self._by_path.get(path)
        if session is not None:
            session.on_packet(path, packet, now)
        elif verified:
            self.refused["unknown_path"] += 1
        else:
            self._on_roaming(path, packet, now)

    def _on_roaming(self, path: Path, packet: bytes, now: float) -> None:
        """Media from an address that no check vouches for: if it is authentic, its call has moved there."""
        source = int.from_bytes(packet[8:12]) if classify(packet) is PacketKind.RTP and len(packet) >= 12 else None
        session = next((s for s in self.sessions.values() if s.audio and s.audio.uplink.source == source), None)
        if session is None or source is None or session.ice.chosen is None:
            self.refused["unknown_path"] += 1
            return
        before = session.ice.chosen
        session.on_packet(path, packet, now)
        if path in session.ice.paths:
            self._by_path[path] = session
            self._hop.moved(before, path)

    def _on_check(self, path: Path, packet: bytes, now: float) -> None:
        try:
            cls, _, username, integrity_at = stun.peek(packet)
        except WireError as error:
            self._refuse(error.reason)
            return
        token = username.partition(b":")[0]
        session = self._by_token.get(token)
        if session is None:
            if cls == stun.Class.REQUEST and integrity_at >= 0:
                self._refuse_check(path, packet, token, integrity_at)
            return
        answer = session.on_check(path, packet, now)
        if answer.datagram is None:
            self._refuse(answer.result.value)
        elif path in session.ice.paths:
            self._by_path[path] = session

    def _refuse_check(self, path: Path, packet: bytes, token: bytes, integrity_at: int) -> None:
        """A call that was here and is gone, or was another generation's: say so, so that the client need not wait."""
        opener = self._tokens()
        try:
            opener.open(token)
            password = opener.password(token)
        except WireError as error:
            self._refuse(error.reason)
            return
        if stun.integrity_ok(packet, integrity_at, password):
            self._refuse("call_gone")
            self._send(path, stun.binding_error(packet[8:20], 400, "Bad Request", password))
        else:
            self._refuse("not_authentic")

    def _on_tick(self, due: float) -> None:
        loop = self._loop
        assert loop is not None
        now = loop.time()
        for session in list(self.sessions.values()):
            try:
                session.poll(now)
            except Exception:  # one call's fault must not stop the clock of the others
                _log.exception("call failed", session=session.call_id)
                session.end("internal error")
        following = max(due + TICK, loop.time())
        self._tick = loop.call_at(following, self._on_tick, following)

    def _send(self, path: Path, packet: bytes) -> None:
        if path.relay is not None:
            self._hop.send(path, packet)
        elif self._direct is not None:
            self._direct.send(path, packet)

    def _ended(self, session: Session, reason: str) -> None:
        self.sessions.pop(session.call_id, None)
        for token in session.ice.credentials:
            self._by_token.pop(token, None)
        for path in [path for path, owner in self._by_path.items() if owner is session]:
            del self._by_path[path]
        if not self.sessions:
            self.empty.set()
        _log.info("call ended", session=session.call_id, reason=reason, calls=len(self.sessions))

    def _mint(self) -> str:
        self._counter += 1
        address, port = self.hop
        route = Route(address, port, self.generation, self._counter)
        return mint(route, self._minting_key(), self._ring().fleet_tag)

    def _minting_key(self) -> FleetKey:
        return self._ring().minting(self._wall_clock())

    def _tokens(self) -> TokenOpener:
        ring = self._ring()
        if self._opener is None or self._opener[0] is not ring:
            self._opener = ring, TokenOpener(ring)
        return self._opener[1]

    def _refuse(self, reason: str) -> None:
        self.refused[reason] += 1

    def _now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()


def _terms(plan: AudioPlan) -> AudioTerms:
    return AudioTerms(
        coding=_CODINGS[plan.codec.name],
        payload_type=plan.codec.payload_type,
        red=plan.red,
        telephone_events=dict.fromkeys(plan.telephone_event, plan.codec.clock_rate),
        nack=plan.nack,
        reduced_size=True,
    )

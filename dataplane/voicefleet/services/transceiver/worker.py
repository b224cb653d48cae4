"""One worker: its calls, and the two loops that serve them.

On the event loop it takes calls, mints their route tokens and ends them; packets and the sending clock are the media
loop's. The two meet in each call (`session`, `media_leg`) and in nothing else.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from socket import socket
from typing import Any, Final

from voicefleet.agents.link import Agent, Asked, InlineAgent
from voicefleet.core.ice_lite import IceLite
from voicefleet.core.media.coding import OPUS, PCMA, PCMU, AudioTerms, Coding
from voicefleet.core.realtime.client_events import Door
from voicefleet.core.sdp.answer import AudioPlan, Local, RelayAddress, Setup, plan_audio, setup_for, write_answer
from voicefleet.core.sdp.fragment import restarted
from voicefleet.core.sdp.offer import Offer, OfferError, read_offer
from voicefleet.core.transceiver.admission import AdmissionLimits, Load, Refusal, explained, refusal
from voicefleet.core.transceiver.path_probes import PathProbes
from voicefleet.core.turns.budget import Budget, TurnTimes
from voicefleet.net.codec_threads import CodecThreads
from voicefleet.net.dtls import Dtls, DtlsIdentity
from voicefleet.observability import logs
from voicefleet.services.transceiver.calls import GOODBYE_WAIT, Created, NoSuchCall, Unavailable
from voicefleet.services.transceiver.inbox import Inbox
from voicefleet.services.transceiver.media_loop import MediaLoop
from voicefleet.services.transceiver.media_side import MediaSide
from voicefleet.services.transceiver.record import EndCause, SessionRecord
from voicefleet.services.transceiver.session import Session
from voicefleet.services.transceiver.socket_session import SocketSession
from voicefleet.services.transceiver.token_mint import TokenMint
from voicefleet.wire.call_id import call_id
from voicefleet.wire.keyring import KeyRing

LOOK: Final = 0.01
"""Seconds between looks at whether they have."""
_CODINGS: Final[dict[str, Coding]] = {"opus": OPUS, "pcmu": PCMU, "pcma": PCMA}


class Worker:
    """Owns its calls. Belongs to the event loop that it was started on."""

    def __init__(
        self,
        *,
        hop: socket,
        hop_address: str,
        direct: socket | None,
        limits: AdmissionLimits,
        ring: Callable[[], KeyRing],
        clock: Callable[[], float],
        identity: Callable[[], DtlsIdentity],
        agent: Callable[[Asked], Agent],
        generation: int,
        budget: Budget | None = None,
        on_turn: Callable[[], None] = lambda: None,
        on_looked: Callable[[SessionRecord], None] = lambda _record: None,
        on_path_measured: Callable[[str, str, float], None] = lambda _call, _pool, _seconds: None,
        on_closed: Callable[[SessionRecord], None] = lambda _record: None,
        on_caller_turn: Callable[[TurnTimes], None] = lambda _times: None,
        on_death: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        """`clock` is Unix time.

        `on_turn` is called four times a second, after both loops have turned; `on_looked` with each live call's record
        every ten seconds; `on_closed` with its last one. `on_path_measured` is told the round trip between a
        call's client and a relay of a pool. `on_death` is called by the media loop's thread.
        """
        self.limits = limits
        self.generation = generation
        self.draining = False
        self.sessions: dict[str, Session] = {}
        self.sockets: dict[str, SocketSession] = {}
        """Calls whose sound goes over a WebSocket."""
        self.created = 0
        self.empty = asyncio.Event()
        """Set while there is no call."""
        self.empty.set()
        self._closing: set[Session] = set()
        self._identity = identity
        self._agent = agent
        self._on_looked = on_looked
        self._on_path_measured = on_path_measured
        self._on_closed = on_closed
        self._on_caller_turn = on_caller_turn
        self._budget = budget if budget is not None else Budget()
        inbox = Inbox(asyncio.get_running_loop())
        self._codecs = CodecThreads(tell=inbox.post_all)
        self._media = MediaSide(
            hop=hop,
            direct=direct,
            ring=ring,
            minting=lambda: self._mint.key(),
            generation=generation,
            inbox=inbox,
            on_turn=on_turn,
            on_death=on_death,
        )
        self.hop: Final = hop_address, self._media.hop_port
        """The address that this worker's route tokens seal."""
        self._mint = TokenMint(ring, clock, self.hop, generation)
        self._running = False

    @property
    def media(self) -> MediaLoop:
        """The loop of its packets and its sending clock."""
        return self._media.loop

    @property
    def refused(self) -> Counter[str]:
        """Packets that belong to no call, by reason; the media loop counts."""
        return self._media.refused

    @property
    def direct(self) -> RelayAddress | None:
        """Where clients reach this worker without a relay."""
        return RelayAddress(*self._media.direct) if self._media.direct is not None else None

    def start(self) -> None:
        """Begin to serve."""
        self._codecs.__enter__()
        self._media.start()
        self._running = True

    def create(self, offer_text: str, config: dict[str, Any], relays: Sequence[RelayAddress]) -> Created:
        """Take a call; raises `Unavailable`, or `OfferError` for an offer that cannot be served.

        A call without an offer is one over a WebSocket, which its client opens next.
        """
        load = Load(self.calls, draining=self.draining)
        why = refusal(load, self.limits)
        if why is not None:
            raise Unavailable(why, explained(why, load, self.limits))
        if not offer_text:
            return self._open_socket(config)
        now = asyncio.get_running_loop().time()
        offer = read_offer(offer_text)
        plan = plan_audio(offer.audio) if offer.audio is not None else None
        token = self._mint.token()
        password = self._mint.password(token)
        identity = self._identity()
        session = Session(
            call_id=call_id(token),
            offer=offer,
            terms=_terms(plan) if plan is not None else None,
            config=config,
            ice=IceLite({token.encode(): password}, now),
            ssrc=secrets.randbits(32),
            agent=self._agent(Asked(config, Door.WEBRTC, offer.application is not None)),
            dtls=Dtls(identity, offer.credentials.fingerprints, client=setup_for(offer) is Setup.ACTIVE),
            media=self.media,
            send=self._media.send,
            codecs=self._codecs,
            on_end=self._ended,
            on_closed=self._closed,
            on_looked=self._on_looked,
            on_path_measured=self._on_path_measured,
            on_turn=self._on_caller_turn,
            budget=self._budget,
            fingerprint=identity.fingerprint,
        )
        session.leg.probes = _probes(offer, token)
        answer = self._answer(session, offer, plan, token, password, relays)
        self.sessions[session.call_id] = session
        self.created += 1
        self.empty.clear()
        self._media.open(session.leg)
        session.begin()
        session.answered_at = asyncio.get_running_loop().time()
        logs.for_session(__name__, session.call_id).info("call created", calls=self.calls)
        return Created(session.call_id, answer)

    def restart(self, session: Session, offer_text: str, relays: Sequence[RelayAddress]) -> Created:
        """New ICE credentials for a live call, perhaps over other relays; its audio goes on meanwhile.

        The offer may be a fragment (RFC 8840) with no more than the client's new credentials, as WHIP clients send it.
        """
        whole = offer_text.startswith("v=")
        offer = read_offer(offer_text) if whole else restarted(session.offer, offer_text)
        plan = plan_audio(offer.audio) if offer.audio is not None else None
        if offer.credentials.fingerprints != session.offer.credentials.fingerprints:
            raise OfferError(0, "", "another certificate than the call's: an ICE restart keeps the DTLS association")
        if (_terms(plan) if plan is not None else None) != session.terms:
            raise OfferError(0, "", "other audio than the call's: an ICE restart keeps it")
        token = self._mint.token()
        password = self._mint.password(token)
        session.version += 1
        session.offer = replace(session.offer, credentials=offer.credentials)
        answer = self._answer(session, offer, plan, token, password, relays)
        probes = _probes(session.offer, token)
        self._media.renew(session.leg, token.encode(), password, probes)
        logs.for_session(__name__, session.call_id).info("ICE restart offered", version=session.version)
        return Created(session.call_id, answer)

    @property
    def calls(self) -> int:
        """Live calls of both kinds."""
        return len(self.sessions) + len(self.sockets)

    def call(self, call: str) -> Session | SocketSession:
        """A live call of either kind; raises `NoSuchCall`."""
        over_socket = self.sockets.get(call)
        return over_socket if over_socket is not None else self.session(call)

    def session(self, call: str) -> Session:
        """A live call; raises `NoSuchCall`."""
        try:
            return self.sessions[call]
        except KeyError:
            raise NoSuchCall(call) from None

    def ages(self) -> dict[str, float]:
        """Seconds since each live call was created."""
        now = asyncio.get_running_loop().time()
        both: list[Session | SocketSession] = [*self.sessions.values(), *self.sockets.values()]
        return {session.call_id: now - session.life.began_at for session in both}

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
        for other in self.sockets.values():
            other.say_goodbye(reason)
        loop = asyncio.get_running_loop()
        until = loop.time() + GOODBYE_WAIT
        while loop.time() < until and not all(  # noqa: ASYNC110 - acknowledgements have no event in aiortc
            session.delivered for session in self.sessions.values()
        ):
            await asyncio.sleep(LOOK)

    async def stop(self, reason: str) -> None:
        """End all calls, the threads and the sockets; a second time nothing."""
        if not self._running:
            return
        self._running = False
        for session in list(self.sessions.values()):
            session.end(EndCause.DRAINED, reason)
        sockets = list(self.sockets.values())
        for other in sockets:
            other.end(EndCause.DRAINED, reason)
            await other.life.settled()
        closing = list(self._closing)
        for session in closing:
            await session.life.settled()
        self._codecs.close()
        await asyncio.to_thread(self.media.stop)
        await asyncio.sleep(0)  # what the media loop said last is heard
        self._media.release()

    def _ended(self, session: Session, goodbyes: Sequence[bytes]) -> None:
        del self.sessions[session.call_id]
        self._closing.add(session)
        self._media.close(session.leg, goodbyes)
        if not self.calls:
            self.empty.set()

    def _closed(self, session: Session, record: SessionRecord) -> None:
        self._closing.discard(session)
        log = logs.for_session(__name__, session.call_id)
        log.info("call ended", calls=self.calls, **record.summary())
        self._on_closed(record)

    def _open_socket(self, config: dict[str, Any]) -> Created:
        link = self._agent(Asked(config, Door.WEBSOCKET, True))
        if isinstance(link, InlineAgent):
            raise Unavailable(Refusal.GONE, "this agent serves no WebSocket")
        session = SocketSession(
            call_id=call_id(self._mint.token()),
            config=config,
            link=link,
            on_closed=self._socket_closed,
            on_looked=self._on_looked,
            on_turn=self._on_caller_turn,
            budget=self._budget,
        )
        self.sockets[session.call_id] = session
        self.created += 1
        self.empty.clear()
        session.start()
        logs.for_session(__name__, session.call_id).info("call created", calls=self.calls, door=Door.WEBSOCKET.value)
        return Created(session.call_id, "")

    def _socket_closed(self, session: SocketSession, record: SessionRecord) -> None:
        self.sockets.pop(session.call_id, None)
        if not self.calls:
            self.empty.set()
        logs.for_session(__name__, session.call_id).info("call ended", calls=self.calls, **record.summary())
        self._on_closed(record)

    def _answer(
        self,
        session: Session,
        offer: Offer,
        plan: AudioPlan | None,
        token: str,
        password: bytes,
        relays: Sequence[RelayAddress],
    ) -> str:
        direct = self.direct
        local = Local(
            ufrag=token,
            password=password.decode(),
            fingerprint=session.fingerprint,
            session_id=session.description_id,
            version=session.version,
            ssrc=session.ssrc,
            relays=[*relays, *([direct] if direct is not None else [])],
        )
        return write_answer(offer, plan, local)


def _probes(offer: Offer, token: str) -> PathProbes:
    client = offer.credentials
    return PathProbes(f"{client.ufrag}:{token}", client.password.encode(), secrets.randbits(64))


def _terms(plan: AudioPlan) -> AudioTerms:
    return AudioTerms(
        coding=_CODINGS[plan.codec.name],
        payload_type=plan.codec.payload_type,
        red=plan.red,
        comfort_noise=plan.comfort_noise,
        telephone_events=dict.fromkeys(plan.telephone_event, plan.codec.clock_rate),
        nack=plan.nack,
        reduced_size=plan.reduced_size,
        transport_sequence=plan.transport_sequence,
    )

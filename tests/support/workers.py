"""A transceiver worker inside the test's own process."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from socket import socket

from voicefleet.agents.echo import EchoAgent
from voicefleet.agents.link import Agent, Asked
from voicefleet.agents.parrot import Parrot
from voicefleet.core.realtime.client_events import Door
from voicefleet.core.transceiver.admission import AdmissionLimits
from voicefleet.net.dtls import DtlsIdentity
from voicefleet.net.udp import udp_socket
from voicefleet.services.transceiver.record import SessionRecord
from voicefleet.services.transceiver.worker import Worker
from voicefleet.wire.certificate import self_signed
from voicefleet.wire.keyring import FleetKey, KeyRing

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))


@cache
def identity() -> DtlsIdentity:
    """One certificate for all tests of a process."""
    return DtlsIdentity(*self_signed(time.time(), timedelta(days=1)))


@asynccontextmanager
async def direct_worker(
    capacity: int = 10,
    generation: int = 1,
    agent: Callable[[], Agent] = EchoAgent,
    host: str = "127.0.0.1",
    link: Callable[[Asked], Agent] | None = None,
    on_looked: Callable[[SessionRecord], None] = lambda _record: None,
    on_turn: Callable[[], None] = lambda: None,
) -> AsyncIterator[Worker]:
    """A running worker; it passes back what it hears, unless it has another agent, or a `link` for a session."""
    async with _running(capacity, generation, agent, udp_socket((host, 0)), link, on_looked, on_turn) as worker:
        yield worker


@asynccontextmanager
async def relayed_worker(link: Callable[[Asked], Agent] | None = None) -> AsyncIterator[Worker]:
    """The same, reachable by relays that have its `RING` and no other way."""
    async with _running(10, 1, EchoAgent, None, link) as worker:
        yield worker


@asynccontextmanager
async def _running(
    capacity: int,
    generation: int,
    agent: Callable[[], Agent],
    direct: socket | None,
    link: Callable[[Asked], Agent] | None = None,
    on_looked: Callable[[SessionRecord], None] = lambda _record: None,
    on_turn: Callable[[], None] = lambda: None,
) -> AsyncIterator[Worker]:
    worker = Worker(
        hop=udp_socket(("127.0.0.1", 0)),
        hop_address="127.0.0.1",
        direct=direct,
        limits=AdmissionLimits(capacity),
        ring=lambda: RING,
        clock=time.time,
        identity=identity,
        agent=link
        if link is not None
        else lambda asked: agent() if asked.door is Door.WEBRTC else Parrot(asked.door, asked.config),
        generation=generation,
        on_looked=on_looked,
        on_turn=on_turn,
    )
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop("the test is over")

"""A relay gives its port to the next one on the same machine, and no packet is lost.

The very sockets change hands (SCM_RIGHTS), with whatever waits in them: so every client and transceiver finds the same
port, the same place in the SO_REUSEPORT group and the same queue. The successor comes first:

    successor                                       predecessor
    knocks, both prove that they have the fleet's key
                                                    sockets and flows; forwards on
    starts packet processes, which know it all
    "ready"                                         stops reading; what has changed since, ICE-TCP connections
    reads                                           (packets wait in the sockets: some milliseconds)
    "mine"                                          ends its packet processes, and keeps the sockets

Until "mine" the predecessor takes everything back when anything is wrong. After it, it waits: when the successor dies
before the predecessor was told to end, it goes on with the sockets and the flows as they were.
"""

import asyncio
import hashlib
import hmac
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from voicefleet.core.relay.flow import Client
from voicefleet.core.relay.flow_record import FlowRecord
from voicefleet.net.conversation import Conversation, knock
from voicefleet.net.descriptor_channel import Closed
from voicefleet.services.relay import messages
from voicefleet.services.relay.messages import (
    About,
    Connection,
    Forget,
    Hello,
    Kept,
    Listed,
    Message,
    Mine,
    Proof,
    Ready,
    Released,
    Remember,
    Role,
    Settled,
    Take,
    Welcome,
    Yours,
)
from voicefleet.services.relay.ports import ProcessPorts
from voicefleet.services.relay.settings import RelaySettings
from voicefleet.wire.keyring import FleetKey, KeyRing

STEP: Final = 10.0
"""Seconds for what takes milliseconds."""
START: Final = 60.0
"""Seconds that a successor has to start its packet processes, while its predecessor forwards."""
_NONCE: Final = 32
_log = logging.getLogger(__name__)
_Kind = TypeVar("_Kind", bound=Message)


class HandOverFailed(Exception):
    """It did not come to an end; who had the port has it."""


class OtherEnded(HandOverFailed):
    """The other process is gone."""


@dataclass(slots=True)
class Estate:
    """What one relay leaves to the next."""

    ports: list[ProcessPorts]
    """Of each packet process."""
    flows: list[dict[Client, FlowRecord]]
    door: socket.socket | None = None
    """Where the next successor knocks."""
    health: socket.socket | None = None


@dataclass(slots=True)
class Change:
    """What has happened to one packet process's flows since they were listed."""

    over: list[Client] = field(default_factory=list)
    """Ended, or going elsewhere now."""
    records: list[FlowRecord] = field(default_factory=list)
    connections: list[tuple[Connection, socket.socket]] = field(default_factory=list)


def door_name(settings: RelaySettings, fleet: str) -> str | None:
    """The same for relays that would listen on the same sockets, and for no others; None where ports are chosen."""
    listen = sorted(map(str, settings.listen))
    if any(each.port == 0 for each in (*settings.listen, settings.health_listen)):
        return None
    what = "\n".join((fleet, *listen, f"tcp {settings.ice_tcp}", str(settings.health_listen), str(settings.hop_listen)))
    return f"voicefleet-relay-{hashlib.sha256(what.encode()).hexdigest()[:32]}"


def change(before: dict[Client, FlowRecord], now: dict[Client, FlowRecord]) -> Change:
    """From the list to what is there now."""
    changed = [record for client, record in now.items() if before.get(client) != record]
    over = [client for client in before if client not in now]
    return Change(over + [record.client for record in changed if record.client in before], changed)


class Predecessor:
    """The relay that has the port, as its successor sees it."""

    def __init__(self, conversation: Conversation, estate: Estate) -> None:
        self._conversation = conversation
        self.estate: Final = estate

    async def give_way(self) -> list[Change]:
        """Let it stop reading; what has changed meanwhile. Raises `HandOverFailed`."""
        changes = [Change() for _ in self.estate.ports]
        try:
            async with _within(STEP):
                await _say(self._conversation, Ready())
                await self._changes(changes)
        except OtherEnded:
            pass  # then there is nobody who reads, and what it has told has to do
        return changes

    async def release(self, own_id: str) -> None:
        """Tell it that packets are read here now. Raises `HandOverFailed`: then they are read there as well."""
        try:
            async with _within(STEP):
                await _say(self._conversation, Mine(own_id))
                await _expect(self._conversation, Released)
        except OtherEnded:
            pass  # so it does not read

    async def settle(self) -> None:
        """Tell it that it will not be needed again: somebody else has the port by now."""
        try:
            await _say(self._conversation, Settled())
        except HandOverFailed:
            pass  # it has ended

    def close(self) -> None:
        """If it still is there, it takes the port back."""
        self._conversation.close()

    async def _changes(self, changes: list[Change]) -> None:
        about = changes[0]
        while True:
            message, sockets = await _hear(self._conversation)
            match message:
                case About(process):
                    about = changes[process]
                case Forget(clients):
                    about.over += clients
                case Remember(records):
                    about.records += records
                case Connection():
                    about.connections.append((message, sockets[0]))
                case Yours():
                    return
                case _:
                    raise HandOverFailed(f"{type(message).__name__} is not expected now")


async def inherit(name: str, ring: KeyRing) -> Predecessor | None:
    """The relay that has the port, and what it leaves; None when nobody has it, or nobody that can be believed."""
    conversation = knock(name)
    if conversation is None:
        return None
    try:
        async with _within(STEP):
            nonce = os.urandom(_NONCE)
            await _say(conversation, Hello(nonce))
            welcome = await _expect(conversation, Welcome)
            key = ring.key(welcome.key_id)
            if key is None or not hmac.compare_digest(welcome.proof, _proof(key, b"predecessor", nonce, welcome.nonce)):
                raise HandOverFailed("whoever has the door does not prove to be of this fleet")
            await _say(conversation, Proof(_proof(key, b"successor", nonce, welcome.nonce)))
            return Predecessor(conversation, await _listed(conversation))
    except HandOverFailed as reason:
        conversation.close()
        _log.warning("a relay is here that does not hand over", extra={"reason": str(reason)})
        return None


async def _listed(conversation: Conversation) -> Estate:
    estate = Estate([], [])
    while True:
        message, sockets = await _hear(conversation)
        match message:
            case About():
                estate.ports.append(ProcessPorts())
                estate.flows.append({})
            case Take(roles):
                for role, each in zip(roles, sockets, strict=True):
                    if role is Role.DOOR:
                        estate.door = each
                    elif role is Role.HEALTH:
                        estate.health = each
                    else:
                        estate.ports[-1].add(role, each)
            case Remember(records):
                estate.flows[-1].update((record.client, record) for record in records)
            case Listed() if estate.ports:
                return estate
            case _:
                raise HandOverFailed(f"{type(message).__name__} is not expected now")


class Successor:
    """The relay that wants the port, as the one sees it that has it."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.id = ""
        """What the directory knows it by, once it has the port."""

    async def believe(self, ring: KeyRing, key: FleetKey) -> None:
        """Returns when it has proven to be of this fleet; raises `HandOverFailed`."""
        async with _within(STEP):
            hello = await _expect(self._conversation, Hello)
            nonce = os.urandom(_NONCE)
            proof = _proof(key, b"predecessor", hello.nonce, nonce)
            await _say(self._conversation, Welcome(key.key_id, nonce, proof))
            answer = await _expect(self._conversation, Proof)
            if not hmac.compare_digest(answer.proof, _proof(key, b"successor", hello.nonce, nonce)):
                raise HandOverFailed("it does not prove to be of this fleet")

    async def list(self, estate: Estate) -> None:
        """Give it everything, and wait until it is ready to read. Raises `HandOverFailed`."""
        async with _within(START):
            for role, each in ((Role.DOOR, estate.door), (Role.HEALTH, estate.health)):
                if each is not None:
                    await _say(self._conversation, Take((role,)), each)
            for process, (ports, flows) in enumerate(zip(estate.ports, estate.flows, strict=True)):
                await _say(self._conversation, About(process))
                await _say(
                    self._conversation,
                    Take(tuple(role for role, _ in ports.sockets)),
                    *(bound for _, bound in ports.sockets),
                )
                for records in messages.chunks(flows.values()):
                    await _say(self._conversation, Remember(records))
            await _say(self._conversation, Listed())
            await _expect(self._conversation, Ready)

    async def give(self, changes: Sequence[Change]) -> None:
        """Nobody reads now: let it. Raises `HandOverFailed`."""
        async with _within(STEP):
            for process, each in enumerate(changes):
                await _say(self._conversation, About(process))
                for clients in messages.chunks(each.over):
                    await _say(self._conversation, Forget(clients))
                for records in messages.chunks(each.records):
                    await _say(self._conversation, Remember(records))
                for connection, connected in each.connections:
                    await _say(self._conversation, connection, connected)
            await _say(self._conversation, Yours())
            self.id = (await _expect(self._conversation, Mine)).id
            await _say(self._conversation, Released())

    async def refuse(self) -> None:
        """It does not get the port."""
        try:
            async with _within(STEP):
                await _say(self._conversation, Kept())
        except HandOverFailed:
            pass
        self.close()

    async def died(self) -> bool:
        """Wait for its end; False if somebody else has the port by then."""
        try:
            await _expect(self._conversation, Settled)
        except HandOverFailed:
            return True
        return False

    def close(self) -> None:
        """It hears no more."""
        self._conversation.close()


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise HandOverFailed("the other one does not answer") from None


def _proof(key: FleetKey, who: bytes, *nonces: bytes) -> bytes:
    return hmac.digest(key.hand_over_key, b"\0".join((who, *nonces)), "sha256")


async def _say(conversation: Conversation, message: Message, *sockets: socket.socket) -> None:
    try:
        await conversation.say(messages.encode(message), *sockets)
    except Closed:
        raise OtherEnded("the other one has ended") from None


async def _hear(conversation: Conversation) -> tuple[Message, tuple[socket.socket, ...]]:
    try:
        received = await conversation.hear()
        return messages.decode(received.message), received.sockets
    except Closed:
        raise OtherEnded("the other one has ended") from None
    except ValueError as error:
        raise HandOverFailed(str(error)) from None


async def _expect(conversation: Conversation, kind: type[_Kind]) -> _Kind:
    message, _ = await _hear(conversation)
    if not isinstance(message, kind):
        raise HandOverFailed(f"{type(message).__name__} is not expected now")
    return message

"""What the control process and its packet processes tell each other; as JSON, because a hand-over crosses versions."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from voicefleet.core.relay.flow import Client
from voicefleet.core.relay.flow_record import FlowRecord
from voicefleet.core.relay.hop_peer import HopAddress

CHUNK: Final = 500
"""Records or clients in one message: at most 100 octets each, so it fits `descriptor_channel.LARGEST`."""
_Item = TypeVar("_Item")


class Role(StrEnum):
    """What a socket that changes hands is for."""

    PUBLIC = "public"
    HOP = "hop"
    TCP = "tcp"
    """Where ICE-TCP connections arrive."""


# To a packet process.


class Take(NamedTuple):
    """These sockets, which come with the message, are served from the next `Resume` on, or at once after one."""

    roles: tuple[Role, ...]


class Remember(NamedTuple):
    """Go on with these flows."""

    records: tuple[FlowRecord, ...]


class Found(NamedTuple):
    """What the session map says about clients that were asked for."""

    answers: tuple[tuple[Client, HopAddress | None], ...]


class Suspect(NamedTuple):
    """The directory no longer knows these transceiver workers."""

    hops: tuple[HopAddress, ...]


class Drain(NamedTuple):
    """End when no flow is left, at the latest after so many seconds."""

    seconds: float


class Pause(NamedTuple):
    """Stop reading: somebody else is about to take the sockets over."""


class Resume(NamedTuple):
    """Read from now on: everything that had to be known before has been said."""


# From a packet process.


class Flows(NamedTuple):
    """Flows that were confirmed, or of which more is known now."""

    records: tuple[FlowRecord, ...]


class Ended(NamedTuple):
    """Flows that are over."""

    clients: tuple[Client, ...]


class LookUps(NamedTuple):
    """Clients to ask the session map about."""

    clients: tuple[Client, ...]


class Gone(NamedTuple):
    """A transceiver's worker that does not answer."""

    hop: HopAddress


class Paused(NamedTuple):
    """Nothing is read any more, and everything has been told."""


Message: TypeAlias = (
    Take | Remember | Found | Suspect | Drain | Pause | Resume | Flows | Ended | LookUps | Gone | Paused
)


def encode(message: Message) -> bytes:
    """A message as octets."""
    return json.dumps([type(message).__name__, *message], separators=(",", ":")).encode()


def decode(data: bytes) -> Message:
    """The message in octets that `encode` made; raises ValueError for anything else."""
    try:
        name, *fields = json.loads(data)
        return _READERS[name](*fields)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a message of a relay: {error!r}") from None


def chunks(items: Iterable[_Item]) -> Iterator[tuple[_Item, ...]]:
    """The items in pieces that fit a message."""
    piece: list[_Item] = []
    for item in items:
        piece.append(item)
        if len(piece) == CHUNK:
            yield tuple(piece)
            piece = []
    if piece:
        yield tuple(piece)


def _client(fields: Sequence[Any]) -> Client:
    client: Client = tuple(fields)
    return client


def _hop(fields: Sequence[Any]) -> HopAddress:
    host, port = fields
    return str(host), int(port)


def _records(items: Sequence[Sequence[Any]]) -> tuple[FlowRecord, ...]:
    return tuple(
        FlowRecord(_client(client), _hop(local), _hop(hop), int(generation), int(ssrc))
        for client, local, hop, generation, ssrc in items
    )


def _clients(items: Sequence[Sequence[Any]]) -> tuple[Client, ...]:
    return tuple(_client(item) for item in items)


_READERS: Final[dict[str, Callable[..., Message]]] = {
    "Take": lambda roles: Take(tuple(Role(role) for role in roles)),
    "Remember": lambda records: Remember(_records(records)),
    "Found": lambda answers: Found(tuple((_client(client), hop and _hop(hop)) for client, hop in answers)),
    "Suspect": lambda hops: Suspect(tuple(_hop(hop) for hop in hops)),
    "Drain": lambda seconds: Drain(float(seconds)),
    "Pause": Pause,
    "Resume": Resume,
    "Flows": lambda records: Flows(_records(records)),
    "Ended": lambda clients: Ended(_clients(clients)),
    "LookUps": lambda clients: LookUps(_clients(clients)),
    "Gone": lambda hop: Gone(_hop(hop)),
    "Paused": Paused,
}

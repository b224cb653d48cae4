"""What the control process and its packet processes tell each other; as JSON, because a hand-over crosses versions."""

import base64
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
    CONNECTION = "connection"
    """One of these."""
    DOOR = "door"
    """Where the next relay on this machine knocks."""
    HEALTH = "health"


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


class Forget(NamedTuple):
    """These flows are over, or go elsewhere now."""

    clients: tuple[Client, ...]


class Connection(NamedTuple):
    """An ICE-TCP connection, whose socket comes with the message; told in both directions when it changes hands."""

    client: Client
    record: FlowRecord | None
    """Its flow, once that is confirmed."""
    unread: bytes
    """What has come of the next packet."""
    unwritten: bytes
    """Framed packets that the socket has not taken."""


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


# Between a relay and its successor on the same machine, in this order; `hand_over` tells the story.


class Hello(NamedTuple):
    """The successor: are you one of ours?"""

    nonce: bytes


class Welcome(NamedTuple):
    """The predecessor: yes, and you?"""

    key_id: int
    nonce: bytes
    proof: bytes


class Proof(NamedTuple):
    """The successor: so am I."""

    proof: bytes


class About(NamedTuple):
    """What follows belongs to this packet process."""

    process: int


class Listed(NamedTuple):
    """The predecessor: these are the sockets and the flows. I go on until you are ready."""


class Ready(NamedTuple):
    """The successor: my packet processes have them all, and wait."""


class Yours(NamedTuple):
    """The predecessor: I read no more, and this is what has changed since."""


class Mine(NamedTuple):
    """The successor: I read."""

    id: str
    """What the directory knows it by."""


class Released(NamedTuple):
    """The predecessor: then I do nothing, unless you die."""


class Kept(NamedTuple):
    """The predecessor, whenever something went wrong: I go on."""


class Settled(NamedTuple):
    """The successor, when it has a successor itself: you will not be needed any more."""


Message: TypeAlias = (
    Take
    | Remember
    | Found
    | Suspect
    | Forget
    | Connection
    | Drain
    | Pause
    | Resume
    | Flows
    | Ended
    | LookUps
    | Gone
    | Paused
    | Hello
    | Welcome
    | Proof
    | About
    | Listed
    | Ready
    | Yours
    | Mine
    | Released
    | Kept
    | Settled
)


def encode(message: Message) -> bytes:
    """A message as octets."""
    return json.dumps([type(message).__name__, *message], separators=(",", ":"), default=_text).encode()


def decode(data: bytes) -> Message:
    """The message in octets that `encode` made; raises ValueError for anything else."""
    try:
        name, *fields = json.loads(data)
        return _READERS[name](*fields)
    except (KeyError, TypeError, IndexError, ValueError, RecursionError) as error:
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


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


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


def _connection(client: Sequence[Any], record: Sequence[Any] | None, unread: str, unwritten: str) -> Connection:
    known = None if record is None else _records([record])[0]
    return Connection(_client(client), known, _octets(unread), _octets(unwritten))


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
    "Forget": lambda clients: Forget(_clients(clients)),
    "Connection": _connection,
    "Hello": lambda nonce: Hello(_octets(nonce)),
    "Welcome": lambda key_id, nonce, proof: Welcome(int(key_id), _octets(nonce), _octets(proof)),
    "Proof": lambda proof: Proof(_octets(proof)),
    "About": lambda process: About(int(process)),
    "Listed": Listed,
    "Ready": Ready,
    "Yours": Yours,
    "Mine": lambda id: Mine(str(id)),
    "Released": Released,
    "Kept": Kept,
    "Settled": Settled,
}

"""What the processes of a relay tell each other arrives as it was said, and anything else is refused in one way."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.relay.flow_record import FlowRecord
from voicefleet.net.descriptor_channel import LARGEST
from voicefleet.services.relay import messages
from voicefleet.services.relay.hand_over import change
from voicefleet.services.relay.messages import CHUNK, Connection, Flows, Message, Remember

V6 = FlowRecord(("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 65535, 0, 0), ("2001:db8::1", 65535), ("fd00::1", 1), 9, 1)
TCP = FlowRecord(("192.0.2.1", 5000, "tcp"), ("203.0.113.1", 3478), ("10.0.0.1", 4478), -1, -1)
SAID: tuple[Message, ...] = (
    messages.Take((messages.Role.PUBLIC, messages.Role.DOOR)),
    Remember((V6, TCP)),
    messages.Found(((V6.client, V6.hop), (TCP.client, None))),
    messages.Suspect((V6.hop,)),
    messages.Forget((TCP.client,)),
    Connection(TCP.client, TCP, b"\0\1", bytes(range(256))),
    Connection(TCP.client, None, b"", b""),
    messages.Drain(1.5),
    messages.Pause(),
    messages.Paused(),
    messages.Gone(V6.hop),
    messages.Welcome(1, b"nonce", b"proof"),
    messages.Mine("relay-1"),
    messages.Settled(),
)


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_what_is_said_arrives(message: Message) -> None:
    assert messages.decode(messages.encode(message)) == message


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(_json)))
def test_anything_else_is_refused_in_one_way(data: bytes) -> None:
    try:
        messages.decode(data)
    except ValueError:
        pass


def test_the_longest_piece_fits_a_message() -> None:
    (piece,) = messages.chunks([V6._replace(generation=65535, ssrc=2**32 - 1)] * CHUNK)
    assert len(messages.encode(Flows(piece))) <= LARGEST


def test_a_change_brings_the_list_to_what_is_there_now() -> None:
    moved = TCP._replace(hop=("10.0.0.2", 4478))
    before, now = {V6.client: V6, TCP.client: TCP}, {TCP.client: moved}
    found = change(before, now)
    after = {client: record for client, record in before.items() if client not in found.over}
    after.update((record.client, record) for record in found.records)
    assert after == now
    same = change(now, now)
    assert not same.over and not same.records

"""Sockets and messages between two ends that never wait for each other."""

import socket

import pytest

from voicefleet.net.descriptor_channel import DESCRIPTORS, LARGEST, Closed, DescriptorChannel


def ends(waiting: int = 10_000) -> tuple[DescriptorChannel, DescriptorChannel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return DescriptorChannel(ours, waiting), DescriptorChannel(theirs)


def test_a_socket_works_at_the_other_end_after_it_is_closed_here() -> None:
    ours, theirs = ends()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound, socket.socket(type=socket.SOCK_DGRAM) as client:
        bound.bind(("127.0.0.1", 0))
        address = bound.getsockname()
        ours.send(b"take it", (bound,))
        bound.close()
        received = theirs.receive()
        assert received is not None and received.message == b"take it"
        (taken,) = received.sockets
        with taken:
            assert taken.getsockname() == address and not taken.getblocking()
            client.sendto(b"x", address)
            taken.settimeout(10)
            assert taken.recv(10) == b"x"
    assert theirs.receive() is None


def test_what_the_other_end_does_not_take_waits_in_order_up_to_a_bound_and_the_rest_is_counted() -> None:
    ours, theirs = ends(waiting=5)
    sent = 0
    while not ours.lost:
        ours.send(sent.to_bytes(4) + bytes(LARGEST - 4))
        sent += 1
    assert ours.waiting
    heard = []
    while (received := theirs.receive()) is not None:
        heard.append(int.from_bytes(received.message[:4]))
        ours.flush()
    assert not ours.waiting
    assert heard == list(range(sent - ours.lost)), "all but the last, which found no room"


@pytest.mark.parametrize(("octets", "sockets"), [(LARGEST + 1, 0), (1, DESCRIPTORS + 1)])
def test_what_does_not_fit_one_message_is_refused_at_once(octets: int, sockets: int) -> None:
    ours, theirs = ends()
    with socket.socket() as any_socket, pytest.raises(ValueError, match="do not fit one message"):
        ours.send(bytes(octets), [any_socket] * sockets)
    assert theirs.receive() is None


def test_an_end_that_is_gone_is_noticed_by_whoever_sends_and_whoever_listens() -> None:
    ours, theirs = ends()
    theirs.close()
    with pytest.raises(Closed):
        ours.send(b"anybody there?")
    with pytest.raises(Closed):
        ours.receive()

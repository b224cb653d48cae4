"""Whose address counts behind proxies: headers are believed only as far as trusted proxies wrote them."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.forwarded import client_address, parse_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "x_forwarded_for", "client"),
    [
        ("198.51.100.7", [], ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", [], [], "10.0.0.1"),
        ("10.0.0.1", [], ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [], ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [], ["6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", [], ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [], ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", [], ["6.6.6.6, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", [], ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ['for="[2001:db8::7]:99";proto=https'], ["6.6.6.6"], "2001:db8::7"),
        ("10.0.0.1", ["for=6.6.6.6, for=203.0.113.9;by=10.0.0.1"], [], "203.0.113.9"),
        ("10.0.0.1", ['for="_hidden", for=10.0.0.2'], [], "10.0.0.2"),
        ("10.0.0.1", ['for="a,b;c\\"", For=203.0.113.9'], [], "203.0.113.9"),
        ("10.0.0.1", ["proto=https"], [], "10.0.0.1"),
    ],
)
def test_the_clients_address_is_found_from_the_end(
    peer: str, forwarded: list[str], x_forwarded_for: list[str], client: str
) -> None:
    assert client_address(peer, PROXIES, forwarded, x_forwarded_for) == client


@given(st.lists(st.text(max_size=80), max_size=4), st.lists(st.text(max_size=80), max_size=4))
def test_whatever_a_stranger_writes_his_address_stays_his(forwarded: list[str], x_forwarded_for: list[str]) -> None:
    assert client_address("198.51.100.7", PROXIES, forwarded, x_forwarded_for) == "198.51.100.7"
    told = client_address("10.0.0.1", PROXIES, forwarded, [*x_forwarded_for, "203.0.113.9"])
    assert parse_address(told) is not None
    if not forwarded:
        assert told == "203.0.113.9"

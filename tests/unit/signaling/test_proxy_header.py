"""The PROXY protocol's header, in both versions, whole and in pieces."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.proxy_header import SIGNATURE, ProxyHeader, Reading, read_proxy_header

REST = b"POST /whip HTTP/1.1\r\n"


def version_2(client: tuple[str, int], command: int = 1, extra: bytes = b"") -> bytes:
    address = ip_address(client[0])
    proxy = ip_address("10.0.0.1" if address.version == 4 else "fd00::1")
    body = address.packed + proxy.packed + client[1].to_bytes(2) + (443).to_bytes(2) + extra
    family = 0x11 if address.version == 4 else 0x21
    return SIGNATURE + bytes((0x20 | command, family)) + len(body).to_bytes(2) + body


HEADERS = [
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n", ("203.0.113.9", 4711)),
    (b"PROXY TCP6 2001:db8::7 fd00::1 4711 443\r\n", ("2001:db8::7", 4711)),
    (b"PROXY UNKNOWN\r\n", None),
    (version_2(("203.0.113.9", 4711)), ("203.0.113.9", 4711)),
    (version_2(("2001:db8::7", 4711), extra=b"\x04\x00\x02hi"), ("2001:db8::7", 4711)),
    (version_2(("203.0.113.9", 4711), command=0), None),
]


@pytest.mark.parametrize(("header", "client"), HEADERS)
def test_a_header_is_read_whole_and_every_beginning_of_it_asks_for_more(
    header: bytes, client: tuple[str, int] | None
) -> None:
    assert read_proxy_header(header + REST) == ProxyHeader(client, len(header))
    assert {read_proxy_header(header[:end]) for end in range(len(header))} == {Reading.MORE}


@pytest.mark.parametrize(
    "data",
    [
        REST,
        b"PROXY TCP4 nonsense 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 fd00::1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 99999 2\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x02" + bytes(2),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    assert read_proxy_header(data) is Reading.BAD


@given(st.binary(max_size=300))
def test_any_octets_are_a_header_or_not(data: bytes) -> None:
    for start in (b"", b"PROXY ", SIGNATURE):
        read = read_proxy_header(start + data)
        assert isinstance(read, Reading) or read.length <= len(start + data)

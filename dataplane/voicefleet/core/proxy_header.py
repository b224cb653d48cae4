"""The PROXY protocol's header, versions 1 and 2: for whom a proxy opened a connection. Pure and bounded."""

from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
V1: Final = b"PROXY "
V1_LONGEST: Final = 107
V2_LONGEST: Final = 16 + 2048
"""Addresses and what proxies add to them (TLVs); more is no header."""
_LENGTHS: Final = {1: 12, 2: 36}


class Reading(Enum):
    """What has been read so far, if it is no header yet."""

    MORE = auto()
    BAD = auto()


class ProxyHeader(NamedTuple):
    """A header: the client, or None where the proxy speaks for itself (a health check), and the octets it took."""

    client: tuple[str, int] | None
    length: int


def read_proxy_header(data: bytes) -> ProxyHeader | Reading:
    """The header that these octets begin with."""
    if data.startswith(SIGNATURE):
        return _version_2(data)
    if data.startswith(V1):
        return _version_1(data)
    begun = SIGNATURE.startswith(data) or V1.startswith(data)
    return Reading.MORE if begun else Reading.BAD


def _version_1(data: bytes) -> ProxyHeader | Reading:
    line, end, _ = data[:V1_LONGEST].partition(b"\r\n")
    if not end:
        return Reading.MORE if len(data) < V1_LONGEST else Reading.BAD
    words = line.split(b" ")
    length = len(line) + 2
    if len(words) >= 2 and words[1] == b"UNKNOWN":
        return ProxyHeader(None, length)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6") or not words[4].isdigit():
        return Reading.BAD
    try:
        address = ip_address(words[2].decode("ascii"))
    except ValueError:
        return Reading.BAD
    port = int(words[4])
    if address.version != (4 if words[1] == b"TCP4" else 6) or port > 65535:
        return Reading.BAD
    return ProxyHeader((str(address), port), length)


def _version_2(data: bytes) -> ProxyHeader | Reading:
    if len(data) < 16:
        return Reading.MORE
    version, command = data[12] >> 4, data[12] & 15
    family, length = data[13] >> 4, 16 + int.from_bytes(data[14:16])
    if version != 2 or command > 1 or length > V2_LONGEST:
        return Reading.BAD
    if len(data) < length:
        return Reading.MORE
    if command == 0 or family not in _LENGTHS:
        return ProxyHeader(None, length)
    if length - 16 < _LENGTHS[family]:
        return Reading.BAD
    if family == 1:
        return ProxyHeader((str(IPv4Address(data[16:20])), int.from_bytes(data[24:26])), length)
    return ProxyHeader((str(IPv6Address(data[16:32])), int.from_bytes(data[48:50])), length)

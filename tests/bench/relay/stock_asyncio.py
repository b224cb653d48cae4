"""The yardstick: the forwarder that one writes first, on stock asyncio. Its command line is that of any other's.

It keeps a dictionary each way and does nothing else: no checks, no bounds, no counters, no bundles.
"""

import asyncio
import sys

Address = tuple[str, int]


class Public(asyncio.DatagramProtocol):
    """The clients' side."""

    def __init__(self, headers: dict[Address, bytes], hop: asyncio.DatagramTransport, far: Address) -> None:
        self._headers = headers
        self._hop = hop
        self._far = far

    def datagram_received(self, data: bytes, addr: Address) -> None:
        header = self._headers.get(addr)
        if header is not None:
            self._hop.sendto(header + data, self._far)


class Hop(asyncio.DatagramProtocol):
    """The far end's side."""

    def __init__(self, clients: dict[bytes, Address]) -> None:
        self._clients = clients
        self.public: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: Address) -> None:
        client = self._clients.get(data[:32])
        if client is not None and self.public is not None:
            self.public.sendto(data[32:], client)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main() -> None:
    """PUBLIC HOP FAR FLOWS, see `Commanded`."""
    public, own_hop, far = map(_address, sys.argv[1:4])
    up: dict[Address, bytes] = {}
    down: dict[bytes, Address] = {}
    with open(sys.argv[4]) as file:
        for line in file:
            host, port, header, back = line.split()
            up[host, int(port)] = bytes.fromhex(header)
            down[bytes.fromhex(back)] = (host, int(port))
    loop = asyncio.get_running_loop()
    hop, hop_side = await loop.create_datagram_endpoint(lambda: Hop(down), local_addr=own_hop)
    clients, _ = await loop.create_datagram_endpoint(lambda: Public(up, hop, far), local_addr=public)
    hop_side.public = clients
    await asyncio.Event().wait()


asyncio.run(main())

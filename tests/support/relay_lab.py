"""A relay with a network on each side, in namespaces: clients outside, transceivers inside, and nothing else anywhere.

    outside (198.18.1.2, and 203.0.113.7 behind it) -- relay (198.18.1.1, 198.18.2.1) -- inside (198.18.2.2)

The same with IPv6. Packets of both tiers take the same way, so that what comes out can be compared.
"""

import functools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.echo_peer import EchoPeer, echo_peer
from tests.support.ice_client import IceClient, ice_client
from tests.support.namespaces import Namespace, address, namespaces, wire
from tests.support.relay_process import RelayProcess, relay_process
from voicefleet.wire.keyring import KeyRing


class Ends(NamedTuple):
    """The addresses of one IP version."""

    client: str
    relay: str
    hop: str
    peer: str


V4 = Ends("198.18.1.2", "198.18.1.1", "198.18.2.1", "198.18.2.2")
V6 = Ends("fd00:1::2", "fd00:1::1", "fd00:2::1", "fd00:2::2")
FAR_AWAY = "203.0.113.7"
"""A client behind the router that the outside is."""


class RelayLab:
    """The three namespaces; the relay in the middle is started by `relay`."""

    def __init__(self, outside: Namespace, middle: Namespace, inside: Namespace) -> None:
        self.outside = outside
        self.middle = middle
        self.inside = inside

    @asynccontextmanager
    async def relay(
        self,
        directory: Path,
        ring: KeyRing,
        tier: str,
        host: str = V4.relay,
        *,
        prefix: tuple[str, ...] = (),
        **settings: str,
    ) -> AsyncIterator[RelayProcess]:
        """A relay that is ready; its command line begins with `prefix`."""
        networks = {"HOP_NETWORKS": "198.18.0.0/15,fd00::/16", "DATAPATH": tier}
        middle = Namespace(self.middle.name, prefix)
        async with relay_process(directory, ring, host, namespace=middle, **(networks | settings)) as relay:
            yield relay

    @asynccontextmanager
    async def client(
        self, relay: RelayProcess, token: str, ring: KeyRing, host: str = V4.client, port: int = 0, ssrc: int = 7
    ) -> AsyncIterator[IceClient]:
        """A client outside."""
        async with ice_client(relay.address, token, ring, ssrc, lambda: self.outside.udp(host, port)) as client:
            yield client

    @asynccontextmanager
    async def peer(self, ring: KeyRing, host: str = V4.peer, port: int = 0) -> AsyncIterator[EchoPeer]:
        """A transceiver inside."""
        async with echo_peer(ring, bound=self.inside.udp(host, port)) as peer:
            yield peer

    @asynccontextmanager
    async def call(
        self, directory: Path, ring: KeyRing, tier: str, *, prefix: tuple[str, ...] = (), **settings: str
    ) -> AsyncIterator[tuple[EchoPeer, RelayProcess, IceClient]]:
        """A transceiver, a relay and a client whose media comes back."""
        async with (
            self.peer(ring) as peer,
            self.relay(directory, ring, tier, prefix=prefix, **settings) as relay,
            self.client(relay, peer.new_call(), ring) as client,
        ):
            await client.check()
            await client.talks()
            yield peer, relay, client


@functools.cache
def kernel_program() -> None:
    """Compiles the program if it is older than its source; whoever works on it need not think of that."""
    source = Path(__file__).parents[2] / "dataplane/bpf/hatch_build.py"
    ran = subprocess.run((sys.executable, source), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@asynccontextmanager
async def relay_lab(*, offload: bool = True) -> AsyncIterator[RelayLab]:
    """The namespaces, gone at the end. Without `offload` packets have finished checksums, as between machines."""
    kernel_program()
    with namespaces("out", "relay", "in") as (outside, middle, inside):
        wire(outside, "eth0", middle, "eth0", offload=offload)
        wire(middle, "eth1", inside, "eth0", offload=offload)
        address(outside, "eth0", f"{V4.client}/24", f"{V6.client}/64", f"{FAR_AWAY}/32")
        address(middle, "eth0", f"{V4.relay}/24", f"{V6.relay}/64")
        address(middle, "eth1", f"{V4.hop}/24", f"{V6.hop}/64")
        address(inside, "eth0", f"{V4.peer}/24", f"{V6.peer}/64")
        middle.ip(f"route add {FAR_AWAY}/32 via {V4.client}")
        yield RelayLab(outside, middle, inside)


def kernel_packets(metrics: dict[str, float], direction: str) -> float:
    """How many the kernel has forwarded."""
    return metrics[f"voicefleet_relay_packets_total{{direction={direction}}}{{tier=kernel}}"]

"""One packet process: it has its sockets, its flows and its counters, and shares nothing else with the relay.

It re-reads the key file itself and leaves its counters in shared memory; the control process asks it nothing. It ends
by SIGTERM (at once when it has no flow, else at the deadline) and with its parent.
"""

import os
import signal
import sys
import time
from pathlib import Path

from voicefleet.contract import Component
from voicefleet.core.relay.flow import Client, Via
from voicefleet.core.relay.forwarder import Forwarder
from voicefleet.core.relay.hop_networks import HopNetworks
from voicefleet.core.relay.knowledge import Surroundings
from voicefleet.core.relay.limits import Limits
from voicefleet.net.configuration import load_or_exit
from voicefleet.net.key_file import KeyFile
from voicefleet.observability import logs
from voicefleet.observability.shared_counters import CounterWriter, SharedCounters
from voicefleet.services.relay.metrics import LAYOUT, values
from voicefleet.services.relay.packet_loop import HopSocket, PacketLoop, PublicSocket
from voicefleet.services.relay.settings import RelaySettings


class PacketProcess:
    """Everything that one packet process has."""

    def __init__(self, settings: RelaySettings, counters: CounterWriter) -> None:
        self._settings = settings
        self._counters = counters
        self._keys = KeyFile(settings.key_file)
        self._parent = os.getppid()
        self._drain_until: float | None = None
        self._public = PublicSocket(settings.listen)
        self._hop = HopSocket(settings.hop_listen)
        around = Surroundings(
            networks=HopNetworks(str(network) for network in settings.hop_networks),
            random=os.urandom,
            local_end=self._local_end,
            seen_elsewhere=lambda flow: flow.seen,
        )
        ring = self._keys.value
        self._minting = ring.minting(time.time())
        self._forwarder = Forwarder(ring, self._minting, around, Limits(), time.monotonic())
        self._loop = PacketLoop(self._forwarder, [self._public], self._hop, time.monotonic, self._on_tick)

    def run(self) -> None:
        """Forward packets until it is time to end."""
        self._loop.run()
        self._public.close()
        self._hop.close()

    def drain(self, *_: object) -> None:
        """End when the last flow has, at the latest at the deadline."""
        self._drain_until = time.monotonic() + self._settings.drain_deadline

    def _local_end(self, client: Client) -> Via | None:
        return self._public if (":" in client[0]) == (":" in self._public.local[0]) else None

    def _on_tick(self, now: float) -> None:
        changed = self._keys.refresh(now)
        minting = self._keys.value.minting(time.time())
        if changed is not None or minting is not self._minting:
            self._minting = minting
            self._forwarder.use_keys(self._keys.value, minting)
        self._counters.publish(values(self._forwarder, now))
        drained = self._drain_until is not None and (not self._forwarder.flows or now >= self._drain_until)
        if drained or os.getppid() != self._parent:
            self._loop.stop()


def main() -> None:
    """The entry point: worker number and path of the shared counters."""
    worker, counters = int(sys.argv[1]), SharedCounters.attach(LAYOUT, Path(sys.argv[2]))
    settings = load_or_exit(RelaySettings)
    logs.configure(Component.RELAY, format=settings.log_format, level=settings.log_level)
    process = PacketProcess(settings, counters.writer(worker))
    signal.signal(signal.SIGTERM, process.drain)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the control process decides
    process.run()


if __name__ == "__main__":
    main()

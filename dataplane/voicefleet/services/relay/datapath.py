"""Which tier of this relay forwards, why, and what is to be done for the kernel tier while the relay runs."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet.core.directory import Tier
from voicefleet.net.kernel_program import (
    RENEW_EVERY,
    KernelHandles,
    KernelProgram,
    NoKernelTier,
    open_kernel_tier,
    remove_left_behind,
)
from voicefleet.net.udp import local_address
from voicefleet.services.relay.messages import Role
from voicefleet.services.relay.ports import ProcessPorts
from voicefleet.services.relay.settings import Datapath, RelaySettings

_WANTED: Final = "it was asked for"
_log = logging.getLogger(__name__)


class DatapathRefused(Exception):
    """The kernel tier is a must, and cannot be."""


class ChosenDatapath(Collector):
    """The tier, and the program where it is the kernel's."""

    def __init__(self, wanted: Datapath, program: KernelProgram | None, reason: str) -> None:
        self._program = program
        self.tier: Final = Tier.KERNEL if program else Tier.USERSPACE
        self._labels: Final = (self.tier.value, wanted.value, reason)
        _log.info("datapath", extra=dict(zip(("tier", "wanted", "reason"), self._labels, strict=True)))

    @property
    def handles(self) -> KernelHandles | None:
        """What packet processes need for the kernel tier."""
        return self._program.handles if self._program else None

    async def run(self) -> None:
        """Lets the program forward for as long as this process is there to say so."""
        while self._program:
            self._program.renew()
            await asyncio.sleep(RENEW_EVERY)

    def close(self) -> None:
        """Takes the program off the interfaces; userspace has all packets."""
        if self._program:
            self._program.close()
            self._program = None

    def collect(self) -> Iterator[Metric]:
        """The registry calls it."""
        tier = GaugeMetricFamily(
            "voicefleet_relay_datapath", "1 for the tier that forwards, and why.", labels=("tier", "wanted", "reason")
        )
        tier.add_metric(self._labels, 1)
        yield tier
        if self._program:
            left = CounterMetricFamily(
                "voicefleet_relay_kernel_left_packets",
                "Packets for the relay that its kernel program left to userspace, by reason; `dropped` it lost.",
                labels=("reason",),
            )
            for reason, count in self._program.left():
                left.add_metric((reason.name.lower(),), count)
            yield left
            yield GaugeMetricFamily(
                "voicefleet_relay_kernel_flows_most", "Flows that the kernel program has room for.", self._program.flows
            )
            yield GaugeMetricFamily(
                "voicefleet_relay_kernel_interfaces",
                "Interfaces that the kernel program is on.",
                len(self._program.attached()),
            )


def choose(settings: RelaySettings, ports: Sequence[ProcessPorts]) -> ChosenDatapath:
    """The tier for these sockets; raises `DatapathRefused` when it has to be the kernel's and cannot."""
    began = time.monotonic()
    public = [local_address(bound) for bound in ports[0].of(Role.PUBLIC)]
    hop = [local_address(bound) for each in ports for bound in each.of(Role.HOP)]
    port = public[0][1]
    if settings.datapath is Datapath.USERSPACE:
        remove_left_behind(port)
        return ChosenDatapath(settings.datapath, None, _WANTED)
    try:
        program = open_kernel_tier(public, port, settings.max_flows)
    except NoKernelTier as refusal:
        if settings.datapath is Datapath.KERNEL:
            raise DatapathRefused(str(refusal)) from None
        remove_left_behind(port)
        return ChosenDatapath(settings.datapath, None, str(refusal))
    program.serve({each[1] for each in public}, {each[1] for each in hop})
    _log.debug("kernel program is there", extra={"seconds": round(time.monotonic() - began, 3)})
    return ChosenDatapath(settings.datapath, program, _WANTED if settings.datapath is Datapath.KERNEL else "it can")
